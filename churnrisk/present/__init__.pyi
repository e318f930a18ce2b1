from .html import HATCH, WIDTH, Figure, bars, environment_of, fold, render_report, write_report
from .rows import COLUMNS, AccountRow, Instant, Number, RecordShape, flat, heading
from .wording import (
    DISPOSITIONS,
    FAMILIES,
    PLACES,
    SHAPES,
    UNKNOWN,
    count,
    cut,
    decided,
    money,
    percent,
    since,
)
from .xlsx import write_workbook

__all__ = [
    "AccountRow", "COLUMNS", "DISPOSITIONS", "FAMILIES", "Figure", "HATCH", "Instant", "Number", "PLACES",
    "RecordShape", "SHAPES", "UNKNOWN", "WIDTH", "bars", "count", "cut", "decided", "environment_of", "flat",
    "fold", "heading", "money", "percent", "render_report", "since", "write_report", "write_workbook",
]  # fmt: skip
