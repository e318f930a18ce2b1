"""When accounts were lost, as far as the tables can tell."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.errors import ContractError
from churnrisk.snapshots.churn import ChurnConfig
from churnrisk.sources import Tables

if TYPE_CHECKING:
    import pandas as pd


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
    require_source(tables, churn)
    when = "min" if churn.definition == "labels" else "max"
    frame: pd.DataFrame = tables.engine.arrow(
        f"select account_id, date_trunc('day', {when}(churned_at))::timestamp as churned_at "
        f"from ({known_losses(churn, data_end)}) l join accounts a using (account_id) "
        "group by account_id order by churned_at, account_id"
    ).to_pandas()
    return frame


def require_source(tables: Tables, churn: ChurnConfig) -> None:
    """Refuse tables that do not hold what the definition of churn reads.

    Raises
    ------
    ContractError
        If the definition's table is not there.
    """
    if not tables.available.has(churn.needs) or (
        churn.definition == "contractual" and not tables.available.has("subscriptions.ended_at")
    ):
        column = ".ended_at" if churn.definition == "contractual" else ""
        raise ContractError(
            f"[churn] definition {churn.definition!r} needs {churn.needs}{column}, which churnrisk.toml does not "
            f"map; it maps {', '.join(tables.available.tables)}. Map it, or choose another definition."
        )


def known_losses(churn: ChurnConfig, data_end: datetime) -> str:
    """Return SQL for (account_id, churned_at): the losses that nothing can take back any more."""
    if churn.definition == "labels":
        days = churn.gap_days + churn.horizon_days
        return f"select account_id, as_of + interval {days} day as churned_at from labels where churned"
    if churn.definition == "inactivity":
        return _silences(churn, data_end)
    grace = f"timestamp '{data_end:%Y-%m-%d}' - interval {churn.grace_days} day"
    return f"select * from ({lost_terms(churn)}) where churned_at <= {grace}"


def lost_terms(churn: ChurnConfig) -> str:
    """Return SQL for (account_id, churned_at): ends of subscriptions that none followed within the grace days."""
    end = "greatest(s.ended_at, s.started_at)"
    return (
        f"select distinct s.account_id, {end} as churned_at from subscriptions s "
        f"left join subscriptions n on n.account_id = s.account_id "
        f"and n.started_at <= {end} + interval {churn.grace_days} day "
        f"and (n.ended_at is null or greatest(n.ended_at, n.started_at) > {end}) "
        f"where s.ended_at is not null and n.account_id is null"
    )


def _silences(churn: ChurnConfig, data_end: datetime) -> str:
    """First days of silences as long as the horizon."""
    end = f"timestamp '{data_end:%Y-%m-%d}'"
    return (
        "select account_id, day + interval 1 day as churned_at from ("
        "select account_id, day, lead(day) over (partition by account_id order by day) as next_day from ("
        f"select distinct account_id, cast(occurred_at as date) as day from events where occurred_at < {end})) "
        f"where coalesce(next_day, {end}) >= day + interval {churn.horizon_days + 1} day"
    )
