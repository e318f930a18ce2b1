"""What counts as churn: the settings of ``[churn]``, and when accounts were lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from churnrisk.errors import ContractError, UsageError
from churnrisk.sources import Tables, timestamp_literal

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ChurnConfig:
    """The churn definition and its windows, in days.

    Attributes
    ----------
    definition : {"contractual", "inactivity", "labels"}
        ``contractual``: a subscription ends inside the label window and none covers the account
        within ``grace_days``. ``inactivity``: active in the look-back, silent through the label window.
        ``labels``: brought by the user.
    horizon_days, gap_days : int
        The label window is ``[as_of + gap, as_of + gap + horizon)``.
    grace_days : int
        How late a renewal may come (``contractual``).
    lookback_days : int
        How recent the last event must be to count as active (``inactivity``).
    min_tenure_days : int
        Younger accounts are not scored.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    definition: Literal["contractual", "inactivity", "labels"] = "inactivity"
    horizon_days: int = 30
    gap_days: int = 0
    grace_days: int = 7
    lookback_days: int = 30
    min_tenure_days: int = 0

    def __post_init__(self) -> None:
        least = {"horizon_days": 1, "gap_days": 0, "grace_days": 0, "lookback_days": 1, "min_tenure_days": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise UsageError(f"[churn] {name} must be at least {minimum}; found {getattr(self, name)}.")

    @property
    def outcome_delay(self) -> timedelta:
        """From ``as_of`` until the label is known."""
        grace = self.grace_days if self.definition == "contractual" else 0
        return timedelta(days=self.gap_days + self.horizon_days + grace)

    @property
    def needs(self) -> str:
        """The table that the definition reads."""
        return {"contractual": "subscriptions", "inactivity": "events", "labels": "labels"}[self.definition]


def churn_dates(tables: Tables, churn: ChurnConfig, *, data_end: datetime) -> pd.DataFrame:
    """Return when each lost account was last lost: account_id, churned_at (at 00:00), earliest first.

    ``contractual``: the end of the subscription that none followed within the grace days, once those have passed.
    ``inactivity``: the first day of a silence of at least ``horizon_days``. ``labels``: the end of the label window, as
    labels carry no date of their own.
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
    """Raise ContractError if the tables lack what the definition of churn reads."""
    if not tables.available.has(churn.needs) or (
        churn.definition == "contractual" and not tables.available.has("subscriptions.ended_at")
    ):
        column = ".ended_at" if churn.definition == "contractual" else ""
        raise ContractError(
            f"[churn] definition {churn.definition!r} needs {churn.needs}{column}, which churnrisk.toml does not "
            f"map; it maps {', '.join(tables.available.tables)}. Map it, or choose another definition."
        )


def known_losses(churn: ChurnConfig, data_end: datetime) -> str:
    """Return SQL for (account_id, churned_at): losses that no later row can undo."""
    if churn.definition == "labels":
        days = churn.gap_days + churn.horizon_days
        return f"select account_id, as_of + interval {days} day as churned_at from labels where churned"
    if churn.definition == "inactivity":
        return _silences(churn, data_end)
    grace = f"{timestamp_literal(data_end)} - interval {churn.grace_days} day"
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
    end = timestamp_literal(data_end)
    return (
        "select account_id, day + interval 1 day as churned_at from ("
        "select account_id, day, lead(day) over (partition by account_id order by day) as next_day from ("
        f"select distinct account_id, cast(occurred_at as date) as day from events where occurred_at < {end})) "
        f"where coalesce(next_day, {end}) >= day + interval {churn.horizon_days + 1} day"
    )
