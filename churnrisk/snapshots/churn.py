"""What counts as churn: the settings of ``[churn]``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from churnrisk.errors import UsageError


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
