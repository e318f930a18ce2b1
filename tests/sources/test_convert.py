"""Encodings and workbooks, and dates in the names of files and columns."""

from __future__ import annotations

import gzip
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from churnrisk.errors import ContractError, UsageError
from churnrisk.sources import TableConfig, detect_encoding, open_account, sheet_names
from tests.sources.reading import ACCOUNTS, ROWS, TEXT, engine, open_events, read, write_parquet

WESTERN = "account_id;name\nK1;Bäckerei Grün\nK2;Café Noël\nK3;5 € – “ja”\n"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (WESTERN, "cp1252", "cp1252"),
        (WESTERN.replace("€", "").replace("–", "").replace("“ja”", ""), "latin-1", "cp1252"),
        (WESTERN, "utf-8", None),
        (WESTERN, "utf-16", "utf-16"),
        (WESTERN, "utf-16-le", "utf-16-le"),
        (
            "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440;\u043a\u043b\u0438\u0435\u043d\u0442\n"
            * 5,
            "cp1251",
            "cp1251",
        ),
        ("plain;text\n", "ascii", None),
    ],
)
def test_an_encoding_is_detected(tmp_path: Path, text: str, encoding: str, found: str | None) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    assert detect_encoding(path) == found


def test_polish_is_not_taken_for_western(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("firma;miasto\nŻółw;Łódź\nŚlązak;Kraków\n".encode("cp1250"))
    assert detect_encoding(tmp_path / "a.csv") != "cp1252"


def test_bytes_beyond_the_first_megabyte_are_seen(tmp_path: Path) -> None:
    long = "a,b\n" + "plain,text\n" * 200_000 + "Ölmühle,Grün\n"
    (tmp_path / "a.csv").write_bytes(long.encode("cp1252"))
    assert detect_encoding(tmp_path / "a.csv") == "cp1252"
    # a character on the border of two chunks is no error
    (tmp_path / "b.csv").write_bytes(("x" * (2**20 + 3) + "ö" * 2**20).encode())
    assert detect_encoding(tmp_path / "b.csv") is None


@pytest.mark.parametrize(
    "encoding", ["cp1252", "windows-1252", "latin-1", "utf-16", "utf-8", "cp1250", "UTF8"]
)
def test_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "e.csv").write_bytes(TEXT.replace("login", "Übung").encode(encoding))
    assert read(tmp_path, path="e.csv", encoding=encoding)[0][2] == "Übung"
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(TEXT.replace("login", "Übung").encode(encoding)))
    assert read(tmp_path, path="e.csv.gz", encoding=encoding)[0][2] == "Übung"


def test_latin_1_has_the_euro_sign_that_is_in_such_files(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(TEXT.replace("login", "5 €").encode("cp1252"))
    assert read(tmp_path, path="e.csv", encoding="latin-1")[0][2] == "5 €"


def test_marks_at_the_start_say_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.encode("utf-16"))
    (tmp_path / "b.csv").write_bytes(TEXT.replace("account_id", '"account_id"').encode("utf-8-sig"))
    assert read(tmp_path, path="a.csv") == read(tmp_path, path="b.csv") == ROWS


def test_a_wrong_or_missing_encoding_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_bytes(TEXT.encode("utf-16-le"))
    with pytest.raises(ContractError, match=r'wide.csv is not UTF-8. Set encoding = "utf-16-le"'):
        read(tmp_path, path="wide.csv")
    (tmp_path / "e.csv").write_text(TEXT.replace("login", "Übung Ý"), encoding="utf-8")
    with pytest.raises(ContractError, match=r"e.csv is UTF-8, not cp1252. Remove"):
        read(tmp_path, path="e.csv", encoding="cp1252")
    (tmp_path / "e.csv").write_bytes(TEXT.replace("login", "Übung \x81").encode("latin-1"))
    with pytest.raises(ContractError, match=r"not in the encoding cp1252: .*0x81.* Set the one"):
        read(tmp_path, path="e.csv", encoding="cp1252")


def book(path: Path, **sheets: list[list[Any]]) -> None:
    made = openpyxl.Workbook()
    made.remove(made.worksheets[0])
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)


USAGE = [
    ["account_id", "occurred_at", "feature", "paid"],
    ["A", datetime(2025, 3, 1, 10), "login", True],
    ["A", datetime(2025, 3, 2), "report", 7.0],
]


