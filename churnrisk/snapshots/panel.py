"""The panel: one row per (account_id, as_of) with eligibility and, where mature, the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from churnrisk.contract import known_at, tidy
from churnrisk.contract.sql import EARLIEST, LATEST
from churnrisk.snapshots.churn import ChurnConfig, lost_terms, require_source
from churnrisk.sources import Tables, timestamp_literal

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Panel:
    """Names of the relations of a panel in the engine; own SQL of users may name them too.

    Attributes
    ----------
    rows : str
        One row per account known before each date: account_id, as_of, grey_reason (null when the account is eligible)
        and churned (null while immature or not eligible).
    dates : str
        as_of.
    first_seen : str
        account_id, first_seen_at, dated (false where no sign-up is recorded).
    outcomes : str
        account_id, as_of, churned: what happened in the label window.
    activity : str
        account_id, day, known_at; only for the definition "inactivity".
    """

    rows: str = "panel"
    dates: str = "as_of_dates"
    first_seen: str = "first_seen"
    outcomes: str = "account_outcome"
    activity: str = "activity_days"


#: What :func:`build_panel` creates; there is one per engine.
PANEL = Panel()


def build_panel(
    tables: Tables, churn: ChurnConfig, dates: Sequence[datetime], *, data_end: datetime
) -> Panel:
    """Create the panel of some as-of dates (at 00:00) in the engine.

    A label window that reaches beyond ``data_end`` has no label. ContractError if the definition's table is missing.
    """
    require_source(tables, churn)
    engine = tables.engine
    panel = PANEL
    values = ", ".join(f"({timestamp_literal(moment)})" for moment in sorted(set(dates)))
    engine.run(f"create or replace temp table {panel.dates} as select * from (values {values}) d(as_of)")
    engine.run(f"create or replace temp table {panel.first_seen} as {first_seen(tables, churn)}")
    activity, outcome = {
        "contractual": _contractual,
        "inactivity": _inactivity,
        "labels": _labels,
    }[churn.definition](tables, churn, panel)
    state = "account_state"
    engine.run(f"create or replace temp table {state} as {activity}")
    engine.run(f"create or replace temp table {panel.outcomes} as {outcome}")
    engine.run(f"create or replace temp table {panel.rows} as {_panel(panel, churn, data_end, state)}")
    engine.drop(state)
    return panel


def sample_panel(tables: Tables, *, max_rows: int, panel: Panel = PANEL) -> int:
    """Keep a share of the accounts, so that at most about ``max_rows`` rows have a label; return its denominator.

    The choice depends on account ids alone, so that the next training learns from the same accounts.
    """
    labelled = tables.engine.value(f"select count(*) from {panel.rows} where churned is not null")
    parts = -(-labelled // max_rows) or 1
    if parts > 1:
        below = f"{16**8 // parts:08x}"
        tables.engine.run(f"delete from {panel.rows} where substr(md5(account_id), 1, 8) >= '{below}'")
    return int(parts)


def outcomes(
    tables: Tables, churn: ChurnConfig, dates: Sequence[datetime], *, data_end: datetime
) -> pd.DataFrame:
    """Return the panel: account_id, as_of, grey_reason, churned (missing while immature or not eligible)."""
    panel = build_panel(tables, churn, dates, data_end=data_end)
    rows = f"select * from {panel.rows} order by as_of, account_id"
    frame: pd.DataFrame = tables.engine.arrow(rows).to_pandas()
    return frame


def first_seen(tables: Tables, churn: ChurnConfig) -> str:
    """Return SQL for when each account became a customer, from its own rows."""
    if tables.available.has("accounts.signed_up_at"):
        seen = ["select account_id, signed_up_at as seen_at from accounts where signed_up_at is not null"]
    else:
        seen = [
            f"select account_id, {known_at(tables.available, name, time, alias='e')} as seen_at from {name} e"
            for name, time in (("events", "occurred_at"), ("subscriptions", "started_at"))
            if tables.available.has(name)
        ]
    unknown = f"select account_id, {EARLIEST} as seen_at from accounts"
    union = " union all ".join(seen) if seen else unknown
    fallback = (
        f"select account_id, min(seen_at) as first_seen_at, true as dated from ({union}) group by account_id"
    )
    if tables.available.has("accounts.signed_up_at") or not seen:
        # an account without a sign-up date counts as one that has always been there
        return (
            f"select a.account_id, coalesce(s.first_seen_at, {EARLIEST}) as first_seen_at, "
            f"s.first_seen_at is not null and s.first_seen_at > {EARLIEST} as dated "
            f"from accounts a left join ({fallback}) s using (account_id)"
        )
    return f"select s.* from ({fallback}) s join accounts a using (account_id)"


def _contractual(tables: Tables, churn: ChurnConfig, panel: Panel) -> tuple[str, str]:
    known = known_at(tables.available, "subscriptions", "started_at", alias="s")
    # a row that ends before it starts counts as ended at once
    end = "greatest(s.ended_at, s.started_at)"
    state = (
        f"select s.account_id, d.as_of, "
        f"bool_or(s.ended_at is null or {end} >= d.as_of) as active "
        f"from subscriptions s join {panel.dates} d on {known} < d.as_of group by s.account_id, d.as_of"
    )
    low, high = _label_window(churn)
    outcome = (
        f"select distinct l.account_id, d.as_of, true as churned from ({lost_terms(churn)}) l "
        f"join {panel.dates} d on l.churned_at >= {low} and l.churned_at < {high}"
    )
    return state, outcome


def _label_window(churn: ChurnConfig) -> tuple[str, str]:
    low = f"d.as_of + interval {churn.gap_days} day"
    return low, f"d.as_of + interval {churn.gap_days + churn.horizon_days} day"


def _inactivity(tables: Tables, churn: ChurnConfig, panel: Panel) -> tuple[str, str]:
    engine = tables.engine
    known = known_at(tables.available, "events", "occurred_at", alias="e")
    first: datetime = engine.value(f"select min(as_of) from {panel.dates}")
    reach = timestamp_literal(first - timedelta(days=churn.lookback_days))
    # group by ids as spelled, then trim them on the few rows that are left
    engine.run(
        f"create or replace temp table {panel.activity} as select {tidy('account_id')} as account_id, day, known_at "
        f"from (select account_id, cast(occurred_at as date) as day, min({known}) as known_at from bare_events e "
        f"where occurred_at between {reach} and {LATEST} group by all) "
        f"where {tidy('account_id')} is not null"
    )
    state = (
        f"select a.account_id, d.as_of, true as active from {panel.activity} a "
        f"join {panel.dates} d on a.day >= d.as_of - interval {churn.lookback_days} day and a.day < d.as_of "
        "and a.known_at < d.as_of group by a.account_id, d.as_of"
    )
    low, high = _label_window(churn)
    outcome = (
        f"select a.account_id, d.as_of, false as churned from {panel.activity} a "
        f"join {panel.dates} d on a.day >= {low} and a.day < {high} group by a.account_id, d.as_of"
    )
    return state, outcome


def _labels(tables: Tables, churn: ChurnConfig, panel: Panel) -> tuple[str, str]:
    # a snapshot is taken at 00:00 of its label's day, before anything that the label may have seen
    of_day = (
        "select account_id, cast(as_of as date)::timestamp as as_of, bool_or(churned) as churned from labels"
    )
    state = "select distinct account_id, cast(as_of as date)::timestamp as as_of, true as active from labels"
    return state, f"{of_day} group by 1, 2"


def _panel(panel: Panel, churn: ChurnConfig, data_end: datetime, state: str) -> str:
    unlabelled = {"contractual": "false", "inactivity": "true", "labels": "null::boolean"}[churn.definition]
    inactive = {
        "contractual": "'no active subscription'",
        "inactivity": f"'no activity in the last {churn.lookback_days} days'",
        "labels": "null",
    }[churn.definition]
    young = f"f.dated and f.first_seen_at > d.as_of - interval {churn.min_tenure_days} day"
    mature_until = data_end - churn.outcome_delay
    mature = "true" if churn.definition == "labels" else f"as_of <= {timestamp_literal(mature_until)}"
    return (
        "select account_id, as_of, grey_reason, "
        f"case when grey_reason is null and {mature} then churned end as churned from ("
        "select f.account_id, d.as_of, "
        f"case when not coalesce(s.active, false) and {inactive} is not null then {inactive} "
        f"when {young} then 'customer for less than {churn.min_tenure_days} days' end as grey_reason, "
        f"coalesce(o.churned, {unlabelled}) as churned "
        f"from {panel.first_seen} f join {panel.dates} d on f.first_seen_at < d.as_of "
        f"left join {state} s on s.account_id = f.account_id and s.as_of = d.as_of "
        f"left join {panel.outcomes} o on o.account_id = f.account_id and o.as_of = d.as_of)"
    )
