"""Why an account has its probability."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one account has the probability it has, one feature's share of it.

    Attributes
    ----------
    feature, family, text : str
        Which signal, and the sentence for people.
    value : float or str or None
        The account's value at the as-of date; None when unknown.
    contribution : float
        Log-odds added to the average account's log-odds; positive speaks for churn.
    usual_low, usual_high : float or None
        The middle 80 % of retained accounts: its peers, or all of them.
    previous : float or str or None
        The value at the account's last published snapshot.
    peers : str
        Which peers, like "in segment Enterprise"; empty when all retained accounts are pooled.
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
        """``retained customers in segment Enterprise: 7 to 287``; empty where nothing is known of them."""
        if self.usual_low is None or self.usual_high is None:
            return ""
        who = f"retained customers {self.peers}".strip()
        return f"{who}: {self.usual_low:.4g} to {self.usual_high:.4g}"
