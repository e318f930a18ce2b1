"""How good survival curves are, with those whose end is not known weighed in.

A row that is known up to some day counts as still there through that day. What the censored rows would have shown is
made up for by the others: each counts for itself and for those like it that were cut off before
(inverse-probability-of-censoring weights).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from churnrisk.model.faults import ModelInputError
from churnrisk.model.kaplan_meier import KaplanMeier
from churnrisk.model.metrics import Ranked, account_weights
from churnrisk.model.panel import Bools, Floats
from churnrisk.records import Interval


@dataclass(frozen=True)
class SurvivalFigures:
    """Figures of survival curves, with account-level bootstrap intervals.

    Attributes
    ----------
    days : tuple of float
        Where the curves were held against what happened.
    auc : tuple of Interval
        Per day: the chance that of two accounts, one lost by then and one not, the lost one had the lower curve there.
    brier : tuple of Interval
        Per day: mean squared gap between the curve and 1 (still there) or 0 (lost).
    mean_auc, integrated_brier : Interval
        Means over the days, the Brier score's by the area under it.
    """

    days: tuple[float, ...]
    auc: tuple[Interval, ...]
    brier: tuple[Interval, ...]
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
        Ascending; by each somebody must have been lost and somebody known to be there.
    account_id : array-like of shape (n,)
        Units of the bootstrap.

    Raises
    ------
    ModelInputError
        When shapes differ, or a day has nobody on one of its sides.

    Notes
    -----
    Sources: the cumulative/dynamic AUC with inverse-probability-of-censoring weights, Uno et al. (2007), Journal of the
    American Statistical Association 102, 527-537; the Brier score, Graf et al. (1999), Statistics in Medicine 18,
    2529-2545. The censoring distribution is its Kaplan-Meier estimate.
    """
    known, lost = np.asarray(y, dtype=np.float64), np.asarray(churned).astype(bool)
    curves, asked = np.asarray(survival, dtype=np.float64), np.asarray(days, dtype=np.float64)
    if known.shape != lost.shape or curves.shape != (len(known), len(asked)):
        raise ModelInputError(
            f"expected a curve per row and a value per day, shape {(len(known), len(asked))}, found {curves.shape}."
        )
    drawn = account_weights(np.asarray(account_id), n_boot=n_boot, seed=seed)
    auc, brier = [], []
    for column, day in enumerate(asked):
        weights = censoring_weights(known, lost, day=float(day))
        gone = lost & (known <= day)
        if not (weights[gone].any() and weights[~gone].any()):
            raise ModelInputError(
                f"expected rows that were lost by day {day:g} and rows known to be there, found one kind only. "
                "Ask for other days."
            )
        weighed = drawn * weights
        with np.errstate(divide="ignore", invalid="ignore"):
            auc.append(Ranked(gone, -curves[:, column]).figures(weighed, capacity=0.1)["auc"])
        brier.append(weighed @ (curves[:, column] - ~gone) ** 2 / drawn.sum(axis=1))
    return SurvivalFigures(
        tuple(asked),
        tuple(map(_interval, auc)),
        tuple(map(_interval, brier)),
        _interval(np.mean(auc, axis=0)),
        _interval(_area(asked, np.array(brier))),
    )


def censoring_weights(y: Floats, churned: Bools, *, day: float) -> Floats:
    """Return how many rows each stands for on a day, shape (n,): 0 for those cut off before.

    Parameters
    ----------
    y, churned : ndarray of shape (n,)
        As :meth:`ChurnHazard.fit` takes them.
    day : float
    """
    if churned.all():
        return np.ones(len(y))
    censoring = KaplanMeier.fit(y, ~churned)
    gone = churned & (y <= day)
    # known through a day: not cut off before it
    at = np.nextafter(np.where(gone, y, day), -np.inf)
    left = np.append(1.0, censoring.survival)[np.searchsorted(censoring.days, at, side="right")]
    weights: Floats = np.divide(1.0, left, out=np.zeros(len(y)), where=(gone | (y >= day)) & (left > 0))
    return weights


def _area(days: Floats, brier: Floats) -> Floats:
    """Return the mean height of each draw's curve through its values at the days."""
    if len(days) == 1:
        return np.asarray(brier[0])
    return np.asarray(np.trapezoid(brier, days, axis=0) / (days[-1] - days[0]))


def _interval(values: npt.NDArray[Any]) -> Interval:
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return Interval(float(values[0]), float(low), float(high))
