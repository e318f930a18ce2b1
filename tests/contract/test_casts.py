"""Raw values become the contract's types, or null where they do not fit; nothing fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from churnrisk.contract import ColumnType, Reading, cast, literal, normal_id
from churnrisk.sources import Engine, EngineConfig


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(EngineConfig(threads=1), base=Path.cwd()) as opened:
        yield opened


def read(engine: Engine, text: str, type_: ColumnType, *, date_format: str | None = None) -> Any:
    expression = cast("v", type_, native="VARCHAR", reading=Reading(date_format=date_format))
    return engine.value(f"select {expression} from (select {literal(text)} as v)")


def read_native(engine: Engine, value: str, type_: ColumnType) -> Any:
    engine.run(f"create or replace temp table given as select {value} as v")
    return engine.value(f"select {cast('v', type_, native=engine.columns('given')['v'])} from given")


@pytest.mark.parametrize(
    ("text", "level"),
    [("low", 1), ("Minor", 1), (" medium ", 2), ("Normal", 2), ("HIGH", 3), ("major", 3), ("Critical", 4),
     ("urgent", 4), ("1", 1), ("4", 4), ("2.0", 2), ("0", None), ("5", None), ("bad", None), ("", None)],
)  # fmt: skip
def test_severity_is_read_from_words_and_numbers(engine: Engine, text: str, level: int | None) -> None:
    assert read(engine, text, "severity") == level


@pytest.mark.parametrize(
    ("text", "flag"),
    [("true", True), ("Yes", True), ("Y", True), ("1", True), ("1.0", True), ("t", True), ("FALSE", False),
     ("no", False), ("n", False), ("0", False), ("0.0", False), ("f", False), ("2", None), ("maybe", None)],
)  # fmt: skip
def test_booleans_are_read_from_many_words(engine: Engine, text: str, flag: bool | None) -> None:
    assert read(engine, text, "boolean") is flag


@pytest.mark.parametrize(
    ("text", "number"),
    [("12.5", 12.5), (" 7 ", 7.0), ("-3", -3.0), ("1e3", 1000.0), ("nan", None), ("inf", None),
     ("-Infinity", None), ("1e14", None), ("99999999999999", 99999999999999.0), ("12,5", None), ("", None)],
)  # fmt: skip
def test_numbers_are_finite_and_fit_the_sums(engine: Engine, text: str, number: float | None) -> None:
    assert read(engine, text, "number") == number


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-03-31", "2025-03-31 00:00"),
        (" 2025-03-31 14:05 ", "2025-03-31 14:05"),
        ("2025-03-31 14:05:06", "2025-03-31 14:05:06"),
        ("2025-03-31T14:05:06.25", "2025-03-31 14:05:06.250"),
        ("2025-03-31T14:05:06Z", "2025-03-31 14:05:06"),
        ("2025-03-31 14:05:06+02", "2025-03-31 12:05:06"),
        ("2025-03-31 14:05+02", "2025-03-31 12:05"),
        ("2025-03-31T14:05:06-05:30", "2025-03-31 19:35:06"),
        ("2025/03/31", "2025-03-31 00:00"),
    ],
)
def test_dates_are_read_with_their_offset_as_utc(engine: Engine, text: str, moment: str) -> None:
    assert read(engine, text, "timestamp") == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    "text", ["soon", "2025-13-01", "2025-02-29", "31.03.2025", "infinity", "0001-01-01", "20250331", ""]
)
def test_an_unreadable_date_is_null(engine: Engine, text: str) -> None:
    assert read(engine, text, "timestamp") is None


def test_a_date_format_is_followed(engine: Engine) -> None:
    assert read(engine, "03/04/2025", "timestamp", date_format="%d/%m/%Y") == datetime(2025, 4, 3)
    assert read(engine, "2025-04-03", "timestamp", date_format="%d/%m/%Y") is None
    assert read(engine, "it's 2025", "timestamp", date_format="it's %Y") == datetime(2025, 1, 1)


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ("date '2025-03-31'", "timestamp", datetime(2025, 3, 31)),
        ("timestamptz '2025-03-31 14:00:00+02'", "timestamp", datetime(2025, 3, 31, 12)),
        ("timestamp_ns '2025-03-31 14:00:00'", "timestamp", datetime(2025, 3, 31, 14)),
        ("timestamp 'infinity'", "timestamp", None),
        ("1748736000", "timestamp", None),
        ("12::decimal(9, 2)", "number", 12.0),
        ("'nan'::double", "number", None),
        ("7::bigint", "id", "7"),
        ("3::smallint", "severity", 3),
        ("2.5", "severity", 2.5),
        ("1::integer", "boolean", True),
        ("true", "boolean", True),
        ("true", "number", 1.0),
        ("null", "number", None),
        ("null", "timestamp", None),
    ],
)  # fmt: skip
def test_typed_values_are_converted(engine: Engine, value: str, type_: ColumnType, expected: Any) -> None:
    assert read_native(engine, value, type_) == expected


def test_ids_are_trimmed_and_empty_ones_are_null(engine: Engine) -> None:
    assert read(engine, "  A1 ", "id") == "A1"
    assert read(engine, "  ", "id") is None


@pytest.mark.parametrize(
    ("rule", "written", "normal"),
    [
        ("upper", " a1 ", "A1"),
        ("lower", "A1", "a1"),
        ("no_leading_zeros", "0012", "12"),
        ("no_leading_zeros", "000", "0"),
        ("no_decimals", "12.0", "12"),
        ("no_decimals", "12,00", "12"),
        ("no_decimals", "12.5", "12.5"),
        ("no_decimals", "12,000", "12,000"),
        ("no_exponents", "1.2E+05", "120000"),
        ("no_exponents", "1.234567e6", "1234567"),
        ("no_exponents", "1.23457E+08", "1.23457E+08"),
        ("no_exponents", "1.25E1", "1.25E1"),
        ("no_spaces", "A\u00a01\t", "A1"),
        ("first_15", "0015g00000AbCdEAAZ", "0015g00000AbCdE"),
        ("first_15", "0015g00000AbCdE", "0015g00000AbCdE"),
        (("no_decimals", "no_leading_zeros"), "007.0", "7"),
        ("upper", "  ", None),
    ],
)
def test_ids_have_a_normal_form(
    engine: Engine, rule: str | tuple[str, ...], written: str, normal: str | None
) -> None:
    assert engine.value(f"select {normal_id('id', rule)} from (select {literal(written)} as id)") == normal
