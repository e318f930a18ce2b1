"""The row of the red list: the same columns at every door."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from openpyxl import load_workbook

from churnrisk.files import csv_text, without_formulas
from churnrisk.present import COLUMNS, AccountRow, flat, heading, write_workbook
from churnrisk.records import AccountState, Colour, Disposition, Move, MovePart, RedList

from .conftest import ROW, RUN

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]
MOVE = Move(
    datetime(2026, 6, 1), Colour.AMBER, "rule", 0.4, (MovePart("behaviour", 0.4, "no activity", "silence"),)
)
STATE = AccountState(
    3, Disposition.CONTACTED, note="Call", touched_at=datetime(2026, 7, 3, 9), touched_by="ana"
)


def test_json_csv_and_workbook_have_the_same_columns_in_the_same_order(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "red.xlsx", RedList(RUN, None, (), (ROW,)))
    header = [cell.value for cell in load_workbook(path)["Red list"][1]]
    assert list(AccountRow.of(ROW).model_dump(mode="json")) == list(flat(ROW)) == list(COLUMNS)
    assert header == [heading(name) for name in COLUMNS]


def test_a_row_keeps_its_structures_in_json_and_flattens_them_in_cells() -> None:
    row = replace(ROW, move=MOVE, state=STATE)
    shape = AccountRow.of(row).model_dump(mode="json")
    assert shape["move"]["parts"][0]["text"] == "no activity"
    assert (shape["version"], shape["disposition"], shape["note"]) == (3, "contacted", "Call")
    assert shape["renewal_at"] == "2026-07-24T00:00:00Z"
    cells = flat(row)
    assert cells["move"] == "since 2026-06-01: a rule; +0.4 no activity"
    assert cells["reasons"] == "No activity for 34 days; 2 complaints open, the oldest for 41 days"
    assert cells["renewal_at"] == datetime(2026, 7, 24).date()


def test_cells_round_money_to_cents_and_json_does_not() -> None:
    row = replace(ROW, expected_loss=7401.599999999999, churn_probability=0.1 + 0.2)
    assert flat(row)["expected_loss"] == 7401.6
    assert flat(row)["churn_probability"] == 0.1 + 0.2
    assert AccountRow.of(row).expected_loss == 7401.599999999999


def test_every_column_is_a_plain_cell() -> None:
    kinds = {type(value) for value in flat(replace(ROW, move=MOVE, state=STATE)).values()}
    assert {kind.__name__ for kind in kinds} <= {"str", "int", "float", "date", "datetime", "NoneType"}


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_in_csv_begins_like_a_formula(text: str) -> None:
    written = csv_text([flat(replace(ROW, name=text, owner=text)).values()])
    (cells,) = csv.reader(io.StringIO(written, newline=""))
    assert cells[1:3] == ["'" + text, "'" + text]


def test_numbers_below_zero_stay_numbers_in_csv() -> None:
    assert csv_text([[-1.5, datetime(2026, 7, 1, 9, 30), None]]) == "-1.5,2026-07-01 09:30,\n"


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_in_a_table_begins_like_a_formula(text: str) -> None:
    table = pa.table({"name": [text, None, "plain"], "amount": [-1.0, 2.0, None]})
    assert without_formulas(table).to_pydict() == {
        "name": ["'" + text, None, "plain"],
        "amount": [-1.0, 2.0, None],
    }
