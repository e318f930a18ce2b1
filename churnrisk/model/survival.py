"""Kaplan-Meier estimates, and figures of survival curves on censored rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from churnrisk.errors import ModelInputError
from churnrisk.model.evaluation import Ranked, account_weights, interval_of
from churnrisk.model.splits import Bools, Floats
from churnrisk.records import Interval


@dataclass(frozen=True)
class KaplanMeier:
    """The product-limit estimate of the share that is still there, with log-log intervals.

    Attributes
    ----------
    days, at_risk, lost, survival, low, high : ndarray of float64, shape (k,)
        One per day of life on which an account was lost, ascending: how many were there until then and lost, the share
        still there afterwards, and its bounds.
    since, until : float
        The first and the last day of life that any account was seen on. With `since` above 0 the shares are those of
        the accounts that were still there on it.

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
            False where the account was still there at the end (censored).
        entered : array-like of shape (n,), optional
            Days of life that had passed when the data begin: an earlier loss would not be in them, so the account
            counts from then on only.
        confidence : float

        Raises
        ------
        ModelInputError
            When lengths differ, there is no row, or a number of days is missing or negative.
        """
        ends, gone, starts = _checked(days, lost, np.zeros(np.shape(days)) if entered is None else entered)
        seen = ends > starts
        ends, gone, starts = ends[seen], gone[seen], starts[seen]
        when, counts = np.unique(ends[gone], return_counts=True)
        # at risk on a day: entered before it and observed up to it
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
        """Return the share still there after so many days, shape of `days`; NaN outside the days of life seen."""
        at = np.asarray(days, dtype=np.float64)
        found = np.append(1.0, self.survival)[np.searchsorted(self.days, at, side="right")]
        return np.where((at >= self.since) & (at <= self.until), found, np.nan)


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
    """Return the variance of the logarithm of the survival, infinite once no account is left."""
    with np.errstate(divide="ignore"):
        return np.cumsum(lost / (at_risk * (at_risk - lost).astype(np.float64)))


def _log_log(survival: Floats, variance: Floats, z: float) -> tuple[Floats, Floats]:
    left = survival > 0
    log_survival = np.log(np.where(left, survival, 0.5))
    spread = np.exp(z * np.sqrt(np.where(left, variance, 0.0)) / np.abs(log_survival))
    low = np.where(left, np.exp(log_survival * spread), 0.0)
    high = np.where(left, np.exp(log_survival / spread), np.nan)
    # The transform is undefined where no account is left; the bound of the day before still holds.
    return low, np.fmin.accumulate(np.where(np.isnan(high), 1.0, high))


@dataclass(frozen=True)
class SurvivalFigures:
    """Figures of survival curves at some days, with account-level bootstrap intervals."""

    days: tuple[float, ...]
    #: Per day: the chance that of two accounts, one lost by then and one not, the lost one had the lower curve there.
    auc: tuple[Interval, ...]
    #: Per day: mean squared gap between the curve and 1 (still there) or 0 (lost).
    brier: tuple[Interval, ...]
    #: Means over the days, the Brier score's by the area under it.
    mean_auc: Interval
    integrated_brier: Interval


def evaluate_survival(
    y: npt.ArrayLike,
    churned: npt.ArrayLike,
    survival: npt.ArrayLike,
    days: npt.ArrayLike,
    account_id: npt.ArrayLike,
    *,
    n_boot: int = 200,
    seed: int = 0,
) -> SurvivalFigures:
    """Measure survival curves on rows that the model has not seen.

    Parameters
    ----------
    y, churned : array-like of shape (n,)
        As :meth:`ChurnHazard.fit` takes them.
    survival : array-like of shape (n, m)
        The chance of still being there after each of `days`.
    days : array-like of shape (m,)
        Ascending; at each, a row must have been lost and another be known to be there.
    account_id : array-like of shape (n,)
        Units of the bootstrap.

    Raises
    ------
    ModelInputError
        When shapes differ, or a day has no row on one of its sides.

    Notes
    -----
    Sources: the cumulative/dynamic AUC with inverse-probability-of-censoring weights, Uno et al. (2007), Journal of the
    American Statistical Association 102, 527-537; the Brier score, Graf et al. (1999), Statistics in Medicine 18,
    2529-2545. The censoring distribution is its Kaplan-Meier estimate.
    """
    known, lost = np.asarray(y, dtype=np.float64), np.asarray(churned).astype(bool)
    curves, at_days = np.asarray(survival, dtype=np.float64), np.asarray(days, dtype=np.float64)
    if known.shape != lost.shape or curves.shape != (len(known), len(at_days)):
        raise ModelInputError(
            f"expected a curve per row and a value per day, shape {(len(known), len(at_days))}, found {curves.shape}."
        )
    drawn = account_weights(np.asarray(account_id), n_boot=n_boot, seed=seed)
    auc, brier = [], []
    for column, day in enumerate(at_days):
        weights = censoring_weights(known, lost, day=float(day))
        gone = lost & (known <= day)
        if not (weights[gone].any() and weights[~gone].any()):
            raise ModelInputError(
                f"expected rows that were lost by day {day:g} and rows known to be there, found one kind only. "
                "Pass other days."
            )
        weighed = drawn * weights
        with np.errstate(divide="ignore", invalid="ignore"):
            auc.append(Ranked(gone, -curves[:, column]).figures(weighed, capacity=0.1)["auc"])
        brier.append(weighed @ (curves[:, column] - ~gone) ** 2 / drawn.sum(axis=1))
    return SurvivalFigures(
        tuple(at_days),
        tuple(map(interval_of, auc)),
        tuple(map(interval_of, brier)),
        interval_of(np.mean(auc, axis=0)),
        interval_of(_area(at_days, np.array(brier))),
    )


def censoring_weights(y: Floats, churned: Bools, *, day: float) -> Floats:
    """Return how many rows each stands for on a day (inverse probability of censoring); 0 if cut off before."""
    if churned.all():
        return np.ones(len(y))
    censoring = KaplanMeier.fit(y, ~churned)
    gone = churned & (y <= day)
    # censored on a day counts as known through it
    at = np.nextafter(np.where(gone, y, day), -np.inf)
    left = np.append(1.0, censoring.survival)[np.searchsorted(censoring.days, at, side="right")]
    weights: Floats = np.divide(1.0, left, out=np.zeros(len(y)), where=(gone | (y >= day)) & (left > 0))
    return weights


def _area(days: Floats, brier: Floats) -> Floats:
    """Return the mean height of each draw's curve through its values at the days."""
    if len(days) == 1:
        return np.asarray(brier[0])
    return np.asarray(np.trapezoid(brier, days, axis=0) / (days[-1] - days[0]))
