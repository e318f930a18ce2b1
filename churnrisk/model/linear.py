"""Regularised logistic regression on an encoded matrix, its contributions kept per input column."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from churnrisk.model.panel import Bools, Floats, Ints

MOST_LEVELS = 50


class Design:
    """The numeric design of a linear model: imputed, scaled, one-hot; each column has an input as owner.

    Numbers are centred on their median, scaled by their spread and passed through arcsinh, which is near
    linear in the middle and tames long tails; a missing number is imputed by the median and flagged by a
    column of its own.
    """

    median: Floats
    spread: Floats
    flagged: Bools
    levels: Ints

    def fit(self, encoded: Floats, categorical: Bools) -> Self:
        """Learn medians, spreads and which columns have missing values."""
        known = np.where(np.isnan(encoded).all(axis=0), 0.0, encoded)
        low, middle, high = np.nanquantile(known, [0.1, 0.5, 0.9], axis=0)
        deviation = np.nanstd(known, axis=0)
        spread = np.where(high > low, (high - low) / 2, deviation)
        self.median, self.spread = middle, np.where(spread > 0, spread, 1.0)
        self.flagged = np.asarray(np.isnan(encoded).any(axis=0), dtype=bool)
        codes = np.where(categorical, np.nanmax(known, axis=0) + 1, 0).astype(np.int64)
        self.levels = np.minimum(codes, MOST_LEVELS)
        return self

    @property
    def owner(self) -> Ints:
        """Position of the input column of each output column, ascending."""
        widths = np.where(self.levels > 0, self.levels, 1) + self.flagged
        return np.repeat(np.arange(len(widths)), widths)

    def transform(self, encoded: Floats) -> Floats:
        """Return the design matrix, shape (n, m); a level beyond the kept ones has zeros in all of them."""
        parts: list[Floats] = []
        for j, levels in enumerate(self.levels):
            column = encoded[:, j]
            missing = np.isnan(column)
            if levels:
                parts.append((column[:, None] == np.arange(levels)).astype(np.float64))
            else:
                filled = np.where(missing, self.median[j], column)
                parts.append(np.arcsinh((filled - self.median[j]) / self.spread[j])[:, None])
            if self.flagged[j]:
                parts.append(missing[:, None].astype(np.float64))
        return np.concatenate(parts, axis=1)


class LinearModel(BaseEstimator):  # type: ignore[misc]
    """L2-regularised logistic regression with exact contributions per input column.

    Parameters
    ----------
    C : float, default 0.1
        Inverse strength of the penalty, as in ``LogisticRegression``.

    Attributes
    ----------
    baseline_ : float
        Mean log-odds of the training rows.
    """

    exact_ = True

    def __init__(self, *, C: float = 0.1) -> None:
        self.C = C

    def fit(self, encoded: Floats, churned: Bools, categorical: Bools) -> Self:
        """Fit on an encoded matrix (n, d), churned (n,), categorical (d,)."""
        self.fit_crossed(encoded, churned, categorical, np.full(len(churned), -1))
        return self

    def fit_crossed(self, encoded: Floats, churned: Bools, categorical: Bools, left_out_of: Ints) -> Floats:
        """Fit one regression per share of the rows, each without it, and keep their mean, which is linear too.

        Parameters and returned log-odds as in :meth:`churnrisk.model.additive.BoostedTrees.fit_crossed`.
        """
        self.design_ = Design().fit(encoded, categorical)
        matrix = self.design_.transform(encoded)
        self.mean_ = matrix.mean(axis=0)
        matrix -= self.mean_
        crossed = np.full(len(churned), np.nan)
        regressions = []
        for share in range(max(1, int(left_out_of.max(initial=-1)) + 1)):
            unseen = left_out_of == share
            # A cap on iterations costs accuracy far below the noise; the warning would only alarm.
            fitted = LogisticRegression(C=self.C, max_iter=500, tol=1e-5, solver="lbfgs")
            fitted.fit(matrix[~unseen], churned[~unseen])
            if unseen.any():
                crossed[unseen] = fitted.decision_function(matrix[unseen])
            regressions.append(fitted)
        self.coef_ = np.mean([fitted.coef_[0] for fitted in regressions], axis=0)
        self.n_iter_ = max(int(np.max(fitted.n_iter_)) for fitted in regressions)
        self.baseline_ = float(np.mean([fitted.intercept_[0] for fitted in regressions]))
        return crossed

    def decision_function(self, encoded: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        return np.asarray(self.baseline_ + self.contributions(encoded).sum(axis=1), dtype=np.float64)

    def contributions(self, encoded: Floats) -> Floats:
        """Return each input column's share of the log-odds, shape (n, d), centred on training."""
        check_is_fitted(self)
        parts = (self.design_.transform(encoded) - self.mean_) * self.coef_
        owner = self.design_.owner
        starts = np.searchsorted(owner, np.arange(encoded.shape[1]))
        return np.asarray(np.add.reduceat(parts, starts, axis=1), dtype=np.float64)
