"""The panel: one row per (account_id, as_of) with eligibility and, where mature, the label."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from churnrisk.contract.casts import LATEST, tidy
from churnrisk.snapshots.churn import ChurnConfig
from churnrisk.snapshots.losses import lost_terms, require_source
from churnrisk.sources import Tables

if TYPE_CHECKING:
    import pandas as pd


def build_panel(tables: Tables, churn: ChurnConfig, dates: Sequence[datetime], *, data_end: datetime) -> None:
    """Create the relations ``as_of_dates`` and ``panel`` in the engine.

    ``panel`` holds one row per account known before each date: account_id, as_of, grey_reason (null when
    the account is eligible) and churned (null while immature or not eligible).

    Parameters
    ----------
    tables : Tables
        Opened tables.
    churn : ChurnConfig
        The definition of churn.
    dates : sequence of datetime
        As-of dates at 00:00.
    data_end : datetime
        The tables are complete before it; a label window that reaches beyond has no label.

    Raises
    ------
    ContractError
        If the definition's table is not there.
    """
    require_source(tables, churn)
    engine = tables.engine
    values = ", ".join(f"(timestamp '{moment:%Y-%m-%d}')" for moment in sorted(set(dates)))
    engine.run(f"create or replace temp table as_of_dates as select * from (values {values}) d(as_of)")
    engine.run(f"create or replace temp table first_seen as {first_seen(tables, churn)}")
    activity, outcome = {
        "contractual": _contractual,
        "inactivity": _inactivity,
        "labels": _labels,
    }[churn.definition](tables, churn)
    engine.run(f"create or replace temp table account_state as {activity}")
    engine.run(f"create or replace temp table account_outcome as {outcome}")
    engine.run(f"create or replace temp table panel as {_panel(tables, churn, data_end)}")
    engine.drop("account_state")


def sample_panel(tables: Tables, *, max_rows: int) -> int:
    """Keep one of so many accounts in ``panel`` that at most about ``max_rows`` of its rows have a label.

    Which accounts those are depends on their ids alone, so that the next training learns from the same ones.

    Returns
    -------
    int
        The number of parts that the accounts were divided into, of which one is kept; 1 leaves all.
    """
    labelled = tables.engine.value("select count(*) from panel where churned is not null")
    parts = -(-labelled // max_rows) or 1
    if parts > 1:
        below = f"{16**8 // parts:08x}"
        tables.engine.run(f"delete from panel where substr(md5(account_id), 1, 8) >= '{below}'")
    return int(parts)


def outcomes(
    tables: Tables, churn: ChurnConfig, dates: Sequence[datetime], *, data_end: datetime
) -> pd.DataFrame:
    """Return what became of every account after each date; see :func:`build_panel`.

    Returns
    -------
    DataFrame
        One row per (account_id, as_of): account_id, as_of, grey_reason, churned (missing while immature or
        not eligible).

    Raises
    ------
    ContractError
        If the definition's table is not there.
    """
    build_panel(tables, churn, dates, data_end=data_end)
    frame: pd.DataFrame = tables.engine.arrow("select * from panel order by as_of, account_id").to_pandas()
    return frame


def first_seen(tables: Tables, churn: ChurnConfig) -> str:
    """Return SQL for when each account became a customer, as far as its own rows tell."""
    if tables.available.has("accounts.signed_up_at"):
        seen = ["select account_id, signed_up_at as seen_at from accounts where signed_up_at is not null"]
    else:
        seen = [
            f"select account_id, {_known('e', time, tables, name)} as seen_at from {name} e"
            for name, time in (("events", "occurred_at"), ("subscriptions", "started_at"))
            if tables.available.has(name)
        ]
    unknown = "select account_id, timestamp '1900-01-01' as seen_at from accounts"
    union = " union all ".join(seen) if seen else unknown
    fallback = (
        f"select account_id, min(seen_at) as first_seen_at, true as dated from ({union}) group by account_id"
    )
    if tables.available.has("accounts.signed_up_at") or not seen:
        # an account whose sign-up nobody wrote down has been there all along
        return (
            f"select a.account_id, coalesce(s.first_seen_at, timestamp '1900-01-01') as first_seen_at, "
            f"s.first_seen_at is not null and s.first_seen_at > timestamp '1900-01-01' as dated "
            f"from accounts a left join ({fallback}) s using (account_id)"
        )
    return f"select s.* from ({fallback}) s join accounts a using (account_id)"


def _known(alias: str, time: str, tables: Tables, table: str) -> str:
    """Return the instant from which a row may be used: when it happened, or was recorded if that is later."""
    if tables.available.has(f"{table}.recorded_at"):
        return f"greatest({alias}.{time}, coalesce({alias}.recorded_at, {alias}.{time}))"
    return f"{alias}.{time}"


def _contractual(tables: Tables, churn: ChurnConfig) -> tuple[str, str]:
    known = _known("s", "started_at", tables, "subscriptions")
    # a row that ends before it starts counts as ended at once
    end = "greatest(s.ended_at, s.started_at)"
    state = (
        f"select s.account_id, d.as_of, "
        f"bool_or(s.ended_at is null or {end} >= d.as_of) as active "
        f"from subscriptions s join as_of_dates d on {known} < d.as_of group by s.account_id, d.as_of"
    )
    return state, _happened(lost_terms(churn), churn)


def _happened(lost: str, churn: ChurnConfig) -> str:
    """(account_id, as_of) pairs with a loss inside the label window."""
    low = f"d.as_of + interval {churn.gap_days} day"
    high = f"d.as_of + interval {churn.gap_days + churn.horizon_days} day"
    return (
        f"select distinct l.account_id, d.as_of, true as churned from ({lost}) l "
        f"join as_of_dates d on l.churned_at >= {low} and l.churned_at < {high}"
    )


def _inactivity(tables: Tables, churn: ChurnConfig) -> tuple[str, str]:
    engine = tables.engine
    known = _known("e", "occurred_at", tables, "events")
    first: datetime = engine.value("select min(as_of) from as_of_dates")
    reach = f"timestamp '{first - timedelta(days=churn.lookback_days):%Y-%m-%d}'"
    # ids are grouped as the source spells them and tidied on the few rows that are left
    engine.run(
        f"create or replace temp table activity_days as select {tidy('account_id')} as account_id, day, known_at "
        f"from (select account_id, cast(occurred_at as date) as day, min({known}) as known_at from bare_events e "
        f"where occurred_at between {reach} and timestamp '{LATEST}' group by all) "
        f"where {tidy('account_id')} is not null"
    )
    state = (
        "select a.account_id, d.as_of, true as active from activity_days a "
        f"join as_of_dates d on a.day >= d.as_of - interval {churn.lookback_days} day and a.day < d.as_of "
        "and a.known_at < d.as_of group by a.account_id, d.as_of"
    )
    low = f"d.as_of + interval {churn.gap_days} day"
    high = f"d.as_of + interval {churn.gap_days + churn.horizon_days} day"
    outcome = (
        "select a.account_id, d.as_of, false as churned from activity_days a "
        f"join as_of_dates d on a.day >= {low} and a.day < {high} group by a.account_id, d.as_of"
    )
    return state, outcome


def _labels(tables: Tables, churn: ChurnConfig) -> tuple[str, str]:
    # a snapshot is taken at 00:00 of its label's day, before anything that the label may have seen
    of_day = (
        "select account_id, cast(as_of as date)::timestamp as as_of, bool_or(churned) as churned from labels"
    )
    state = "select distinct account_id, cast(as_of as date)::timestamp as as_of, true as active from labels"
    return state, f"{of_day} group by 1, 2"


def _panel(tables: Tables, churn: ChurnConfig, data_end: datetime) -> str:
    unlabelled = {"contractual": "false", "inactivity": "true", "labels": "null::boolean"}[churn.definition]
    inactive = {
        "contractual": "'no active subscription'",
        "inactivity": f"'no activity in the last {churn.lookback_days} days'",
        "labels": "null",
    }[churn.definition]
    young = f"f.dated and f.first_seen_at > d.as_of - interval {churn.min_tenure_days} day"
    mature_until = data_end - churn.outcome_delay
    mature = (
        "true" if churn.definition == "labels" else f"as_of <= timestamp '{mature_until:%Y-%m-%d %H:%M:%S}'"
    )
    return (
        "select account_id, as_of, grey_reason, "
        f"case when grey_reason is null and {mature} then churned end as churned from ("
        "select f.account_id, d.as_of, "
        f"case when not coalesce(s.active, false) and {inactive} is not null then {inactive} "
        f"when {young} then 'customer for less than {churn.min_tenure_days} days' end as grey_reason, "
        f"coalesce(o.churned, {unlabelled}) as churned "
        "from first_seen f join as_of_dates d on f.first_seen_at < d.as_of "
        "left join account_state s on s.account_id = f.account_id and s.as_of = d.as_of "
        "left join account_outcome o on o.account_id = f.account_id and o.as_of = d.as_of)"
    )
