"""Monotone maps from raw to calibrated log-odds, and the recency baseline that is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.validation import check_is_fitted

from churnrisk.errors import ModelInputError
from churnrisk.model.splits import Bools, Floats

Method = Literal["auto", "sigmoid", "isotonic", "none"]

# Isotonic maps are step functions with many free values: with fewer rows or churners they fit noise.
ISOTONIC_ROWS = 5_000
ISOTONIC_CHURNED = 1_000
RECENCY = "days_since_last_event"


@dataclass
class Affine:
    """``intercept + slope * log_odds`` with slope > 0: keeps the order strictly; (1, 0) changes nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, log_odds: Floats) -> Floats:
        """Return calibrated log-odds, shape (n,)."""
        return self.intercept + self.slope * log_odds


@dataclass
class Steps:
    """A piecewise linear map through the knots of an isotonic fit, tilted slightly to keep the order strict."""

    raw: Floats = field(default_factory=lambda: np.array([0.0, 1.0]))
    calibrated: Floats = field(default_factory=lambda: np.array([0.0, 1.0]))

    def apply(self, log_odds: Floats) -> Floats:
        """Return calibrated log-odds, shape (n,); beyond the outer knots the slope is 1."""
        inside = np.interp(log_odds, self.raw, self.calibrated)
        above = np.maximum(log_odds - self.raw[-1], 0.0)
        below = np.minimum(log_odds - self.raw[0], 0.0)
        return np.asarray(inside + above + below, dtype=np.float64)


def fit_affine(log_odds: Floats, churned: Bools) -> Affine:
    """Fit Platt's sigmoid with smoothed targets and a slope bounded above zero.

    Source: Platt (1999), "Probabilistic outputs for support vector machines", section 2.2.
    """
    positives, negatives = int(churned.sum()), int((~churned).sum())
    target = np.where(churned, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(at: Floats) -> tuple[float, Floats]:
        z = at[1] + np.exp(at[0]) * log_odds
        gap = expit(z) - target
        # A weak penalty on slopes other than 1 decides only where the rows cannot.
        value = np.mean(np.logaddexp(0, z) - target * z) + 1e-4 * at[0] ** 2
        slope = np.mean(gap * np.exp(at[0]) * log_odds) + 2e-4 * at[0]
        return float(value), np.array([slope, np.mean(gap)])

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-5, 3), (-20, 20)])
    return Affine(float(np.exp(found.x[0])), float(found.x[1]))


def fit_steps(log_odds: Floats, churned: Bools) -> Steps:
    """Fit an isotonic regression and join the middles of its levels by lines in log-odds."""
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(log_odds, churned.astype(float))
    rate = isotonic.predict(log_odds)
    levels, member = np.unique(rate, return_inverse=True)
    size = np.bincount(member)
    raw = np.bincount(member, weights=log_odds) / size
    # Half a row of either class keeps levels of 0 and 1 finite.
    shrunk = (levels * size + 0.5) / (size + 1.0)
    calibrated = np.maximum.accumulate(logit(shrunk)) + 1e-6 * np.arange(len(levels))
    if len(levels) < 2:
        return Steps(np.array([raw[0], raw[0] + 1.0]), np.array([calibrated[0], calibrated[0] + 1.0]))
    return Steps(raw, calibrated)


def fit_calibrator(log_odds: Floats, churned: Bools, method: Method) -> Affine | Steps:
    """Fit by the method; "auto" is isotonic from 5,000 rows with 1,000 of either class, else sigmoid."""
    if method == "none":
        return Affine()
    fewer = min(int(churned.sum()), int((~churned).sum()))
    many = len(churned) >= ISOTONIC_ROWS and fewer >= ISOTONIC_CHURNED
    if method == "isotonic" or (method == "auto" and many):
        return fit_steps(log_odds, churned)
    return fit_affine(log_odds, churned)


def rescaled(shares: Floats, baseline: float, calibrator: Affine | Steps) -> Floats:
    """Adjust shares in place, shape (n, d), so that with `baseline` they sum to the calibrated log-odds.

    Each row's shares are scaled by one factor or, where that would flip their signs, shifted equally.
    """
    total = np.zeros(len(shares))
    for column in shares.T:
        total += column
    target = calibrator.apply(baseline + total) - baseline
    ratio = np.divide(target, total, out=np.zeros_like(total), where=np.abs(total) > 1e-9)
    usable = (ratio > 0.1) & (ratio < 10)
    factor = np.where(usable, ratio, 1.0)
    shift = np.where(usable, 0.0, (target - total) / shares.shape[1])
    for column in shares.T:  # in place, by column: a second matrix may not fit into memory
        column *= factor
        column += shift
    return shares


class RecencyRule(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Rank accounts by days since their last event; never seen ranks worst.

    The probability is a logistic function of log(1 + days) with a slope that cannot be negative.

    Parameters
    ----------
    column : str

    Attributes
    ----------
    never_ : float
        log(1 + days) assigned to "never seen", beyond the longest silence at fit.
    """

    def __init__(self, column: str = RECENCY) -> None:
        self.column = column

    @classmethod
    def applies_to(cls, X: pd.DataFrame, column: str = RECENCY) -> bool:
        """Return whether the column exists and varies."""
        return column in X.columns and X[column].nunique(dropna=False) > 1

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Fit the logistic map; refuse an `X` without the column."""
        silence = self._silence(X)
        known = silence[~np.isnan(silence)]
        self.never_ = float(known.max()) + 1.0 if len(known) else 1.0
        self.classes_ = np.array([0, 1])
        self.map_ = fit_affine(self._filled(silence), np.asarray(y).astype(bool))
        return self

    def decision_function(self, X: pd.DataFrame) -> Floats:
        """Return log-odds, shape (n,)."""
        check_is_fitted(self)
        return self.map_.apply(self._filled(self._silence(X)))

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Return the probabilities of retained and churned, shape (n, 2)."""
        churn = expit(self.decision_function(X))
        return np.column_stack([1 - churn, churn])

    def predict(self, X: pd.DataFrame) -> Any:
        """Return 1 where churn is the likelier class, shape (n,)."""
        return (self.decision_function(X) > 0).astype(np.int64)

    def _silence(self, X: pd.DataFrame) -> Floats:
        if self.column not in X.columns:
            raise ModelInputError(
                f"the recency rule needs the column '{self.column}', found {list(X.columns)[:8]}. "
                "Without an events table there is no recency rule to compare with."
            )
        days = X[self.column].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(np.log1p(np.clip(days, 0.0, None)))

    def _filled(self, silence: Floats) -> Floats:
        return np.where(np.isnan(silence), self.never_, silence)
