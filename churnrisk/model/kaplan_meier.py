"""How many customers are still there after so many days, whatever part of their lives the data show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from churnrisk.model.faults import ModelInputError
from churnrisk.model.panel import Bools, Floats


@dataclass(frozen=True)
class KaplanMeier:
    """The product-limit estimate of the share that is still there, with log-log intervals.

    Attributes
    ----------
    days, at_risk, lost, survival, low, high : ndarray of float64, shape (k,)
        One per day of life on which somebody was lost, ascending: who was there until then, who was lost,
        the share still there afterwards, and its bounds.
    accounts : int
    since, until : float
        The first day of life that anybody was seen on, and the last. With `since` above 0 the shares are those of the
        accounts that were still there on it.

    Notes
    -----
    Sources: Kaplan & Meier (1958), Journal of the American Statistical Association 53, 457-481; the variance is
    Greenwood's (1926), the interval that of its log-log transform (Kalbfleisch & Prentice 1980), which stays
    within 0 and 1; for lives that are seen from some day on only: Tsai, Jewell & Wang (1987), Biometrika 74, 883-886.
    """

    days: Floats
    at_risk: Floats
    lost: Floats
    survival: Floats
    low: Floats
    high: Floats
    accounts: int
    since: float
    until: float

    @classmethod
    def fit(
        cls,
        days: npt.ArrayLike,
        lost: npt.ArrayLike,
        *,
        entered: npt.ArrayLike | None = None,
        confidence: float = 0.95,
    ) -> Self:
        """Estimate from one life per account.

        Parameters
        ----------
        days : array-like of shape (n,)
            Length of the life, or of what is seen of it.
        lost : array-like of bool, shape (n,)
            False where the account was still there at the end: it counts as long as it was seen.
        entered : array-like of shape (n,), optional
            Days of life that had passed when the data begin: before, nobody would have seen the loss, so the account
            counts from then on only. 0 by default.
        confidence : float, default 0.95

        Raises
        ------
        ModelInputError
            When lengths differ, there is no row, or a number of days is missing or negative.
        """
        ends, gone, starts = _checked(days, lost, np.zeros(np.shape(days)) if entered is None else entered)
        seen = ends > starts
        ends, gone, starts = ends[seen], gone[seen], starts[seen]
        when, counts = np.unique(ends[gone], return_counts=True)
        # There until a day: entered before it, and seen up to it.
        at_risk = np.searchsorted(np.sort(starts), when) - np.searchsorted(np.sort(ends), when)
        survival = np.cumprod(1 - counts / at_risk)
        low, high = _log_log(survival, _greenwood(counts, at_risk), float(ndtri(0.5 + confidence / 2)))
        return cls(
            when,
            at_risk.astype(np.float64),
            counts.astype(np.float64),
            survival,
            low,
            high,
            accounts=int(seen.sum()),
            since=float(starts.min()) if seen.any() else 0.0,
            until=float(ends.max(initial=0.0)),
        )

    def at(self, days: npt.ArrayLike) -> Floats:
        """Return the share still there after so many days, shape of `days`; NaN on days that nobody was seen on."""
        asked = np.asarray(days, dtype=np.float64)
        found = np.append(1.0, self.survival)[np.searchsorted(self.days, asked, side="right")]
        return np.where((asked >= self.since) & (asked <= self.until), found, np.nan)


def _checked(
    days: npt.ArrayLike, lost: npt.ArrayLike, entered: npt.ArrayLike
) -> tuple[Floats, Bools, Floats]:
    ends, starts = np.asarray(days, dtype=np.float64), np.asarray(entered, dtype=np.float64)
    gone = np.asarray(lost).astype(bool)
    if not len(ends) or not ends.shape == gone.shape == starts.shape:
        raise ModelInputError(
            f"expected one life per account, found {ends.shape} days, {gone.shape} losses, {starts.shape} entries."
        )
    if not (np.minimum(ends, starts) >= 0).all():
        raise ModelInputError(
            "expected days of 0 or more, found missing or negative ones. Leave out accounts without a sign-up date."
        )
    return ends, gone, starts


def _greenwood(lost: npt.NDArray[np.int64], at_risk: npt.NDArray[np.int64]) -> Floats:
    """Return the variance of the logarithm of the survival, infinite once nobody is left."""
    with np.errstate(divide="ignore"):
        return np.cumsum(lost / (at_risk * (at_risk - lost).astype(np.float64)))


def _log_log(survival: Floats, variance: Floats, z: float) -> tuple[Floats, Floats]:
    left = survival > 0
    log_survival = np.log(np.where(left, survival, 0.5))
    spread = np.exp(z * np.sqrt(np.where(left, variance, 0.0)) / np.abs(log_survival))
    low = np.where(left, np.exp(log_survival * spread), 0.0)
    high = np.where(left, np.exp(log_survival / spread), np.nan)
    # Where nobody is left the transform ends; the bound of the day before still holds.
    return low, np.fmin.accumulate(np.where(np.isnan(high), 1.0, high))
