"""The red list as a workbook: totals and charts on the first sheet, the list on the second."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from churnrisk.files import FORMULA_STARTS, write_whole
from churnrisk.present import html, wording
from churnrisk.present.rows import COLUMNS, Cell, flat, heading
from churnrisk.records import RedList, RedListRow

if TYPE_CHECKING:
    from openpyxl.cell import Cell as SheetCell
    from openpyxl.worksheet.worksheet import Worksheet

_LONGEST_TEXT = 32_767
_FILLS = {"red": "F8D7D7", "amber": "FCE8C3", "green": "DDF1E2", "grey": "E8EAED"}
_FORMATS = {
    "annual_value": "#,##0",
    "expected_loss": "#,##0",
    "churn_probability": "0.0%",
    "previous_probability": "0.0%",
    "renewal_at": "yyyy-mm-dd",
    "snoozed_until": "yyyy-mm-dd",
    "touched_at": "yyyy-mm-dd hh:mm",
}
_WRAPPED = ("reasons", "next_step", "move", "turnaround", "note")
_WIDTHS = {"name": 32, "owner": 20, "rule": 20} | dict.fromkeys(_WRAPPED, 60)


def write_workbook(path: str | Path, redlist: RedList, *, company: str = "") -> Path:
    """Write the totals and every row of the red list, in order, as an xlsx workbook, whole or not at all.

    Text is stored as text: a name that starts like a formula is never calculated. Raises UsageError when ``path``
    cannot be written.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.properties.title = "Red list"
    book.properties.creator = "churnrisk"
    _fill_totals(book.active, redlist, company)
    _fill_list(book.create_sheet("Red list"), redlist.rows)
    content = BytesIO()
    book.save(content)
    return write_whole(path, content.getvalue())


def _fill_totals(sheet: Worksheet, redlist: RedList, company: str) -> None:
    sheet.title = "Totals"
    _line(sheet, [f"Red list of {company}" if company else "Red list"], bold=True)
    by = wording.basis(redlist.run) or f"model {redlist.run.model_version}"
    _line(sheet, [f"as of {wording.day(redlist.run.as_of)}, {by}"])
    if redlist.places:
        _line(sheet, [wording.cut(redlist.places)])
    _line(sheet, [])
    _line(sheet, ["Total", "Value", "Change"], bold=True)
    for total in html.totals(redlist):
        _line(sheet, [total.label, total.value, total.change])
    for number, chart in enumerate(html.charts(redlist)):
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

    _line(sheet, [heading(name) for name in COLUMNS], bold=True)
    for row in rows:
        cells = dict(zip(COLUMNS, _line(sheet, [*flat(row, separator="\n").values()]), strict=True))
        cells["colour"].fill = PatternFill("solid", fgColor=_FILLS[row.colour.value])
        for name, cell in cells.items():
            cell.number_format = _FORMATS.get(name, cell.number_format)
            cell.alignment = Alignment(vertical="top", wrap_text=name in _WRAPPED)
    if not rows:
        _line(sheet, ["No account is on the list."])
    for number, name in enumerate(COLUMNS, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = _WIDTHS.get(name, 14)
    sheet.freeze_panes = "C2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(COLUMNS))}{len(rows) + 1}"


def _line(sheet: Worksheet, values: Sequence[Cell], *, bold: bool = False) -> list[SheetCell]:
    from openpyxl.styles import Font

    # append() would leave an empty line out
    at = 1 if sheet.max_row == 1 and sheet["A1"].value is None else sheet.max_row + 1
    cells = [sheet.cell(row=at, column=column) for column in range(1, max(len(values), 1) + 1)]
    for cell, value in zip(cells, values or [""], strict=True):
        _set(cell, value)
        if bold:
            cell.font = Font(bold=True)
    return cells


def _set(cell: SheetCell, value: Cell) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if not isinstance(value, str):
        cell.value = value
        return
    text = ILLEGAL_CHARACTERS_RE.sub(" ", value).encode("utf-8", errors="replace").decode()[:_LONGEST_TEXT]
    cell.value = text
    cell.data_type = "s"
    # Without the quote prefix a text like "=1+1" turns into a formula as soon as somebody edits the cell.
    cell.quotePrefix = text.startswith(FORMULA_STARTS)