def test_a_sheet_is_read_as_text(tmp_path: Path) -> None:
    book(tmp_path / "b.xlsx", Usage=USAGE)
    assert read(tmp_path, path="b.xlsx") == read(tmp_path, path="b.xlsx#usage") == ROWS
    with engine(tmp_path) as opened:
        open_events(opened, path="b.xlsx")
        assert opened.rows("from source_events order by occurred_at") == [
            ("A", "2025-03-01 10:00:00", "login", "true"),
            ("A", "2025-03-02", "report", "7"),
        ]


@pytest.mark.slow
def test_a_workbook_is_converted_again_only_once_it_has_changed(tmp_path: Path) -> None:
    book(tmp_path / "b.xlsx", Usage=USAGE)
    configs = {"accounts": ACCOUNTS, "events": TableConfig(path="b.xlsx")}

    def look() -> tuple[str, list[Any]]:
        with engine(tmp_path) as opened:
            open_account(opened, configs, "A", ["events"])
            source = opened.value("select sql from duckdb_views() where view_name = 'source_events'")
            return str(source), opened.rows("select occurred_at, feature from events order by 1")

    time.sleep(2.1)  # what has just been written may change again within the resolution of its times
    first = look()
    assert look() == first
    assert first[1] == [row[1:] for row in ROWS]
    book(tmp_path / "b.xlsx", Usage=[*USAGE, ["A", datetime(2025, 3, 3), "export", 1.0]])
    assert look()[1] == [*first[1], (datetime(2025, 3, 3), "export")]


def test_titles_blank_rows_and_empty_columns_are_skipped(tmp_path: Path) -> None:
    top = [["Usage report"], ["Created", date(2025, 4, 1)], [], [None, *USAGE[0][:3], None, ""]]
    book(tmp_path / "b.xlsx", Usage=[*top, *([None, *row[:3]] for row in USAGE[1:]), [], []])
    assert read(tmp_path, path="b.xlsx") == ROWS


def test_a_title_half_as_wide_as_the_table_is_no_header(tmp_path: Path) -> None:
    top = [["Report:", "Usage"], [], USAGE[0][:3]]
    book(tmp_path / "b.xlsx", Usage=[*top, *(row[:3] for row in USAGE[1:])])
    assert read(tmp_path, path="b.xlsx") == ROWS


def test_months_side_by_side_may_be_dates_or_years(tmp_path: Path) -> None:
    months = [date(2025, month, 1) for month in (3, 4, 5)]
    book(tmp_path / "b.xlsx", Usage=[["account_id", *months], ["A", 5, None, 7]])
    given = {"columns": {"occurred_at": "column_until", "feature": "column_value"}}
    found = read(tmp_path, path="b.xlsx", unpivot="%Y-%m-01", **given)
    assert found == [("A", datetime(2025, 3, 31), "5"), ("A", datetime(2025, 5, 31), "7")]
    book(tmp_path / "y.xlsx", Usage=[["account_id", 2022, 2023, 2024], ["A", 5, None, None]])
    assert read(tmp_path, path="y.xlsx", unpivot="%Y", **given) == [("A", datetime(2022, 12, 31), "5")]


def test_a_line_that_tells_excel_the_delimiter_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("sep=;\n" + TEXT.replace(",", ";"))
    assert read(tmp_path, path="e.csv") == ROWS
    (tmp_path / "e.csv").write_bytes(("SEP=;\r\n" + TEXT.replace(",", ";")).encode("utf-16"))
    assert read(tmp_path, path="e.csv") == ROWS


def test_a_folder_may_hold_the_date(tmp_path: Path) -> None:
    (tmp_path / "2025-03").mkdir()
    (tmp_path / "2025-03" / "usage.csv").write_text("account_id,feature\nA,login\n")
    given: dict[str, Any] = {"file_date": "%Y-%m", "columns": {"occurred_at": "file_from"}}
    assert read(tmp_path, path="*/usage.csv", **given) == [("A", datetime(2025, 3, 1), "login")]


def test_a_table_of_one_column_has_a_header(tmp_path: Path) -> None:
    book(tmp_path / "b.xlsx", A=[["account_id", "occurred_at"]] + [["A", None]] * 3)
    with engine(tmp_path) as opened:
        assert open_events(opened, path="b.xlsx").native["events"].keys() == {"account_id", "occurred_at"}


