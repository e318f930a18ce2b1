"""The public cases of values and files that are read wrongly or not at all: each is named, and read once it is set."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from churnrisk.contract import validate
from churnrisk.errors import ContractError
from churnrisk.records import Violation
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

CASES = Path(__file__).parents[3] / "shared" / "cases"
NOW = datetime(2026, 12, 1)

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")

Opened = tuple[dict[str, list[tuple[Any, ...]]], list[Violation]]


def opened(case: str, queries: dict[str, str], **configs: TableConfig) -> Opened:
    """Open a case's tables as configured; return what the queries find, and the violations."""
    with Engine(EngineConfig(threads=1), base=CASES / case / "input") as engine:
        tables = open_tables(engine, configs)
        found = validate(engine, tables.available, native=tables.native, readings=tables.readings, now=NOW)
        return {name: engine.rows(query) for name, query in queries.items()}, found


def fixes(found: list[Violation]) -> str:
    return " | ".join(item.fix for item in found if item.level == "error")


def plain(name: str, **settings: Any) -> TableConfig:
    return TableConfig(path=f"{name}.csv", **settings)


def test_16_windows_1252_with_money_and_dates_of_a_german_excel() -> None:
    german = {
        "delimiter": ";",
        "columns": {"account_id": "Kundennummer", "signed_up_at": "Kunde seit"},
    }
    events = TableConfig(sql="select 'K-001' as account_id, timestamp '2026-01-01' as occurred_at")
    with pytest.raises(ContractError, match=r'accounts.csv is not UTF-8. Set encoding = "cp1252"'):
        opened("16-windows-1252-euro-sign", {}, accounts=plain("accounts", **german), events=events)
    for encoding in ("windows-1252", "latin-1"):
        read = {**german, "encoding": encoding}
        _, found = opened("16-windows-1252-euro-sign", {}, accounts=plain("accounts", **read), events=events)
        assert 'decimal = "," and thousands = "."' in fixes(found)
        assert 'date_format = "%d.%m.%Y"' in fixes(found)
        read |= {"decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y"}
        query = {"rows": "select name, signed_up_at, mrr from accounts order by account_id limit 1"}
        rows, found = opened(
            "16-windows-1252-euro-sign", query, accounts=plain("accounts", **read), events=events
        )
        assert not fixes(found)
        assert rows["rows"] == [("Bäckerei Grün 0", datetime(2025, 12, 1), 1234.5)]


def test_18_epochs_and_excel_serials() -> None:
    case = "18-epoch-and-excel-serial-dates"
    formats = {"events": "epoch_ms", "subscriptions": "epoch_s", "complaints": "excel"}
    _, found = opened(case, {}, accounts=plain("accounts"), **{name: plain(name) for name in formats})
    for one in formats.values():
        assert f'Set date_format = "{one}" under' in fixes(found)
    read = {name: plain(name, date_format=one) for name, one in formats.items()}
    queries = {
        "events": "select min(occurred_at) from events",
        "subscriptions": "select min(started_at) from subscriptions",
        "complaints": "select opened_at from complaints",
    }
    rows, found = opened(case, queries, accounts=plain("accounts"), **read)
    assert not fixes(found)
    assert rows == {
        "events": [(datetime(2026, 1, 5, 10),)],
        "subscriptions": [(datetime(2025, 12, 1),)],
        "complaints": [(datetime(2026, 9, 1, 10, 0, 3),)],
    }


def test_19_day_first_with_and_without_time() -> None:
    names = ("accounts", "events", "subscriptions")
    _, found = opened("19-day-first-dates", {}, **{name: plain(name) for name in names})
    per_column = 'date_format = { signed_up_at = "%d/%m/%Y %H:%M", renewal_at = "%d/%m/%Y" }'
    for line in (per_column, 'date_format = "%d/%m/%Y %H:%M"', 'date_format = "%d/%m/%Y" or'):
        assert line in fixes(found)
    each = {"signed_up_at": "%d/%m/%Y %H:%M", "renewal_at": "%d/%m/%Y"}
    rows, found = opened(
        "19-day-first-dates",
        {"rows": "select signed_up_at, renewal_at from accounts order by account_id limit 1"},
        accounts=plain("accounts", date_format=each),
        events=plain("events", date_format="%d/%m/%Y %H:%M"),
        subscriptions=plain("subscriptions", date_format="%d/%m/%Y"),
    )
    assert not fixes(found)
    assert rows["rows"] == [(datetime(2025, 12, 31, 0, 15), datetime(2026, 3, 1))]


def test_21_priority_1_is_the_worst() -> None:
    worst = {"columns": {"severity": "priority"}, "severity_order": "1 is worst"}
    query = {"rows": "select severity from complaints where resolved_at is null order by account_id"}
    rows, _ = opened(
        "21-priority-1-is-the-worst",
        query,
        accounts=plain("accounts"),
        complaints=plain("complaints", **worst),
    )
    assert rows["rows"] == [(4,), (1,)]


def test_23_the_month_in_the_file_name() -> None:
    monthly = TableConfig(
        path="customers_*.csv",
        file_date="%Y-%m",
        columns={"account_id": "customer_id", "valid_from": "file_from"},
    )
    rows, found = opened(
        "23-one-file-per-month",
        {"rows": "select account_id, valid_from from attributes order by valid_from, account_id limit 1"},
        accounts=TableConfig(
            sql="select distinct customer_id as account_id from read_csv('customers_*.csv')"
        ),
        attributes=monthly,
    )
    assert not fixes(found)
    assert rows["rows"] == [("A001", datetime(2026, 1, 1))]


def test_25_sheets_of_a_workbook() -> None:
    sheets = {
        "accounts": TableConfig(path="CS data.xlsx#Accounts", columns={"account_id": "Account ID"}),
        "events": TableConfig(
            path="CS data.xlsx#Usage", columns={"account_id": "Account ID", "occurred_at": "Timestamp"}
        ),
        "subscriptions": TableConfig(
            path="CS data.xlsx#Contracts",
            columns={"account_id": "Account ID", "started_at": "Start date", "ended_at": "End date"},
        ),
    }
    queries = {
        "events": "select min(occurred_at), any_value(feature) from events",
        "terms": "select distinct started_at, mrr from subscriptions",
        "source": 'select distinct "Start date" from source_subscriptions',
    }
    rows, found = opened("25-workbook", queries, **sheets)
    assert not fixes(found)
    assert rows["events"] == [(datetime(2026, 1, 5, 10), "report")]
    assert rows["terms"] == [(datetime(2025, 12, 1), 100.0)]
    assert rows["source"] == [(date(2025, 12, 1).isoformat(),)]
