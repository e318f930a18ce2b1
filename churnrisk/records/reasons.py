"""Why an account has its probability."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One feature's share in an account's churn probability.

    ``value`` is the account's at the as-of date and ``previous`` the one at the previous run; None when unknown.
    ``contribution`` is added to the average account's log-odds; a positive one speaks for churn. ``usual_low`` and
    ``usual_high`` enclose the middle 80 % of retained accounts: of its ``peers``, like "in segment Enterprise", or of
    all where that is empty.
    """

    feature: str
    family: str
    text: str
    value: float | str | None
    contribution: float
    usual_low: float | None = None
    usual_high: float | None = None
    previous: float | str | None = None
    peers: str = ""

    @property
    def comparison(self) -> str:
        """``retained customers in segment Enterprise: 7 to 287``; empty where unknown."""
        if self.usual_low is None or self.usual_high is None:
            return ""
        who = f"retained customers {self.peers}".strip()
        return f"{who}: {self.usual_low:.4g} to {self.usual_high:.4g}"
