"""Raw values become the contract's types, or null where they do not fit; nothing fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.contract import ID_RULES, ColumnType, Reading, cast, literal, normal_id
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


def with_settings(engine: Engine, text: str, type_: ColumnType, **settings: Any) -> Any:
    expression = cast("v", type_, native="VARCHAR", reading=Reading(**settings))
    return engine.value(f"select {expression} from (select {literal(text)} as v)")


@pytest.mark.parametrize(
    ("text", "date_format", "moment"),
    [
        ("1764547200", "epoch_s", "2025-12-01 00:00"),
        ("1764547200.5", "epoch_s", "2025-12-01 00:00:00.500"),
        ("1767607200000", "epoch_ms", "2026-01-05 10:00"),
        ("1767607200000000", "epoch_us", "2026-01-05 10:00"),
        ("46266.4167", "excel", "2026-09-01 10:00:03"),
        ("46266", "excel", "2026-09-01 00:00"),
        ("2025-03-31 14:05:06 +0200", None, "2025-03-31 12:05:06"),
        ("2025-03-31 14:05:06 -05:00", None, "2025-03-31 19:05:06"),
        ("2025-03-31 14:05:06 UTC", None, "2025-03-31 14:05:06"),
        ("31.03.2025 14:05 +0200", "%d.%m.%Y %H:%M %z", "2025-03-31 12:05"),
        ("31.03.2025 14:05+02:00", "%d.%m.%Y %H:%M %z", "2025-03-31 12:05"),
        ("31.03.2025 14:05 +02", "%d.%m.%Y %H:%M%z", "2025-03-31 12:05"),
        ("31.03.2025 14:05Z", "%d.%m.%Y %H:%M%z", "2025-03-31 14:05"),
        ("31.03.2025 14:05 CET", "%d.%m.%Y %H:%M %Z", "2025-03-31 12:05"),
    ],
)
def test_dates_that_count_and_dates_with_zones(
    engine: Engine, text: str, date_format: str | None, moment: str
) -> None:
    expected = datetime.fromisoformat(moment)
    if text.endswith("CET"):  # summer time is not told from the name
        expected = datetime(2025, 3, 31, 12, 5)
    assert read(engine, text, "timestamp", date_format=date_format) == expected


@pytest.mark.parametrize("unit", ["epoch_s", "epoch_ms", "epoch_us", "excel"])
@pytest.mark.parametrize("text", ["soon", "", "1e300", "-1e300", "nan", "inf"])
def test_what_counts_no_time_is_null(engine: Engine, unit: str, text: str) -> None:
    assert read(engine, text, "timestamp", date_format=unit) is None


def test_numbers_in_typed_columns_may_count_time(engine: Engine) -> None:
    engine.run("create or replace temp table given as select 1767607200000 as v")
    ms = cast("v", "timestamp", native="BIGINT", reading=Reading(date_format={"v": "epoch_ms"}))
    assert engine.value(f"select {ms} from given") == datetime(2026, 1, 5, 10)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-03-31", "2025-03-31 00:00"),
        ("2025-03-31 00:00:00", "2025-03-31 00:00"),
        ("2025-07-01 10:00", "2025-07-01 08:00"),
        ("2025-01-01 10:00:00.5", "2025-01-01 09:00:00.500"),
        ("2025-07-01T10:00:00Z", "2025-07-01 10:00"),
        ("2025-07-01 10:00:00 +0300", "2025-07-01 07:00"),
        ("2025-03-30 02:30:00", "2025-03-30 01:30"),  # skipped by the clocks
        ("2025-10-26 02:30:00", "2025-10-26 01:30"),  # there twice
    ],
)
def test_times_without_a_zone_are_of_the_timezone(engine: Engine, text: str, moment: str) -> None:
    found = with_settings(engine, text, "timestamp", timezone="Europe/Berlin")
    assert found == datetime.fromisoformat(moment)
    engine.run(f"create or replace temp table given as select cast({literal(text[:19])} as timestamp) as v")
    typed = cast("v", "timestamp", native="TIMESTAMP", reading=Reading(timezone="Europe/Berlin"))
    if not text.endswith(("Z", "0300")):
        assert engine.value(f"select {typed} from given") == datetime.fromisoformat(moment).replace(
            microsecond=0
        )


@pytest.mark.parametrize(
    ("text", "number"),
    [("12.5 EUR", 12.5), ("€12.5", 12.5), ("-$3", -3), ("$-3", -3), ("R$ 7", 7), ("US$7", 7), ("7 kr", 7), ("usd 7", 7),
     ("7\u00a0€", 7), ("7 %", None), ("(7)", None), ("EUR", None), ("XYZ 7", None), ("ABC7", None), ("7-", None)],
)  # fmt: skip
def test_currencies_are_dropped(engine: Engine, text: str, number: float | None) -> None:
    assert read(engine, text, "number") == number


@pytest.mark.parametrize(
    ("text", "settings", "number"),
    [
        ("1.234,50 €", {"decimal": ",", "thousands": "."}, 1234.5),
        ("-1.234.567", {"thousands": "."}, -1234567),
        ("12,5", {"thousands": "."}, 12.5),
        ("12.5", {"decimal": ",", "thousands": "."}, None),
        ("1.234", {"decimal": ","}, None),
        ("1.234", {"decimal": "."}, 1.234),
        ("1,234.5", {"thousands": ","}, 1234.5),
        ("12,34,567", {"thousands": ","}, 1234567),
        ("1,23", {"thousands": ","}, None),
        ("1 234", {"thousands": " "}, 1234),
        ("1\u202f234\u00a0567,5", {"decimal": ",", "thousands": " "}, 1234567.5),
        ("1\u2019234.50", {"thousands": "'"}, 1234.5),
        ("1,5e3", {"decimal": ","}, 1500),
        ("", {"decimal": ","}, None),
        ("-", {"decimal": ","}, None),
    ],
)
def test_separators_are_followed_strictly(
    engine: Engine, text: str, settings: dict[str, str], number: float | None
) -> None:
    assert with_settings(engine, text, "number", **settings) == number


@pytest.mark.parametrize(
    ("text", "worst", "least"),
    [("1", 4, 1), ("2", 3, 2), ("3", 2, 3), ("4", 1, 4), ("5", 1, 4), ("0", 4, 1), ("P1", 4, 1), ("sev-2", 3, 2),
     ("Priority 3", 2, 3), ("1 - Critical", 4, 4), ("4 - Low", 1, 1), ("P1 (urgent)", 4, 4), ("3 - Moderate", 2, 2),
     ("Highest", 4, 4), ("2: whatever", 3, 2), ("P12", None, None), ("11", None, None), ("yellow", None, None)],
)  # fmt: skip
def test_severities_follow_their_order_unless_they_have_words(
    engine: Engine, text: str, worst: int | None, least: int | None
) -> None:
    assert with_settings(engine, text, "severity", severity_order="1 is worst") == worst
    assert with_settings(engine, text, "severity", severity_order="1 is least") == least


def test_scores_are_brought_to_ten_from_their_scale(engine: Engine) -> None:
    assert [with_settings(engine, text, "score", scale="1-5") for text in "135"] == [0, 5, 10]
    assert with_settings(engine, "70", "score", scale="0-100") == 7
    assert with_settings(engine, "7", "score") == 7
    by_kind = cast('"score"', "score", native="DOUBLE", reading=Reading(scale={"CSAT": "1-5"}))
    kinds = "(values ('csat ', 5.0, 1), ('nps', 9.0, 2), (null, 3.0, 3)) t(kind, score, i)"
    assert engine.rows(f"select {by_kind} from {kinds} order by i") == [(10,), (9,), (3,)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.text("0019aAßeE.,+ \u00a0\t", max_size=20)
        | st.from_regex(r"[0-9]{1,3}\.?[0-9]{0,6}([eE]\+?[0-9]{1,2})?", fullmatch=True)
    )
)
def test_a_normal_form_is_its_own_normal_form(engine: Engine, ids: list[str]) -> None:
    engine.table_from("given_ids", pa.table({"id": pa.array(ids, pa.string())}))
    for rule in ID_RULES:
        once = f"(select id, {normal_id('id', rule)} as once from given_ids)"
        both = f"(select id, once, {normal_id('once', rule)} as twice from {once})"
        assert engine.rows(f"select * from {both} where once is distinct from twice") == []
