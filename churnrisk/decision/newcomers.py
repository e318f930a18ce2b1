"""Waves of new accounts: the promise of a colour was certified on other accounts than these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, stdtrit  # scipy publishes no types

Mask = npt.NDArray[np.bool_]

#: The column that the shipped rule "wave of newcomers" reads.
WAVE = "newcomer_wave"
_LEAST_DATES = 4
_CONFIDENCE = 0.975
#: Odds by which the share of newcomers has to exceed its mean at least, so that a steady history raises no alarm.
_LEAST_RISE = 1.25


@dataclass(frozen=True, slots=True)
class Newcomers:
    """How large a share of the accounts is usually new.

    A campaign or a free week brings accounts unlike those that the colours were certified on: they look
    busy and leave. What can be known at once is that unusually many came. The usual share is learned from the
    snapshots before: the upper end of the 95 % prediction interval of the next one's log-odds, from the spread
    *between* snapshots. So the alarm does not grow with the number of accounts, as a test of equal shares would.

    Attributes
    ----------
    within_days : float
        Who came in so many days is new: the usual distance between two snapshots.
    usual_share : float
        The largest share that is no wave.
    """

    within_days: float
    usual_share: float

    @classmethod
    def learn(cls, tenure_days: pd.Series, as_of: pd.Index) -> Self | None:
        """Return what is usual over past snapshots; None where they are fewer than four.

        Parameters
        ----------
        tenure_days : Series of float, shape (rows,)
            One row per (account, as_of); missing counts as long.
        as_of : Index of datetimes, shape (rows,)
            As-of date of each row.
        """
        dates = pd.DatetimeIndex(as_of.unique()).sort_values()
        if len(dates) < _LEAST_DATES:
            return None
        within = float(np.median(np.diff(dates.to_numpy()) / np.timedelta64(1, "D")))
        new = pd.Series((tenure_days <= within).to_numpy()).groupby(np.asarray(as_of))
        shares = logit(((new.sum() + 0.5) / (new.count() + 1.0)).to_numpy())
        spread = shares.std(ddof=1) * np.sqrt(1.0 + 1.0 / len(shares)) * stdtrit(len(shares) - 1, _CONFIDENCE)
        return cls(within, float(expit(shares.mean() + max(spread, np.log(_LEAST_RISE)))))

    def wave(self, X: pd.DataFrame, counted: Mask) -> Mask:
        """Return which rows came with a wave, shape (rows,).

        Parameters
        ----------
        X : DataFrame of shape (rows, features)
            Snapshots, apart by the index level ``as_of`` if there is one.
        counted : ndarray of bool, shape (rows,)
            Rows that the share is taken of: the eligible accounts.
        """
        new = (X["tenure_days"] <= self.within_days).to_numpy() & counted
        dates = X.index.get_level_values("as_of") if "as_of" in X.index.names else np.zeros(len(X))
        sums = pd.DataFrame({"new": new, "counted": counted}).groupby(np.asarray(dates)).transform("sum")
        share = (sums["new"] + 0.5) / (sums["counted"] + 1.0)
        return new & (share > self.usual_share).to_numpy()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"within_days": self.within_days, "usual_share": self.usual_share}


def mark_wave(X: pd.DataFrame, newcomers: Newcomers | None, counted: Mask) -> pd.DataFrame:
    """Return X with the column :data:`WAVE`: 1 for accounts that came with a wave, else 0."""
    if newcomers is None or "tenure_days" not in X:
        return X.assign(**{WAVE: 0.0})
    return X.assign(**{WAVE: newcomers.wave(X, counted).astype(float)})
