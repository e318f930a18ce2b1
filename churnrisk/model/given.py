"""Any scikit-learn classifier in the place of the default candidates."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.base import BaseEstimator, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from churnrisk.model.faults import ModelInputError
from churnrisk.model.linear import Design
from churnrisk.model.panel import Bools, Floats, Ints
from churnrisk.model.shares import shares_of_distance

_CLIP = 1e-6


class GivenModel(BaseEstimator):  # type: ignore[misc]
    """A user's classifier behind the interface of the candidates.

    It gets the encoded matrix as a frame with the columns' names when its tags say that it takes NaN, else
    the imputed, scaled and one-hot design of the logistic candidate.

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba`` or ``decision_function``.
    names : tuple of str
        Names of the encoded columns.
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
        """Fit without the rows that any model is to leave out, since there is one only, and return their log-odds.

        Parameters and returned log-odds as in :meth:`churnrisk.model.additive.BoostedTrees.fit_crossed`.
        """
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
        """Return each column's share of the log-odds, shape (n, d), see ``shares_of_distance``."""
        return np.asarray(self._shares(encoded) - self.means_, dtype=np.float64)

    def _frame(self, encoded: Floats) -> pd.DataFrame:
        if self.design_ is None:
            return pd.DataFrame(encoded, columns=pd.Index(list(self.names)))
        matrix = self.design_.transform(encoded)
        return pd.DataFrame(matrix, columns=pd.Index([f"c{i}" for i in range(matrix.shape[1])]))

    def _shares(self, encoded: Floats) -> Floats:
        return shares_of_distance(self.decision_function, encoded, self.typical_)
