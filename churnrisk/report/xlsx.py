"""The red list as a workbook: the totals with their charts on the first sheet, the list on the second."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from churnrisk.files import write_whole
from churnrisk.records import RedList, RedListRow
from churnrisk.report import summary, wording

if TYPE_CHECKING:
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

Value = str | float | int | datetime | None

_LONGEST_TEXT = 32_767
_FILLS = {"red": "F8D7D7", "amber": "FCE8C3", "green": "DDF1E2", "grey": "E8EAED"}
_COLUMNS = (
    ("Colour", 10),
    ("Change", 9),
    ("Account", 14),
    ("Name", 32),
    ("Owner", 20),
    ("Segment", 14),
    ("Annual value", 14),
    ("Expected loss", 14),
    ("Renewal", 12),
    ("Days to renewal", 10),
    ("Churn probability", 12),
    ("At the last run", 12),
    ("Days in colour", 10),
    ("Decided", 24),
    ("Reasons", 60),
    ("Next step", 60),
    ("Last touch", 36),
)
_FORMATS = {"Annual value": "#,##0", "Expected loss": "#,##0", "Renewal": "yyyy-mm-dd"}
_FORMATS |= {"Churn probability": "0.0%", "At the last run": "0.0%"}
_WRAPPED = ("Reasons", "Next step", "Last touch")


def write_workbook(path: str | Path, redlist: RedList, *, company: str = "", currency: str = "") -> Path:
    """Write the totals and every row of the red list as an xlsx workbook, whole or not at all.

    Text is stored as text: a name that starts like a formula is never calculated.

    Parameters
    ----------
    path : str or Path
        Where to.
    redlist : RedList
        A published run; its rows are written in their order.
    company : str
        Whose customers these are.
    currency : str
        Written before amounts in the totals.

    Raises
    ------
    UsageError
        When ``path`` is a folder or cannot be written.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.properties.title = "Red list"
    book.properties.creator = "churnrisk"
    _fill_totals(book.active, redlist, company=company, currency=currency)
    _fill_list(book.create_sheet("Red list"), redlist.rows)
    content = BytesIO()
    book.save(content)
    return write_whole(path, content.getvalue())


def _fill_totals(sheet: Worksheet, redlist: RedList, *, company: str, currency: str) -> None:
    sheet.title = "Totals"
    _line(sheet, [f"Red list of {company}" if company else "Red list"], bold=True)
    _line(sheet, [f"as of {wording.day(redlist.run.as_of)}, model {redlist.run.model_version}"])
    _line(sheet, [])
    _line(sheet, ["Total", "Value", "Change"], bold=True)
    for total in summary.totals(redlist, currency=currency):
        _line(sheet, [total.label, total.value, total.change])
    for number, chart in enumerate(summary.charts(redlist, currency=currency)):
        _line(sheet, [])
        heading = _line(sheet, [f"{chart.title}, {chart.counted}", "Red", "Amber"], bold=True)
        for bar in chart.bars:
            for cell in _line(sheet, [bar.label, bar.red_amount, bar.amber_amount])[1:]:
                cell.number_format = "#,##0"
        _draw(sheet, chart.title, heading[0].row, len(chart.bars), anchor=f"E{3 + number * 16}")
    for letter, width in (("A", 40), ("B", 18), ("C", 34)):
        sheet.column_dimensions[letter].width = width


def _draw(sheet: Worksheet, title: str, heading: int, groups: int, *, anchor: str) -> None:
    """Draw the groups below a heading as stacked bars that follow the numbers."""
    from openpyxl.chart import BarChart, Reference

    if not groups:
        return
    chart = BarChart()
    chart.type, chart.grouping, chart.overlap = "bar", "stacked", 100
    chart.title, chart.height, chart.width = title, 7.5, 16
    chart.add_data(
        Reference(sheet, min_col=2, max_col=3, min_row=heading, max_row=heading + groups),
        titles_from_data=True,
    )
    chart.set_categories(Reference(sheet, min_col=1, min_row=heading + 1, max_row=heading + groups))
    for series, colour in zip(chart.series, ("C62838", "E0A030"), strict=True):
        series.graphicalProperties.solidFill = colour
    chart.y_axis.number_format, chart.y_axis.delete, chart.x_axis.delete = "#,##0", False, False
    chart.x_axis.scaling.orientation = "maxMin"  # the first group on top, as in the table
    sheet.add_chart(chart, anchor)


def _fill_list(sheet: Worksheet, rows: Sequence[RedListRow]) -> None:
    from openpyxl.styles import Alignment, PatternFill
    from openpyxl.utils import get_column_letter

    _line(sheet, [name for name, _ in _COLUMNS], bold=True)
    for row in rows:
        cells = _line(sheet, _values(row))
        cells[0].fill = PatternFill("solid", fgColor=_FILLS[row.colour.value])
        for (name, _), cell in zip(_COLUMNS, cells, strict=True):
            cell.number_format = _FORMATS.get(name, cell.number_format)
            cell.alignment = Alignment(vertical="top", wrap_text=name in _WRAPPED)
    if not rows:
        _line(sheet, ["No account is on the list."])
    for number, (_, width) in enumerate(_COLUMNS, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.freeze_panes = "E2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(_COLUMNS))}{len(rows) + 1}"


def _values(row: RedListRow) -> list[Value]:
    return [
        row.colour.value,
        wording.ARROWS[row.arrow],
        row.account_id,
        row.name,
        row.owner,
        row.segment,
        _number(row.annual_value),
        _number(row.expected_loss),
        # A workbook knows no time zones, and a renewal is a day anyway.
        None if row.renewal_at is None else row.renewal_at.replace(tzinfo=None),
        row.days_to_renewal,
        _number(row.churn_probability),
        _number(row.previous_probability),
        row.days_in_colour,
        wording.decided(row),
        "\n".join(reason.text for reason in row.reasons),
        row.next_step,
        wording.touched(row),
    ]


def _number(value: float | None) -> float | None:
    return value if wording.is_known(value) else None


def _line(sheet: Worksheet, values: Sequence[Value], *, bold: bool = False) -> list[Cell]:
    from openpyxl.styles import Font

    # append() would leave an empty line out
    at = 1 if sheet.max_row == 1 and sheet["A1"].value is None else sheet.max_row + 1
    cells = [sheet.cell(row=at, column=column) for column in range(1, max(len(values), 1) + 1)]
    for cell, value in zip(cells, values or [""], strict=True):
        _set(cell, value)
        if bold:
            cell.font = Font(bold=True)
    return cells


def _set(cell: Cell, value: Value) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if not isinstance(value, str):
        cell.value = value
        return
    text = ILLEGAL_CHARACTERS_RE.sub(" ", value).encode("utf-8", errors="replace").decode()[:_LONGEST_TEXT]
    cell.value = text
    cell.data_type = "s"
    # Without the quote prefix a text like "=1+1" turns into a formula as soon as somebody edits the cell.
    cell.quotePrefix = text.startswith(("=", "+", "-", "@", "\t", "\r"))