def test_several_sheets_and_wrong_ones_are_named(tmp_path: Path) -> None:
    book(tmp_path / "b.xlsx", Usage=USAGE, Notes=[["x", "y"], [1, 2]], Blank=[])
    assert sheet_names(tmp_path / "b.xlsx") == ["Usage", "Notes"]
    with pytest.raises(
        UsageError, match=r'several sheets: Usage, Notes. Name one, such as path = "b.xlsx#Usage"'
    ):
        read(tmp_path, path="b.xlsx")
    with pytest.raises(UsageError, match=r"b.xlsx has no sheet 'Use'; it has Usage, Notes"):
        read(tmp_path, path="b.xlsx#Use")
    book(tmp_path / "c.xlsx", Numbers=[[1, 2], [3, 4]])
    with pytest.raises(ContractError, match="no row of column names"):
        read(tmp_path, path="c.xlsx")
    (tmp_path / "d.xlsx").write_text("no zip")
    with pytest.raises(ContractError, match=r"d.xlsx is no workbook, or damaged"):
        read(tmp_path, path="d.xlsx")


def test_workbooks_of_one_shape_are_one_table(tmp_path: Path) -> None:
    book(tmp_path / "u_2025-03.xlsx", Usage=USAGE[:2], Other=USAGE)
    book(tmp_path / "u_2025-04.xlsx", Usage=[USAGE[0], USAGE[2]], Other=USAGE)
    assert read(tmp_path, path="u_*.xlsx#Usage") == ROWS


def test_columns_of_one_name_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("account_id,Feature,occurred_at,feature\nA,x,2025-03-01,login\n")
    with pytest.raises(ContractError, match=r"e.csv has several columns 'Feature'"):
        read(tmp_path, path="e.csv")
    assert read(tmp_path, path="e.csv", columns={"feature": "feature_1"})[0][2] == "login"
    (tmp_path / "e.csv").write_text("account_id,feature,feature_1,occurred_at\nA,login,y,2025-03-01\n")
    assert read(tmp_path, path="e.csv")[0][2] == "login"
    book(
        tmp_path / "b.xlsx",
        Usage=[["account_id", "feature", "occurred_at", "feature"], ["A", "x", "2025-03-01", "y"]],
    )
    with pytest.raises(UsageError, match="several columns for feature"):
        read(tmp_path, path="b.xlsx")


@pytest.mark.parametrize(
    ("name", "file_date", "first", "last"),
    [
        ("usage_2024-02.csv", "%Y-%m", (2024, 2, 1), (2024, 2, 29)),
        ("usage 20241231 v2.csv", "%Y%m%d", (2024, 12, 31), (2024, 12, 31)),
        ("Mar 2025.csv", "%b %Y", (2025, 3, 1), (2025, 3, 31)),
        ("2025Q4.csv", "%YQ%q", (2025, 10, 1), (2025, 12, 31)),
        ("fy25.csv", "fy%y", (2025, 1, 1), (2025, 12, 31)),
    ],
)
def test_the_date_in_a_file_name_becomes_two_columns(
    tmp_path: Path, name: str, file_date: str, first: tuple[int, int, int], last: tuple[int, int, int]
) -> None:
    (tmp_path / name).write_text("account_id,feature\nA,login\n")
    with engine(tmp_path) as opened:
        open_events(opened, path="*.csv", file_date=file_date, columns={"occurred_at": "file_from"})
        assert opened.rows("select file_from, file_until, account_id from source_events") == [
            (date(*first), date(*last), "A")
        ]
        assert opened.value("select occurred_at from events") == datetime(*first)


def test_files_without_a_date_or_with_several_are_named(tmp_path: Path) -> None:
    (tmp_path / "usage_2025-03.csv").write_text(TEXT)
    (tmp_path / "usage_2025-04 2025-05.csv").write_text(TEXT)
    with pytest.raises(
        ContractError, match=r"2025-04 2025-05.csv has no date like '%Y-%m' in its name, or several"
    ):
        read(tmp_path, path="*.csv", file_date="%Y-%m")
    with pytest.raises(UsageError, match="holds a year"):
        read(tmp_path, path="*.csv", file_date="%m")


