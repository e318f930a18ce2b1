"""Categorical columns of many levels as one number: how much likelier churn is at each level."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from churnrisk.model.panel import Bools, Floats, Ints
from churnrisk.model.splits import uniform_of

_FOLDS = 5
# However different the levels look, one of fewer than 20 accounts is told more by all accounts than by its own.
_LEAST_WEIGHT = 20.0


@dataclass
class LevelRates:
    """The shrunken log-odds of churn per level, for columns that hold codes of many levels.

    A level's rate is pulled towards the overall one with the weight of as many accounts as the spread between
    the levels suggests (empirical Bayes): levels that differ by chance alone all get the overall rate, and so
    does a level that was not seen.

    Attributes
    ----------
    columns : list of int
        Positions of the code columns in the encoded matrix.
    tables : list of ndarray
        Log-odds per code, and last for any code beyond.

    Notes
    -----
    Source: Micci-Barreca (2001), "A preprocessing scheme for high-cardinality categorical attributes".
    """

    columns: list[int] = field(default_factory=list)
    tables: list[Floats] = field(default_factory=list)

    @classmethod
    def learn(
        cls,
        encoded: Floats,
        churned: Bools,
        wide: Bools,
        accounts: npt.NDArray[np.generic],
        *,
        seed: int = 0,
    ) -> tuple[LevelRates, Floats]:
        """Return the rates learned on all rows, and the rows encoded without their own account's outcome.

        Were the learning rows encoded with their own outcomes in, a rare level would give its rows away and
        the model would trust the column too much. So the accounts fall into five folds, and each fold is
        encoded with the rates of the others.

        Parameters
        ----------
        encoded : ndarray of float64, shape (n, d)
        churned : ndarray of bool, shape (n,)
        wide : ndarray of bool, shape (d,)
            Which columns hold codes of many levels.
        accounts : ndarray, shape (n,)
        seed : int, default 0
        """
        if not wide.any():
            return cls(), encoded
        columns = [int(j) for j in np.flatnonzero(wide)]
        rows_each = len(churned) / max(1, len(np.unique(accounts)))
        fold = (uniform_of(accounts, seed + 5) * _FOLDS).astype(np.int64)
        learned: list[Floats] = []
        crossed = encoded.copy()
        for j in columns:
            codes = encoded[:, j]
            size = int(np.nanmax(codes, initial=-1)) + 2
            learned.append(_rates(codes, churned, size, rows_each))
            for k in range(_FOLDS):
                here = fold == k
                rates = _rates(codes[~here], churned[~here], size, rows_each)
                crossed[here, j] = _looked_up(rates, codes[here])
        return cls(columns, learned), crossed

    def apply(self, encoded: Floats) -> Floats:
        """Return the matrix with rates in the place of codes, shape (n, d); missing stays missing."""
        if not self.columns:
            return encoded
        rated = encoded.copy(order="K")
        for j, table in zip(self.columns, self.tables, strict=True):
            rated[:, j] = _looked_up(table, encoded[:, j])
        return rated


def _rates(codes: Floats, churned: Bools, size: int, rows_each: float) -> Floats:
    known = ~np.isnan(codes)
    at: Ints = codes[known].astype(np.int64)
    # Rows of one account say nearly the same: accounts count, not rows.
    accounts = np.bincount(at, minlength=size) / rows_each
    churn = np.bincount(at, weights=churned[known], minlength=size) / rows_each
    overall = (churned.sum() + 0.5) / (len(churned) + 1.0)
    weight = _weight_of_overall(accounts, churn, overall)
    return np.asarray(logit((churn + weight * overall) / (accounts + weight)), dtype=np.float64)


def _weight_of_overall(accounts: Floats, churn: Floats, overall: float) -> float:
    """Return how many accounts the overall rate weighs: variance within a level over that between levels."""
    within = overall * (1 - overall)
    total = accounts.sum()
    squares = np.sum((churn - accounts * overall) ** 2 / np.maximum(accounts, 1e-9))
    freedom = np.count_nonzero(accounts) - 1
    spread = total - np.sum(accounts**2) / max(total, 1e-9)
    between = (squares - freedom * within) / max(spread, 1e-9)
    if between <= within / 1e6:
        return 1e6
    return float(max(_LEAST_WEIGHT, within / between))


def _looked_up(table: Floats, codes: Floats) -> Floats:
    known = ~np.isnan(codes)
    found = np.full(len(codes), np.nan)
    found[known] = table[np.minimum(codes[known], len(table) - 1).astype(np.int64)]
    return found
