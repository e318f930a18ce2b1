from .html import HATCH, WIDTH, Figure, bars, fold, render_report, write_report
from .rows import COLUMNS, AccountRow, Instant, Number, RecordShape, flat, heading
from .wording import DISPOSITIONS, FAMILIES, SHAPES, UNKNOWN, count, decided, money, percent, since
from .xlsx import write_workbook

__all__ = [
    "AccountRow",
    "COLUMNS",
    "DISPOSITIONS",
    "FAMILIES",
    "Figure",
    "HATCH",
    "Instant",
    "Number",
    "RecordShape",
    "SHAPES",
    "UNKNOWN",
    "WIDTH",
    "bars",
    "count",
    "decided",
    "flat",
    "fold",
    "heading",
    "money",
    "percent",
    "render_report",
    "since",
    "write_report",
    "write_workbook",
]
