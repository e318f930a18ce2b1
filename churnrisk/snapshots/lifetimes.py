"""How long accounts stayed customers, for those who want to see when they leave."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.snapshots.churn import ChurnConfig
from churnrisk.snapshots.losses import known_losses, require_source
from churnrisk.snapshots.panel import first_seen
from churnrisk.sources import Tables

if TYPE_CHECKING:
    import pandas as pd


def lifetimes(tables: Tables, churn: ChurnConfig, *, data_end: datetime) -> pd.DataFrame:
    """Return each account's life as a customer, up to its first loss or as far as it is known to be there.

    A loss is known once nothing can take it back, so accounts that are not lost count up to that day only. An account
    counts from its first row in the table that churn is read from, and from the first loss that this table shows of
    anybody: exports often hold the long past of those who are still there and nothing of those who left, and had it
    left then, nobody would know. Accounts whose sign-up nobody wrote down are left out.

    Returns
    -------
    DataFrame
        One row per account, earliest first: account_id, began_at (sign-up, at 00:00), days (until lost or last
        known to be there), entered (days that had passed when the data begin), lost (bool).

    Raises
    ------
    ContractError
        If the definition's table is not there.
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
    # accounts too young to be known of, and those that were lost before they began
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
    end = f"timestamp '{data_end:%Y-%m-%d}'"
    return (
        f"select account_id, min({time}) as first_row_at, {end} - interval {wait} day as last_known_at "
        f"from {churn.needs} where {time} < {end} group by 1"
    )
