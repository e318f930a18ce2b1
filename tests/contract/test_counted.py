"""Which rows count: whole days, trials, states, versions; what is left out is counted and named."""

from __future__ import annotations

import shutil
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnrisk as cr
from churnrisk.contract import blocking, validate
from churnrisk.errors import UsageError
from churnrisk.records import Violation
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables
from tests.contract.checking import NOW, only
from tests.world import on

CASES = Path(__file__).parents[3] / "shared" / "cases"


def opened(query: str, **config: Any) -> tuple[list[tuple[Any, ...]], list[Violation]]:
    """Return started_at, ended_at and completed of the terms that a query yields, and what the check says of it."""
    tables = {
        "accounts": TableConfig(sql="select 'A' || i as account_id from range(30) t(i)"),
        "subscriptions": TableConfig(sql=query, **config),
    }
    with Engine(EngineConfig(threads=1), base=Path.cwd()) as engine:
        found = open_tables(engine, tables)
        ended = "ended_at" if found.available.has("subscriptions.ended_at") else "null"
        rows = engine.rows(f"select started_at, {ended}, completed from subscriptions order by all")
        said = validate(engine, found.available, native=found.native, readings=found.readings, now=NOW)
    return rows, said


def terms(
    *rows: str, columns: str = "started_at, ended_at", mapped: dict[str, str] | None = None, **config: Any
) -> list[tuple[Any, ...]]:
    """Return the typed terms of account A1 from rows of SQL values."""
    return opened(_values(rows, columns), columns=mapped or {}, **config)[0]


def said(*rows: str, columns: str, **config: Any) -> list[Violation]:
    """Return what the check says of rows of account A1."""
    return opened(_values(rows, columns), **config)[1]


def _values(rows: tuple[str, ...], columns: str) -> str:
    listed = ", ".join(f"('A1', {row})" for row in rows)
    return f"select * from (values {listed}) t(account_id, {columns})"


@pytest.mark.parametrize(
    ("end", "config", "ends"),
    [
        ("'2025-01-31'", {}, "2025-02-01"),
        ("date '2025-01-31'", {}, "2025-02-01"),
        ("'2025-01-31 00:00:00'", {}, "2025-01-31"),
        ("'2025-01-31T00:00:00Z'", {}, "2025-01-31"),
        ("timestamp '2025-01-31'", {}, "2025-01-31"),
        ("'31.01.2025'", {"date_format": {"ended_at": "%d.%m.%Y"}}, "2025-02-01"),
        ("'31.01.2025 00:00'", {"date_format": {"ended_at": "%d.%m.%Y %H:%M"}}, "2025-01-31"),
        ("'45688'", {"date_format": {"ended_at": "excel"}}, "2025-02-01"),
        ("'45688.5'", {"date_format": {"ended_at": "excel"}}, "2025-01-31 12:00"),
        ("'1738281600'", {"date_format": {"ended_at": "epoch_s"}}, "2025-01-31"),
        ("'9999-12-31'", {}, "9999-12-31 23:59:59.999999"),
    ],
)
def test_an_end_given_as_a_date_covers_its_day(end: str, config: dict[str, Any], ends: str) -> None:
    assert terms(f"'2025-01-01', {end}", **config) == [(on("2025-01-01"), on(ends), False)]


def test_a_term_without_an_end_has_none() -> None:
    assert terms("'2025-01-01', ''", "'2025-01-02', null") == [
        (on("2025-01-01"), None, False),
        (on("2025-01-02"), None, False),
    ]


def test_a_day_on_which_the_next_term_begins_belongs_to_that() -> None:
    first = (on("2025-01-01"), on("2025-01-31"), False)
    last = (on("2025-01-31"), on("2025-03-01"), False)
    assert terms("'2025-01-01', '2025-01-31'", "'2025-01-31', '2025-02-28'") == [first, last]
    known_late = ("'2025-01-01', '2025-01-31', ''", "'2025-01-31', '2025-02-28', '2025-02-03 10:00:00'")
    found = terms(*known_late, columns="started_at, ended_at, recorded_at")
    assert found == [(on("2025-01-01"), on("2025-02-01"), False), last], "nobody knew of it on that day"


@pytest.mark.parametrize(("end", "before"), [("2025-06-04", True), ("2025-06-05", False)])
def test_an_end_before_its_start_is_found_by_the_day(end: str, before: bool) -> None:
    rows = [f"'2025-06-05 09:00:00', '{end}'", *["'2025-01-01', '2025-02-01'"] * 30]
    found = [one for one in said(*rows, columns="started_at, ended_at") if one.column == "ended_at"]
    assert [(one.rule, one.count) for one in found] == ([("is before started_at", 1)] if before else [])


