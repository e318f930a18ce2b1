"""The workbook: the same list, with text that stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from churnrisk.errors import UsageError
from churnrisk.present import write_workbook
from churnrisk.records import Reason, RedList

from .conftest import ROW, RUN

Make = Callable[..., RedList]


def _sheet(path: Path, name: str) -> Worksheet:
    return load_workbook(path)[name]


def _row(sheet: Worksheet, number: int = 2) -> dict[str, object]:
    header = [cell.value for cell in sheet[1]]
    return dict(zip(header, [cell.value for cell in sheet[number]], strict=True))


def test_the_list_holds_what_the_rows_say(make_redlist: Make, tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "red.xlsx", make_redlist({}), company="Sample company")
    row = _row(_sheet(path, "Red list"))
    assert row["Colour"] == "red"
    assert row["Account id"] == "C10042"
    assert row["Annual value"] == 84_000
    assert row["Churn probability"] == 0.624
    assert row["Renewal at"] == datetime(2026, 7, 24)
    assert row["Reasons"] == "No activity for 34 days\n2 complaints open, the oldest for 41 days"
    assert row["Next step"] == "Call the owner's contact and offer help"


def test_the_first_sheet_holds_the_totals(make_redlist: Make, tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "red.xlsx", make_redlist({}), company="Sample company")
    book = load_workbook(path)
    assert book.sheetnames == ["Totals", "Red list"]
    lines = {row[0]: row[1:] for row in book["Totals"].iter_rows(values_only=True)}
    assert "Red list of Sample company" in lines
    assert lines["Revenue at risk"] == ("98,765", "▲ +8,765 since 1 Jun 2026")
    assert lines["Enterprise"] == (84_000, 0)
    assert lines["2026 Q3"] == (84_000, 0)


def test_the_charts_of_the_first_sheet_follow_its_numbers(make_redlist: Make, tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "red.xlsx", make_redlist({}, {"segment": "SMB"}))
    with ZipFile(path) as packed:
        drawn = [
            packed.read(name).decode() for name in packed.namelist() if name.startswith("xl/charts/chart")
        ]
    assert len(drawn) == 2
    segments = next(chart for chart in drawn if "By segment" in chart)
    sheet = load_workbook(path)["Totals"]
    cells = re.findall(r"!\$?([ABC])\$?(\d+)(?::\$[ABC]\$(\d+))?</", segments)
    assert {sheet[f"{column}{row}"].value for column, row, _ in cells} == {
        "Red",
        "Amber",
        "Enterprise",
        84_000,
        0,
    }
    assert all(sheet[f"A{last}"].value == "SMB" for _, _, last in cells if last)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "#N/A", "\t=1", '=HYPERLINK("x")'])
def test_text_like_a_formula_stays_text(text: str, make_redlist: Make, tmp_path: Path) -> None:
    changes = dict.fromkeys(("account_id", "name", "owner", "segment", "next_step"), text)
    changes["reasons"] = (Reason("f", "own", text, 1.0, 1.0),)
    path = write_workbook(tmp_path / "red.xlsx", make_redlist(changes), company=text)
    sheet = _sheet(path, "Red list")
    kinds = {cell.value: cell.data_type for cell in sheet[2]}
    assert kinds[text] == "s"
    named = next(cell for cell in sheet[2] if cell.value == text)
    assert bool(named.quotePrefix) == (text[0] != "#")
    assert all(cell.data_type != "f" for book in load_workbook(path) for row in book for cell in row)


def test_unknown_values_are_empty_cells(make_redlist: Make, tmp_path: Path) -> None:
    redlist = make_redlist({"annual_value": None, "churn_probability": float("nan"), "renewal_at": None})
    row = _row(_sheet(write_workbook(tmp_path / "red.xlsx", redlist), "Red list"))
    assert row["Annual value"] is None
    assert row["Churn probability"] is None
    assert row["Renewal at"] is None


def test_an_empty_list_says_so(make_redlist: Make, tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "red.xlsx", make_redlist())
    assert _sheet(path, "Red list")["A2"].value == "No account is on the list."


def test_dates_with_a_time_zone_can_be_written(make_redlist: Make, tmp_path: Path) -> None:
    redlist = make_redlist({"renewal_at": datetime(2026, 7, 24, tzinfo=UTC)})
    row = _row(_sheet(write_workbook(tmp_path / "red.xlsx", redlist), "Red list"))
    assert row["Renewal at"] == datetime(2026, 7, 24)


def test_a_folder_in_the_way_is_named(make_redlist: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found the folder"):
        write_workbook(tmp_path, make_redlist())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(max_size=50), reason=st.text(max_size=50))
def test_any_text_can_be_stored_and_read_back_as_text(name: str, reason: str, tmp_path: Path) -> None:
    row = replace(ROW, name=name, reasons=(Reason("f", "own", reason, 1.0, 1.0),))
    path = write_workbook(tmp_path / "red.xlsx", RedList(RUN, None, (), (row,)))
    assert all(cell.data_type != "f" for cell in _sheet(path, "Red list")[2])