def test_dates_in_names_of_parquet_json_and_sheets(tmp_path: Path) -> None:
    write_parquet(tmp_path / "p_2025-03.parquet", "select 'A' account_id, 'login' feature")
    write_parquet(tmp_path / "p_2025-04.parquet", "select 'A' account_id, 'report' feature")
    (tmp_path / "j_2025-03.json").write_text('{"account_id": "A", "feature": "login"}')
    book(tmp_path / "b_2025-03.xlsx", Usage=[["account_id", "feature"], ["A", "login"]])
    given = {"file_date": "%Y-%m", "columns": {"occurred_at": "file_until"}}
    assert read(tmp_path, path="p_*.parquet", **given) == [
        ("A", datetime(2025, 3, 31), "login"),
        ("A", datetime(2025, 4, 30), "report"),
    ]
    for path in ("j_*.json", "b_*.xlsx"):
        assert read(tmp_path, path=path, **given) == [("A", datetime(2025, 3, 31), "login")]
    with engine(tmp_path) as opened:
        parts = open_events(opened, path="p_*.parquet", **given).event_parts
        assert parts is not None
        files = "select occurred_at, file from " + parts.rows(["p_2025-04.parquet"])
        assert opened.rows(files) == [(datetime(2025, 4, 30), str(tmp_path / "p_2025-04.parquet"))]


def test_columns_named_by_periods_become_rows(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("account_id,feature,2025-03,2025-04\nA,login,5,\nA,report,n/a,7\n")
    given: dict[str, Any] = {"unpivot": "%Y-%m", "nulls": ("n/a",)}
    given["columns"] = {"occurred_at": "column_from", "quantity": "column_value"}
    with engine(tmp_path) as opened:
        open_events(opened, path="e.csv", **given)
        assert opened.rows("select account_id, occurred_at, feature, quantity from events order by 2") == [
            ("A", datetime(2025, 3, 1), "login", 5.0),
            ("A", datetime(2025, 4, 1), "report", 7.0),
        ]
        assert opened.value("select max(column_until) from source_events") == date(2025, 4, 30)


def test_parquet_sql_and_sheets_are_unpivoted_too(tmp_path: Path) -> None:
    rows = 'select \'A\' account_id, 5 as "Mar 2025", 2.5::double as "Apr 2025", null::int as "May 2025"'
    write_parquet(tmp_path / "e.parquet", rows)
    book(tmp_path / "b.xlsx", Usage=[["account_id", "Mar 2025", "Apr 2025", "May 2025"], ["A", 5, 2.5, None]])
    given = {"unpivot": "%b %Y", "columns": {"occurred_at": "column_until", "feature": "column_value"}}
    for source in ({"path": "e.parquet"}, {"path": "b.xlsx"}, {"sql": rows}):
        assert read(tmp_path, **source, **given) == [
            ("A", datetime(2025, 3, 31), "5"),
            ("A", datetime(2025, 4, 30), "2.5"),
        ]
    with pytest.raises(
        ContractError, match=r"unpivot = '%Y' fits the name of no column; there are account_id"
    ):
        read(tmp_path, path="e.parquet", unpivot="%Y")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoding": "klingon"}, "encoding 'klingon' is unknown"),
        ({"encoding": "base64"}, "encoding 'base64' is unknown"),
        ({"timezone": "Europe/Berln"}, 'timezone .*unknown. Write it like "Europe/Berlin"'),
        ({"date_format": {"since": "%Y"}}, "date_format names 'since'; the dates of events are occurred_at"),
        ({"date_format": "dd.mm.yyyy"}, "date_format is a strptime format"),
        ({"date_format": "%Q"}, "'%Q' is no strptime format"),
        ({"decimal": ";"}, 'decimal is "." or ","'),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
        ({"scale": "1-5"}, "scale does nothing: events has no score"),
        ({"severity_order": "1 is worst"}, "severity_order does nothing"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    with pytest.raises(UsageError, match=message):
        read(tmp_path, path="e.csv", **settings)


@pytest.mark.parametrize("scale", ["five", "5-1", "1-5-9", {"csat": "a-b"}])
def test_a_malformed_scale_is_refused(scale: Any) -> None:
    from churnrisk.sources import TableConfig

    with pytest.raises(UsageError, match='scale is written like "1-5"'):
        TableConfig(path="s.csv", scale=scale)
