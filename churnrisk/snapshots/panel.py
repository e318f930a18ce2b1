"""The panel: one row per (account_id, as_of) with eligibility and, where mature, the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from churnrisk.contract import EARLIEST, LATEST, tidy, timestamp_literal
from churnrisk.snapshots.calendar import ChurnConfig, known_losses, last_terms, lost_terms, require_source
from churnrisk.sources import Tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Panel:
    """Names of the relations of a panel in the engine; own SQL of users may name them too."""

    #: One row per account known before each date: account_id, as_of, grey_reason (null when the account is eligible)
    #: and churned (null while immature or not eligible).
    rows: str = "panel"
    #: as_of
    dates: str = "as_of_dates"
    #: account_id, first_seen_at, dated (false where no sign-up is recorded)
    first_seen: str = "first_seen"
    #: account_id, as_of, churned: what happened in the label window
    outcomes: str = "account_outcome"
    #: account_id, day, known_at; only for the definition "inactivity"
    activity: str = "activity_days"


#: What :func:`build_panel` creates; there is one per engine.
PANEL = Panel()


def build_panel(
    tables: Tables, churn: ChurnConfig, dates: Sequence[datetime], *, data_end: datetime
) -> Panel:
    """Create the panel of some as-of dates in the engine; a label window beyond ``data_end`` has no label."""
    require_source(tables, churn)
    engine = tables.engine
    values = ", ".join(f"({timestamp_literal(moment)})" for moment in sorted(set(dates)))
    engine.create(PANEL.dates, f"select * from (values {values}) d(as_of)")
    engine.create(PANEL.first_seen, first_seen(tables))
    activity, outcome = {
        "contractual": _contractual,
        "inactivity": _inactivity,
        "labels": _labels,
    }[churn.definition](tables, churn)
    state = "account_state"
    engine.create(state, activity)
    engine.create(PANEL.outcomes, outcome)
    engine.create(PANEL.rows, _panel(churn, data_end, state))
    engine.drop(state)
    return PANEL


def sample_panel(tables: Tables, *, max_rows: int) -> int:
    """Keep the same share of the accounts each time, for about ``max_rows`` labelled rows; return its denominator."""
    labelled = tables.engine.value(f"select count(*) from {PANEL.rows} where churned is not null")
    parts = -(-labelled // max_rows) or 1
    if parts > 1:
        below = f"{16**8 // parts:08x}"
        tables.engine.run(f"delete from {PANEL.rows} where substr(md5(account_id), 1, 8) >= '{below}'")
    return int(parts)


def outcomes(
    tables: Tables, churn: ChurnConfig, dates: Sequence[datetime], *, data_end: datetime
) -> pd.DataFrame:
    """Return the panel: account_id, as_of, grey_reason, churned (missing while immature or not eligible)."""
    build_panel(tables, churn, dates, data_end=data_end)
    return tables.engine.frame(f"select * from {PANEL.rows} order by as_of, account_id")


def first_seen(tables: Tables) -> str:
    """Return SQL for when each account became a customer, from its own rows."""
    signed_up = tables.available.has("accounts.signed_up_at")
    if signed_up:
        seen = ["select account_id, signed_up_at as seen_at from accounts where signed_up_at is not null"]
    else:
        seen = [
            f"select account_id, {tables.available.known_at(name, 'e')} as seen_at from {name} e"
            for name in ("events", "subscriptions")
            if tables.available.has(name)
        ]
    unknown = f"select account_id, {EARLIEST} as seen_at from accounts"
    union = " union all ".join(seen) if seen else unknown
    fallback = (
        f"select account_id, min(seen_at) as first_seen_at, true as dated from ({union}) group by account_id"
    )
    if signed_up or not seen:
        # an account without a sign-up date counts as one that has always been there
        return (
            f"select a.account_id, coalesce(s.first_seen_at, {EARLIEST}) as first_seen_at, "
            f"s.first_seen_at is not null and s.first_seen_at > {EARLIEST} as dated "
            f"from accounts a left join ({fallback}) s using (account_id)"
        )
    return f"select s.* from ({fallback}) s join accounts a using (account_id)"


def _contractual(tables: Tables, churn: ChurnConfig) -> tuple[str, str]:
    known = tables.available.known_at("subscriptions", "s")
    # a row that ends before it starts counts as ended at once
    end = "greatest(s.ended_at, s.started_at)"
    # until its grace is over, nobody knows whether an end is a loss; one that completes a term never is
    running = f"{end} >= d.as_of or not s.completed and {end} >= d.as_of - interval {churn.grace_days} day"
    state = (
        f"select s.account_id, d.as_of, bool_or(s.ended_at is null or {running}) as active "
        f"from subscriptions s join {PANEL.dates} d on {known} < d.as_of group by s.account_id, d.as_of"
    )
    low, high = _label_window(churn)
    losses = (
        f"select l.account_id, d.as_of, true as churned from ({lost_terms(churn)}) l join {PANEL.dates} d"
    )
    # of an account whose term runs no loss can lie in the grace before the date
    outcome = (
        f"{losses} on l.churned_at >= {low} and l.churned_at < {high} "
        f"union {losses} on l.churned_at >= d.as_of - interval {churn.grace_days} day and l.churned_at < d.as_of"
    )
    return state, outcome


def _label_window(churn: ChurnConfig) -> tuple[str, str]:
    low = f"d.as_of + interval {churn.gap_days} day"
    return low, f"d.as_of + interval {churn.gap_days + churn.horizon_days} day"


def _inactivity(tables: Tables, churn: ChurnConfig) -> tuple[str, str]:
    engine = tables.engine
    known = tables.available.known_at("events", "e")
    first: datetime = engine.value(f"select min(as_of) from {PANEL.dates}")
    reach = timestamp_literal(first - timedelta(days=churn.lookback_days))
    # group by ids as spelled, then trim them on the few rows that are left
    engine.create(
        PANEL.activity,
        f"select {tidy('account_id')} as account_id, day, known_at "
        f"from (select account_id, cast(occurred_at as date) as day, min({known}) as known_at from bare_events e "
        f"where occurred_at between {reach} and {LATEST} group by all) "
        f"where {tidy('account_id')} is not null",
    )
    state = (
        f"select a.account_id, d.as_of, true as active from {PANEL.activity} a "
        f"join {PANEL.dates} d on a.day >= d.as_of - interval {churn.lookback_days} day and a.day < d.as_of "
        "and a.known_at < d.as_of group by a.account_id, d.as_of"
    )
    low, high = _label_window(churn)
    outcome = (
        f"select a.account_id, d.as_of, false as churned from {PANEL.activity} a "
        f"join {PANEL.dates} d on a.day >= {low} and a.day < {high} group by a.account_id, d.as_of"
    )
    return state, outcome


def _labels(tables: Tables, churn: ChurnConfig) -> tuple[str, str]:
    # a snapshot is taken at 00:00 of its label's day, before anything that the label may have seen
    of_day = (
        "select account_id, cast(as_of as date)::timestamp as as_of, bool_or(churned) as churned from labels"
    )
    state = "select distinct account_id, cast(as_of as date)::timestamp as as_of, true as active from labels"
    return state, f"{of_day} group by 1, 2"


def _panel(churn: ChurnConfig, data_end: datetime, state: str) -> str:
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
        f"from {PANEL.first_seen} f join {PANEL.dates} d on f.first_seen_at < d.as_of "
        f"left join {state} s on s.account_id = f.account_id and s.as_of = d.as_of "
        f"left join {PANEL.outcomes} o on o.account_id = f.account_id and o.as_of = d.as_of)"
    )


def follow_up(tables: Tables, churn: ChurnConfig, *, data_end: datetime, max_windows: int) -> pd.DataFrame:
    """Return per labelled row of the panel how many ``windows`` are known, and whether it ``churned`` in the last.

    Window k is ``[as_of + gap + (k - 1) horizon, as_of + gap + k horizon)``: the first is the label window. Rows are
    censored where windows are not known, and where a term was completed; those lost within the gap have 0. Index and
    order are those of features.
    """
    lost = {"contractual": _until_loss, "inactivity": _until_silence}[churn.definition](churn, max_windows)
    frame = tables.engine.frame(
        f"select p.account_id, p.as_of, least(coalesce(l.stayed, {max_windows}), {max_windows}) as windows, "
        f"coalesce(l.stayed < {max_windows} and l.lost, false) as churned "
        f"from {PANEL.rows} p left join ({lost}) l on l.account_id = p.account_id and l.as_of = p.as_of "
        "where p.churned is not null order by p.as_of, p.account_id"
    )
    frame = frame.set_index(["account_id", "as_of"])
    # the window of the loss counts as seen; a loss before the first window leaves nothing to see
    frame["windows"] += frame["churned"]
    gone = frame["windows"] < 1
    frame.loc[gone, "churned"] = False
    frame["windows"] = frame["windows"].clip(lower=0)
    return known_by(frame, churn, end=data_end)


def known_by(found: pd.DataFrame, churn: ChurnConfig, *, end: datetime) -> pd.DataFrame:
    """Return a follow-up as it was known before ``end``: later outcomes are censored."""
    import pandas as pd

    as_of = pd.DatetimeIndex(found.index.get_level_values("as_of"))
    first_open = churn.outcome_delay - pd.Timedelta(days=churn.horizon_days)
    passed = (pd.Timestamp(end) - as_of - first_open) // pd.Timedelta(days=churn.horizon_days)
    windows = found["windows"].clip(upper=pd.Series(passed, index=found.index).clip(lower=0))
    return pd.DataFrame(
        {"windows": windows.astype("int64"), "churned": found["churned"] & (windows == found["windows"])}
    )


def _until_loss(churn: ChurnConfig, max_windows: int) -> str:
    """Return SQL for (account_id, as_of, stayed, lost): whole windows until the account left; negative within the gap.

    A loss in the grace before the date belongs to the first window. Who left with a completed term is not lost.
    """
    opened = f"(p.as_of + interval {churn.gap_days} day)"
    days = f"date_diff('day', {opened}, min(l.churned_at))"
    windows = f"cast(floor({days} / {churn.horizon_days}) as integer)"
    lost = "coalesce(min(l.churned_at) filter (where not l.completed) <= min(l.churned_at), false)"
    return (
        f"select p.account_id, p.as_of, case when min(l.churned_at) < p.as_of then 0 else {windows} end as stayed, "
        f"{lost} as lost from {PANEL.rows} p join ({last_terms(churn)}) l on l.account_id = p.account_id "
        f"and (l.churned_at >= p.as_of or not l.completed and "
        f"l.churned_at >= p.as_of - interval {churn.grace_days} day) "
        f"and l.churned_at < {opened} + interval {churn.horizon_days * max_windows} day "
        "where p.churned is not null group by p.account_id, p.as_of"
    )


def _until_silence(churn: ChurnConfig, max_windows: int) -> str:
    """Return SQL for (account_id, as_of, stayed, lost): active windows before the first silent one."""
    opened = f"p.as_of + interval {churn.gap_days} day"
    active = (
        "select distinct p.account_id, p.as_of, "
        f"cast(floor(date_diff('day', {opened}, a.day) / {churn.horizon_days}) as integer) as window_no "
        f"from {PANEL.rows} p join {PANEL.activity} a on a.account_id = p.account_id and a.day >= {opened} "
        f"and a.day < {opened} + interval {churn.horizon_days * max_windows} day where p.churned is not null"
    )
    # windows are counted from 0: their rank is their number only until the first one that is missing
    place = "row_number() over (partition by account_id, as_of order by window_no) - 1"
    ranked = f"select *, {place} as place from ({active})"
    return (
        "select p.account_id, p.as_of, count(r.place) filter (r.place = r.window_no) as stayed, true as lost "
        f"from {PANEL.rows} p "
        f"left join ({ranked}) r on r.account_id = p.account_id and r.as_of = p.as_of "
        "where p.churned is not null group by p.account_id, p.as_of"
    )


def lifetimes(tables: Tables, churn: ChurnConfig, *, data_end: datetime) -> pd.DataFrame:
    """Return each account's life as a customer up to its first loss, or as far as it is known to be there.

    One row per account, earliest first: account_id, began_at (sign-up, at 00:00), days, entered (days passed when the
    data begin: left truncation), lost. An account counts from its first row in the table that churn is read from and
    from the first loss in it: exports often hold the long past of those who are still there only.
    """
    require_source(tables, churn)
    lost = known_losses(churn, data_end)
    frame = tables.engine.frame(
        f"with lost as (select account_id, min(churned_at) as churned_at from ({lost}) group by 1) "
        "select f.account_id, date_trunc('day', f.first_seen_at)::timestamp as began_at, "
        "date_diff('day', f.first_seen_at, coalesce(l.churned_at, r.last_known_at)) as days, "
        "greatest(0, date_diff('day', f.first_seen_at, "
        "greatest(r.first_row_at, (select min(churned_at) from lost)))) as entered, "
        "l.churned_at is not null as lost "
        f"from ({first_seen(tables)}) f join ({_seen(churn, data_end)}) r using (account_id) "
        "left join lost l using (account_id) where f.dated order by began_at, f.account_id"
    )
    # drop accounts too young to be judged, and those lost before they began
    return frame[frame["days"] >= 0].reset_index(drop=True)


def _seen(churn: ChurnConfig, data_end: datetime) -> str:
    """Return SQL for (account_id, first_row_at, last_known_at): from when until when an account's state is known."""
    if churn.definition == "labels":
        days = churn.gap_days + churn.horizon_days
        return (
            "select account_id, min(as_of) as first_row_at, max(as_of) + interval "
            f"{days} day as last_known_at from labels group by 1"
        )
    contract = churn.definition == "contractual"
    time, wait = ("started_at", churn.grace_days) if contract else ("occurred_at", churn.horizon_days)
    end = timestamp_literal(data_end)
    last = f"{end} - interval {wait} day"
    if contract:
        # with a completed term a life is over without a loss
        last = f"least({last}, max(case when ended_at is null then {end} else greatest(ended_at, started_at) end))"
    return (
        f"select account_id, min({time}) as first_row_at, {last} as last_known_at "
        f"from {churn.needs} where {time} < {end} group by 1"
    )
