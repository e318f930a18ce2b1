"""Logistic regression and wrapped classifiers on an encoded matrix, and their attributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from churnrisk.errors import ModelInputError
from churnrisk.model.splits import Bools, Floats, Ints

MOST_LEVELS = 50
_CLIP = 1e-6
_CELLS = 200_000


class Design:
    """The numeric design of a linear model: imputed, scaled, one-hot; each column has an input as owner.

    Numbers are centred on their median, scaled by their spread and passed through arcsinh, which is near
    linear in the middle and tames long tails; a missing number is imputed by the median and flagged by an
    indicator column.
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
        """Return the design matrix, shape (n, m); a level beyond the first 50 has only zeros."""
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

    `C` is the inverse strength of the penalty; ``baseline_`` the mean log-odds of the training rows.
    """

    exact_ = True

    def __init__(self, *, C: float = 0.1) -> None:
        self.C = C

    def fit(self, encoded: Floats, churned: Bools, categorical: Bools) -> Self:
        """Fit on an encoded matrix (n, d), churned (n,), categorical (d,)."""
        self.fit_crossed(encoded, churned, categorical, np.full(len(churned), -1))
        return self

    def fit_crossed(self, encoded: Floats, churned: Bools, categorical: Bools, left_out_of: Ints) -> Floats:
        """Fit one regression per fold, each without its rows, and keep their mean, which is linear too."""
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


class WrappedEstimator(BaseEstimator):  # type: ignore[misc]
    """Any scikit-learn classifier behind the interface of a candidate.

    It gets the encoded matrix as a frame with the columns' `names` if its tags say that it takes NaN, else the
    imputed, scaled and one-hot design of the logistic regression.
    """

    exact_ = False
    n_iter_ = 1

    def __init__(self, *, estimator: Any = None, names: tuple[str, ...] = ()) -> None:
        self.estimator = estimator
        self.names = names

    def fit(self, encoded: Floats, churned: Bools, categorical: Bools) -> Self:
        """Fit on an encoded matrix (n, d), churned (n,), categorical (d,)."""
        if not (hasattr(self.estimator, "predict_proba") or hasattr(self.estimator, "decision_function")):
            raise ModelInputError(
                f"expected a classifier with predict_proba or decision_function, found {self.estimator!r}. "
                "Give one that has either."
            )
        self.design_ = None
        if not get_tags(self.estimator).input_tags.allow_nan:
            self.design_ = Design().fit(encoded, categorical)
        self.fitted_ = clone(self.estimator).fit(self._frame(encoded), churned.astype(np.int64))
        known = np.where(np.isnan(encoded).all(axis=0), 0.0, encoded)
        middle = np.nanmedian(known, axis=0)
        # Code 0 is the most frequent level.
        self.typical_ = np.where(categorical, 0.0, middle)
        sample = encoded[:: max(1, len(encoded) // 500)]
        self.means_ = self._shares(sample).mean(axis=0)
        self.baseline_ = float(self.decision_function(self.typical_[None, :])[0] + self.means_.sum())
        return self

    def fit_crossed(self, encoded: Floats, churned: Bools, categorical: Bools, left_out_of: Ints) -> Floats:
        """Fit without the rows that any model leaves out, since there is one only; return their log-odds."""
        unseen = left_out_of >= 0
        self.fit(encoded[~unseen], churned[~unseen], categorical)
        crossed = np.full(len(churned), np.nan)
        if unseen.any():
            crossed[unseen] = self.decision_function(encoded[unseen])
        return crossed

    def decision_function(self, encoded: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        check_is_fitted(self)
        frame = self._frame(encoded)
        if hasattr(self.fitted_, "predict_proba"):
            churn = np.asarray(self.fitted_.predict_proba(frame), dtype=np.float64)[:, 1]
            return np.asarray(logit(np.clip(churn, _CLIP, 1 - _CLIP)))
        return np.asarray(self.fitted_.decision_function(frame), dtype=np.float64)

    def contributions(self, encoded: Floats) -> Floats:
        """Return each column's approximate share of the log-odds, shape (n, d)."""
        return np.asarray(self._shares(encoded) - self.means_, dtype=np.float64)

    def _frame(self, encoded: Floats) -> pd.DataFrame:
        if self.design_ is None:
            return pd.DataFrame(encoded, columns=pd.Index(list(self.names)))
        matrix = self.design_.transform(encoded)
        return pd.DataFrame(matrix, columns=pd.Index([f"c{i}" for i in range(matrix.shape[1])]))

    def _shares(self, encoded: Floats) -> Floats:
        return attributions(self.decision_function, encoded, self.typical_)


def attributions(
    margin: Callable[[Floats], Floats], rows: Floats, typical: Floats, *, first_in: Floats | None = None
) -> Floats:
    """Attribute ``margin(rows) - margin(typical)`` to the columns, shape (n, d).

    A column's share is the mean of two effects of setting it to the row's value: with all others at `typical`, and
    with all others at the row's own. That is the Shapley value against `typical` where no more than two columns
    interact at once; the remainder goes to the columns in proportion to the size of their share. Costs d evaluations
    of all rows, 2 d without `first_in`, the first of the two effects.
    """
    n, d = rows.shape
    at_rows, at_typical = margin(rows), float(margin(typical[None, :])[0])
    shares = np.empty((n, d), dtype=np.float64)
    # Few large calls: a model's cost per call outweighs its cost per row.
    for some in np.array_split(np.arange(d), max(1, min(d, -(-n * d // _CELLS)))):
        without = np.repeat(rows[None, :, :], len(some), axis=0)
        without[np.arange(len(some)), :, some] = typical[some, None]
        # A row at the typical value needs no evaluation.
        moved = ~_same(rows[:, some].T, typical[some, None])
        last = np.zeros((len(some), n))
        if moved.any():
            last[moved] = np.broadcast_to(at_rows, last.shape)[moved] - margin(without[moved])
        shares[:, some] = last.T
    if first_in is None:
        lone = [_first_in(margin, rows, typical, j) - at_typical for j in range(d)]
        first_in = np.column_stack(lone)
    shares = (first_in + shares) / 2
    rest = at_rows - at_typical - shares.sum(axis=1)
    size = np.abs(shares) + 1e-12
    return np.asarray(shares + rest[:, None] * size / size.sum(axis=1, keepdims=True), dtype=np.float64)


def _same(left: Floats, right: Floats) -> Bools:
    return np.asarray((left == right) | (np.isnan(left) & np.isnan(right)), dtype=bool)


def _first_in(margin: Callable[[Floats], Floats], rows: Floats, typical: Floats, j: int) -> Floats:
    values, where = np.unique(rows[:, j], return_inverse=True)
    lone = np.tile(typical, (len(values), 1))
    lone[:, j] = values
    return margin(lone)[where]
