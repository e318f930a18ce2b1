"""What became of accounts later: follow-up of panel rows window by window, and whole lifetimes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.snapshots.churn import ChurnConfig, known_losses, lost_terms, require_source
from churnrisk.snapshots.panel import PANEL, Panel, first_seen
from churnrisk.sources import Tables, timestamp_literal

if TYPE_CHECKING:
    import pandas as pd


def follow_up(
    tables: Tables, churn: ChurnConfig, *, data_end: datetime, max_windows: int, panel: Panel = PANEL
) -> pd.DataFrame:
    """Return per labelled row of the panel how many ``windows`` are known, and whether it ``churned`` in the last.

    Window k is ``[as_of + gap + (k - 1) horizon, as_of + gap + k horizon)``: the first is the label window itself, and
    each later one is judged by the same rule. Rows whose windows are not known to the end are censored there; rows lost
    within the gap have 0 windows. The index is (account_id, as_of), ordered as features are by (as_of, account_id).
    """
    lost = {"contractual": _lost_terms, "inactivity": _silences}[churn.definition](panel, churn, max_windows)
    frame: pd.DataFrame = tables.engine.arrow(
        f"select p.account_id, p.as_of, least(coalesce(l.stayed, {max_windows}), {max_windows}) as windows, "
        f"coalesce(l.stayed < {max_windows}, false) as churned "
        f"from {panel.rows} p left join ({lost}) l on l.account_id = p.account_id and l.as_of = p.as_of "
        "where p.churned is not null order by p.as_of, p.account_id"
    ).to_pandas()
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


def _lost_terms(panel: Panel, churn: ChurnConfig, max_windows: int) -> str:
    """Return SQL for (account_id, as_of, stayed): whole windows until the first loss; negative within the gap."""
    opened = f"(p.as_of + interval {churn.gap_days} day)"
    days = f"date_diff('day', {opened}, min(l.churned_at))"
    return (
        f"select p.account_id, p.as_of, cast(floor({days} / {churn.horizon_days}) as integer) as stayed "
        f"from {panel.rows} p join ({lost_terms(churn)}) l on l.account_id = p.account_id and l.churned_at >= p.as_of "
        f"and l.churned_at < {opened} + interval {churn.horizon_days * max_windows} day "
        "where p.churned is not null group by p.account_id, p.as_of"
    )


def _silences(panel: Panel, churn: ChurnConfig, max_windows: int) -> str:
    """Return SQL for (account_id, as_of, stayed): active windows before the first silent one."""
    opened = f"p.as_of + interval {churn.gap_days} day"
    active = (
        "select distinct p.account_id, p.as_of, "
        f"cast(floor(date_diff('day', {opened}, a.day) / {churn.horizon_days}) as integer) as window_no "
        f"from {panel.rows} p join {panel.activity} a on a.account_id = p.account_id and a.day >= {opened} "
        f"and a.day < {opened} + interval {churn.horizon_days * max_windows} day where p.churned is not null"
    )
    # windows are counted from 0: their rank is their number only until the first one that is missing
    place = "row_number() over (partition by account_id, as_of order by window_no) - 1"
    ranked = f"select *, {place} as place from ({active})"
    return (
        "select p.account_id, p.as_of, count(r.place) filter (r.place = r.window_no) as stayed "
        f"from {panel.rows} p "
        f"left join ({ranked}) r on r.account_id = p.account_id and r.as_of = p.as_of "
        "where p.churned is not null group by p.account_id, p.as_of"
    )


def lifetimes(tables: Tables, churn: ChurnConfig, *, data_end: datetime) -> pd.DataFrame:
    """Return each account's life as a customer up to its first loss, or as far as it is known to be there.

    One row per account, earliest first: account_id, began_at (sign-up, at 00:00), days (until lost or last known to be
    there), entered (days that had passed when the data begin: left truncation), lost. A loss counts once no later row
    can undo it. An account counts from its first row in the table that churn is read from and from the first loss in
    it, as exports often hold the long past of those who are still there and nothing of those who left. Accounts without
    a sign-up date are left out.
    """
    require_source(tables, churn)
    lost = known_losses(churn, data_end)
    frame: pd.DataFrame = tables.engine.arrow(
        f"with lost as (select account_id, min(churned_at) as churned_at from ({lost}) group by 1) "
        "select f.account_id, date_trunc('day', f.first_seen_at)::timestamp as began_at, "
        "date_diff('day', f.first_seen_at, coalesce(l.churned_at, r.last_known_at)) as days, "
        "greatest(0, date_diff('day', f.first_seen_at, "
        "greatest(r.first_row_at, (select min(churned_at) from lost)))) as entered, "
        "l.churned_at is not null as lost "
        f"from ({first_seen(tables, churn)}) f join ({_seen(churn, data_end)}) r using (account_id) "
        "left join lost l using (account_id) where f.dated order by began_at, f.account_id"
    ).to_pandas()
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
    return (
        f"select account_id, min({time}) as first_row_at, {end} - interval {wait} day as last_known_at "
        f"from {churn.needs} where {time} < {end} group by 1"
    )
