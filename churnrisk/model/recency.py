"""The one-column rule that every model has to beat: how long the account has been silent."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from churnrisk.model.calibration import fit_affine
from churnrisk.model.faults import ModelInputError
from churnrisk.model.panel import Floats

COLUMN = "days_since_last_event"


class RecencyRule(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Rank accounts by days since their last event; never seen ranks worst.

    The probability is a logistic function of log(1 + days) with a slope that cannot be negative.

    Parameters
    ----------
    column : str, default "days_since_last_event"

    Attributes
    ----------
    never_ : float
        log(1 + days) that stands for "never", beyond the longest silence at fit.
    """

    def __init__(self, column: str = COLUMN) -> None:
        self.column = column

    @classmethod
    def applies_to(cls, X: pd.DataFrame, column: str = COLUMN) -> bool:
        """Return whether the rule has something to rank by."""
        return column in X.columns and X[column].nunique(dropna=False) > 1

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Fit the logistic map.

        Raises
        ------
        ModelInputError
            When `X` has no such column: then there is no recency rule to compare with.
        """
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
