"""What is usual: the middle 80 % of each feature among retained accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.records import Feature


@dataclass(frozen=True)
class ReasonProfile:
    """The usual range of each numeric feature among retained accounts.

    Attributes
    ----------
    low, median, high : dict of str to float
        10 %, 50 % and 90 % quantiles by feature; a feature that no retained account has is absent.
    """

    low: dict[str, float]
    median: dict[str, float]
    high: dict[str, float]

    @classmethod
    def fit(cls, X: pd.DataFrame, y: npt.ArrayLike, features: Sequence[Feature]) -> Self:
        """Learn the ranges from the rows with ``y == 0``, over the numeric columns of `features`.

        Parameters
        ----------
        X : DataFrame of shape (n, d)
        y : array-like of shape (n,), 1 or True for churned
        features : sequence of Feature
        """
        names = [f.name for f in features if not f.categorical and f.name in X.columns]
        retained = X.loc[~np.asarray(y).astype(bool), names]
        numbers = retained.apply(lambda column: column.astype("float64")).dropna(axis="columns", how="all")
        quantiles = numbers.quantile([0.1, 0.5, 0.9])
        ranges = [
            {str(name): float(value) for name, value in quantiles.loc[q].items()} for q in (0.1, 0.5, 0.9)
        ]
        return cls(*ranges)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return plain dicts, ready for JSON."""
        return {"low": dict(self.low), "median": dict(self.median), "high": dict(self.high)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return the profile that ``to_dict`` gave."""
        return cls(
            *({str(k): float(v) for k, v in stored[part].items()} for part in ("low", "median", "high"))
        )