TRIAL = "started_at, status, ended_at, trial_ends_at"


@pytest.mark.parametrize(
    ("row", "start"),
    [
        ("'2025-05-01', 'canceled', '2025-05-15', '2025-05-15'", None),
        ("'2025-05-01', 'canceled', '2025-05-15 14:30:00', '2025-05-15'", None),
        ("'2025-05-01', 'canceled', '2025-05-15', '2025-05-15 08:00:00'", None),
        ("'2025-05-01', 'trialing', '', '2025-05-15'", None),
        ("'2025-05-01', 'In Trial', '', ''", None),
        ("'2025-05-01', 'canceled', '2025-05-16', '2025-05-15'", "2025-05-15"),
        ("'2025-05-01', 'active', '', '2025-05-15'", "2025-05-15"),
        ("'2025-05-01', 'active', '', ''", "2025-05-01"),
    ],
)
def test_a_trial_is_a_customer_once_it_was_paid(row: str, start: str | None) -> None:
    other = "'2025-01-01', 'active', '', ''"
    found = [began for began, *_ in terms(row, other, columns=TRIAL)]
    assert found == [on("2025-01-01"), *([on(start)] if start else [])]
    trials = [one for one in said(row, other, columns=TRIAL) if "trial" in one.rule]
    assert [(one.count, one.level, one.examples) for one in trials] == (
        [] if start else [(1, "warn", ("A1",))]
    )


def test_the_end_of_trials_under_an_unmapped_name_is_asked_for() -> None:
    rows = ("'2025-05-01', 'canceled', '2025-05-15', '2025-05-15'", "'2025-01-01', 'active', '', ''")
    found = only(blocking(said(*rows, columns="started_at, status, ended_at, trial_end")))
    assert (found.column, found.count) == ("trial_end", 1)
    assert 'trial_ends_at = "trial_end"' in found.fix


STATE = "started_at, status, ended_at"


@pytest.mark.parametrize(
    ("state", "end", "counts"),
    [
        ("active", "", True),
        ("Past Due", "", True),
        ("non-renewing", "", True),
        ("Expired", "2025-06-01", True),
        ("incomplete_expired", "2025-06-01", False),
        ("Draft", "", False),
        ("paused", "", False),
        ("paused", "2025-06-01", True),
        ("cancelled", "2025-06-01", True),
        ("cancelled", "", False),
        ("Completed", "2025-06-01", True),
    ],
)
def test_the_state_says_which_terms_are_of_customers(state: str, end: str, counts: bool) -> None:
    others = ["'2025-01-01', 'active', ''"] * 30
    row = f"'2025-05-01', '{state}', '{end}'"
    found = terms(row, *others, columns=STATE)
    assert len(found) == 30 + counts
    warned = [one for one in said(row, *others, columns=STATE) if one.column in ("status", "ended_at")]
    assert [(one.level, one.count) for one in warned] == (
        [("warn", 1)] if not counts or state == "Completed" else []
    )


def test_states_that_are_over_without_an_end_block_where_they_are_many() -> None:
    rows = ["'2025-01-01', 'active', ''"] * 5 + ["'2025-01-01', 'cancelled', ''"]
    found = only(blocking(said(*rows, columns=STATE)))
    assert (found.rule, found.count) == ("is over without an end", 1)
    assert "ended_at" in found.fix


@pytest.mark.parametrize(
    ("config", "done"),
    [
        ({}, [True, False]),
        ({"completed": ()}, [False, False]),
        ({"completed": ("Expired",)}, [False, True]),
        ({"status": ("expired",), "completed": ("fulfilled",)}, [True, False]),
    ],
)
def test_the_settings_say_which_ends_are_no_churn(config: dict[str, Any], done: list[bool]) -> None:
    rows = ("'2025-01-01', 'fulfilled', '2025-02-01'", "'2025-01-01', 'expired', '2025-03-01'")
    assert [completed for *_, completed in terms(*rows, columns=STATE, **config)] == done


def test_a_list_of_states_may_hold_those_without_one() -> None:
    rows = (
        "'2025-01-01', '', ''",
        "'2025-01-01', 'price', '2025-03-01'",
        "'2025-01-01', 'moved', '2025-03-01'",
    )
    assert len(terms(*rows, columns=STATE, status=("", "price"))) == 2


@pytest.mark.parametrize(("yes", "no"), [("'TRUE'", "'FALSE'"), ("true", "null")])
def test_a_flag_of_trials_is_named_and_its_proposal_leaves_them_out(yes: str, no: str) -> None:
    rows = (f"'2025-01-01', '', {yes}", f"'2025-02-01', '', {no}")
    columns = "started_at, ended_at, is_trial"
    found = only(said(*rows, columns=columns))
    assert (found.level, found.column, found.count) == ("warn", "is_trial", 1)
    proposed = tomllib.loads(found.fix[found.fix.index("where = ") :].split(" under ")[0])["where"]
    assert terms(*rows, columns=columns, where=proposed) == [(on("2025-02-01"), None, False)]
    assert said(*rows, columns=columns, where=proposed) == []


