"""The panel: one row per (account_id, as_of) with eligibility and, where mature, the label."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.errors import ContractError
from churnrisk.snapshots.churn import ChurnConfig
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
    _require_source(tables, churn)
    engine = tables.engine
    values = ", ".join(f"(timestamp '{moment:%Y-%m-%d}')" for moment in sorted(set(dates)))
    engine.run(f"create or replace temp table as_of_dates as select * from (values {values}) d(as_of)")
    engine.run(f"create or replace temp table first_seen as {_first_seen(tables, churn)}")
    activity, outcome = {
        "contractual": _contractual,
        "inactivity": _inactivity,
        "labels": _labels,
    }[churn.definition](tables, churn)
    engine.run(f"create or replace temp table account_state as {activity}")
    engine.run(f"create or replace temp table account_outcome as {outcome}")
    engine.run(f"create or replace temp table panel as {_panel(tables, churn, data_end)}")


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


def churn_dates(tables: Tables, churn: ChurnConfig, *, data_end: datetime) -> pd.DataFrame:
    """Return when each lost account was lost last, as far as the tables can tell by ``data_end``.

    ``contractual``: the end of the subscription that none followed within the grace days, once those
    have passed. ``inactivity``: the first day of a silence of at least ``horizon_days``. ``labels``: the end of
    the earliest label window that says so, as labels carry no date of their own.

    Returns
    -------
    DataFrame
        One row per lost account, earliest first: account_id, churned_at (at 00:00).

    Raises
    ------
    ContractError
        If the definition's table is not there.
    """
    _require_source(tables, churn)
    lost = {"contractual": _lost, "inactivity": _silences, "labels": _labelled_losses}[churn.definition]
    # a label is known from the start; a date counts once nothing can take it back any more
    by_label = churn.definition == "labels"
    grace = churn.grace_days if churn.definition == "contractual" else 0
    known = "true" if by_label else f"churned_at <= timestamp '{data_end:%Y-%m-%d}' - interval {grace} day"
    when = "min" if by_label else "max"
    frame: pd.DataFrame = tables.engine.arrow(
        f"select account_id, date_trunc('day', {when}(churned_at))::timestamp as churned_at "
        f"from ({lost(tables, churn, data_end)}) l join accounts a using (account_id) where {known} "
        "group by account_id order by churned_at, account_id"
    ).to_pandas()
    return frame


def _require_source(tables: Tables, churn: ChurnConfig) -> None:
    if not tables.available.has(churn.needs) or (
        churn.definition == "contractual" and not tables.available.has("subscriptions.ended_at")
    ):
        column = ".ended_at" if churn.definition == "contractual" else ""
        raise ContractError(
            f"[churn] definition {churn.definition!r} needs {churn.needs}{column}, which churnrisk.toml does not "
            f"map; it maps {', '.join(tables.available.tables)}. Map it, or choose another definition."
        )


def _first_seen(tables: Tables, churn: ChurnConfig) -> str:
    """When each account became a customer, as far as its own rows tell."""
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
    return state, _happened(_lost(tables, churn), churn)


def _lost(tables: Tables, churn: ChurnConfig, data_end: datetime | None = None) -> str:
    """(account_id, churned_at): ends of subscriptions that none followed within the grace days."""
    end = "greatest(s.ended_at, s.started_at)"
    return (
        f"select distinct s.account_id, {end} as churned_at from subscriptions s "
        f"left join subscriptions n on n.account_id = s.account_id "
        f"and n.started_at <= {end} + interval {churn.grace_days} day "
        f"and (n.ended_at is null or greatest(n.ended_at, n.started_at) > {end}) "
        f"where s.ended_at is not null and n.account_id is null"
    )


def _silences(tables: Tables, churn: ChurnConfig, data_end: datetime) -> str:
    """(account_id, churned_at): first days of silences as long as the horizon."""
    end = f"timestamp '{data_end:%Y-%m-%d}'"
    return (
        "select account_id, day + interval 1 day as churned_at from ("
        "select account_id, day, lead(day) over (partition by account_id order by day) as next_day from ("
        f"select distinct account_id, cast(occurred_at as date) as day from events where occurred_at < {end})) "
        f"where coalesce(next_day, {end}) >= day + interval {churn.horizon_days + 1} day"
    )


def _labelled_losses(tables: Tables, churn: ChurnConfig, data_end: datetime) -> str:
    """(account_id, churned_at): ends of the label windows of those who churned."""
    days = churn.gap_days + churn.horizon_days
    return f"select account_id, as_of + interval {days} day as churned_at from labels where churned"


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
    engine.run(
        "create or replace temp table activity_days as select account_id, cast(occurred_at as date) as day, "
        f"min({known}) as known_at from events e group by all"
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