def test_notice_under_an_unmapped_name_is_named() -> None:
    found = only(
        said("'2025-01-01', '2025-03-01', '2025-02-01'", columns="started_at, ended_at, canceled_at")
    )
    assert (found.level, found.column, found.count) == ("warn", "canceled_at", 1)
    assert 'cancelled_at = "canceled_at"' in found.fix


def test_an_unknown_state_is_asked_for_and_the_setting_answers() -> None:
    rows = ["'2025-01-01', 'active', ''"] * 3 + ["'2025-02-01', 'Gold', ''"] * 2
    found = only(blocking(said(*rows, columns=STATE)))
    assert (found.column, found.count, found.examples) == ("status", 2, ("Gold",))
    assert 'status = ["active", "Gold"]' in found.fix
    assert "Gold (2)" in found.fix
    chosen = [one for one in said(*rows, columns=STATE, status=("Active",)) if one.column == "status"]
    assert [(one.level, one.count) for one in chosen] == [("warn", 2)]
    assert len(terms(*rows, columns=STATE, status=("Active",))) == 3
    assert len(terms(*rows, columns=STATE, status=("active", "gold"))) == 5


def test_trials_count_where_the_settings_list_them() -> None:
    row = "'2025-05-01', 'trialing', '', '2025-05-15'"
    assert terms(row, columns=TRIAL, status=("active", "trialing")) == [(on("2025-05-01"), None, False)]


def test_without_a_customer_the_check_says_so() -> None:
    found = blocking(said("'2025-05-01', 'draft', ''", columns=STATE))
    assert [one.rule for one in found] == ["no row makes a customer"]


@pytest.mark.parametrize("status", [(), ("active",)])
def test_a_setting_that_can_choose_nothing_is_refused(status: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"\[tables.subscriptions\] status"):
        terms("'2025-05-01', ''", status=status)


VERSIONS = "id, started_at, ended_at, updated_at"


@pytest.mark.parametrize(
    ("second", "overlap"),
    [
        ("'s1', '2025-01-01', '2025-06-10', '2025-06-10'", True),
        ("'s1', '2025-03-01', '', '2025-03-01'", True),
        ("'s2', '2025-03-01', '', '2025-03-01'", False),
    ],
)
def test_rows_of_one_subscription_that_run_at_the_same_time_are_versions(second: str, overlap: bool) -> None:
    found = blocking(said("'s1', '2025-01-01', '', '2025-01-01'", second, columns=VERSIONS))
    assert [(one.count, one.examples) for one in found] == ([(1, ("s1 of A1",))] if overlap else [])
    if overlap:
        assert "updated_at" in found[0].fix


def test_terms_of_one_subscription_one_after_the_other_are_none() -> None:
    rows = ("'s1', '2025-01-01', '2025-01-31', ''", "'s1', '2025-01-31', '2025-02-28', ''",
            "'s1', '2025-03-01', '', ''")  # fmt: skip
    assert blocking(said(*rows, columns=VERSIONS)) == []


def test_a_column_that_names_plans_is_no_id() -> None:
    rows = ", ".join(
        f"('A{number}', 'premium', '2025-01-0{day}', '')" for number in range(9) for day in (1, 2)
    )
    query = f"select * from (values {rows}) t(account_id, subscription, started_at, ended_at)"
    assert blocking(opened(query)[1]) == []


@pytest.mark.parametrize(
    ("marker", "of_gone", "of_kept"),
    [
        ("_fivetran_active", "false", "true"),
        ("_fivetran_active", "'false'", "'true'"),
        ("IsDeleted", "'true'", "'false'"),
        ("_sdc_deleted_at", "'2025-03-01'", "''"),
        ("deleted_at", "timestamp '2025-03-01'", "null"),
        ("dbt_valid_to", "timestamp '2025-03-01'", "timestamp '9999-12-31'"),
        ("__hevo__marked_deleted", "true", "null"),
    ],
)
def test_rows_marked_as_deleted_or_superseded_are_left_out_and_counted(
    marker: str, of_gone: str, of_kept: str
) -> None:
    rows = (f"'2025-01-01', '', {of_gone}", f"'2025-02-01', '', {of_kept}")
    columns = f'started_at, ended_at, "{marker}"'
    assert [start for start, *_ in terms(*rows, columns=columns)] == [on("2025-02-01")]
    found = only(said(*rows, columns=columns))
    assert (found.column, found.level, found.count) == (marker, "warn", 1)
    assert f'where = \'"{marker}"' in found.fix
    vouched = f'"{marker}" is not null or true'
    assert len(terms(*rows, columns=columns, where=vouched)) == 2
    assert said(*rows, columns=columns, where=vouched) == []


def test_a_marker_that_is_mapped_means_what_it_is_mapped_to() -> None:
    row = "'2025-01-01', '2025-03-01 00:00:00'"
    found = terms(row, columns="started_at, deleted_at", mapped={"ended_at": "deleted_at"})
    assert found == [(on("2025-01-01"), on("2025-03-01"), False)]


def test_many_deleted_accounts_may_be_those_who_left() -> None:
    accounts = (
        "select 'A' || i as account_id, if(i % 4 = 0, '2025-03-01', null) as deleted_at from range(40) t(i)"
    )
    configs = {"accounts": TableConfig(sql=accounts), "events": TableConfig(sql="select 'A1' as account_id, "
        "'2025-02-01' as occurred_at")}  # fmt: skip
    with Engine(EngineConfig(threads=1), base=Path.cwd()) as engine:
        found = open_tables(engine, configs)
        assert engine.value("select count(*) from accounts") == 30
        lines = validate(engine, found.available, native=found.native, readings=found.readings, now=NOW)
    line = only(blocking(lines))
    assert (line.column, line.count) == ("deleted_at", 10)
    assert "customers who left" in line.fix


case = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")
MONTHS = {"every_months": 1, "first": "2026-03-01"}


@case
def test_ends_given_as_the_last_day_leave_no_gap(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(CASES / "04-inclusive-end-dates-grey" / "input", folder)
    with (folder / "accounts.csv").open("a") as accounts, (folder / "subscriptions.csv").open("a") as lost:
        accounts.write("A099,Lost\n")
        lost.write("A099,2026-01-01,2026-05-31,100\n")
    panel = cr.load(folder, snapshots=MONTHS).panel()
    others = panel.y[panel.X.index.get_level_values("account_id") != "A099"]
    assert others.groupby("as_of").count().unique().tolist() == [12]
    assert others.sum() == 0
    assert panel.y.xs("A099").loc[["2026-05-01", "2026-06-01"]].tolist() == [0, 1]


@case
def test_of_versions_the_active_one_counts(tmp_path: Path) -> None:
    panel = cr.load(CASES / "08-subscription-versions-counted-twice" / "input", snapshots=MONTHS).panel()
    upgraded = panel.X.assign(churned=panel.y).xs("A001").loc[datetime(2026, 6, 1)]
    assert (upgraded["mrr"], upgraded["churned"]) == (300, 1)


@case
def test_trials_and_incomplete_ones_are_no_churn(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(CASES / "09-trials-counted-as-lost-customers" / "input", folder)
    (folder / "churnrisk.toml").write_text(
        '[tables.accounts]\npath = "customers.csv"\ncolumns = {account_id = "id"}\n'
        '[tables.events]\npath = "product_events.csv"\n'
        'columns = {account_id = "customer_id", occurred_at = "timestamp", feature = "event"}\n'
        '[tables.subscriptions]\npath = "subscriptions.csv"\n'
        'columns = {account_id = "customer_id", started_at = "start_date", trial_ends_at = "trial_end"}\n'
        '[churn]\ndefinition = "contractual"\n'
    )
    report = cr.load(folder).check()
    assert {one.rule: one.count for one in report.violations if one.table == "subscriptions"} == {
        "is a trial that was never paid": 3,
        "was never paid or has not begun": 1,
    }
    assert report.rows["subscriptions"] == 8


@given(
    days=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), min_size=1, max_size=4),
)
@settings(max_examples=15, deadline=None)
def test_a_date_equals_the_next_midnight(days: list[tuple[int, int]]) -> None:
    """Ends given as dates make the terms that ends given as the next midnight do, but for a day that is followed."""
    spans = [(pd.Timestamp("2025-01-01") + pd.Timedelta(days=start), length) for start, length in days]
    by_date = [
        f"'{start:%Y-%m-%d}', '{start + pd.Timedelta(days=length):%Y-%m-%d}'" for start, length in spans
    ]
    found = terms(*by_date)
    expected = sorted(
        (
            start.to_pydatetime(),
            (
                end if any(_follows(other, end) for other in spans) else end + pd.Timedelta(days=1)
            ).to_pydatetime(),
            False,
        )
        for start, length in spans
        for end in [start + pd.Timedelta(days=length)]
    )
    assert found == expected


def _follows(other: tuple[pd.Timestamp, int], end: pd.Timestamp) -> bool:
    start, length = other
    return start == end and length > 0
