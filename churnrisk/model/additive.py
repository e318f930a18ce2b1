"""Boosted trees over binned columns; without interactions they become one exact lookup table per column."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from churnrisk.model.binning import Binner
from churnrisk.model.lookup import look_up
from churnrisk.model.panel import Bools, Floats, Ints
from churnrisk.model.shares import shares_of_distance
from churnrisk.model.threads import threads_for

TOLERANCE = 1e-6
EVERY = 10
_CHUNK = 100


class BoostedTrees(BaseEstimator):  # type: ignore[misc]
    """Histogram gradient boosting on an encoded matrix (see ``FrameEncoder``), additive or full.

    The columns are binned here and the trees see bin numbers only. An additive model is a sum of one-column
    step functions, so one evaluation per bin gives a table per column; a row's log-odds are then looked up
    and added, and the looked-up values are its exact contributions.

    Parameters
    ----------
    additive : bool, default True
        Forbid interactions.
    monotone : tuple of int
        +1, 0 or -1 per encoded column; empty for none.
    learning_rate, max_leaf_nodes, min_samples_leaf, l2, max_features
        As in ``HistGradientBoostingClassifier``.
    max_iter : int, default 300
        Number of trees.
    n_models : int, default 1
        With `max_features` below 1 every tree draws its columns: the log-odds of so many models, each with
        draws of its own, are averaged.
    random_state : int, default 0

    Attributes
    ----------
    trees_ : list of HistGradientBoostingClassifier
        The models, `n_models` of them, or one where none draws columns.
    exact_ : bool
        True when the tables reproduce the trees within 1e-6.
    tables_ : list of ndarray
        Log-odds per bin and, last, for missing; centred on the training mean.
    steps_ : list of (edges, values)
        The same tables over values instead of bins, with equal neighbours joined: what scoring looks up.
    baseline_ : float
        Mean log-odds of the training rows.
    """

    def __init__(
        self,
        *,
        additive: bool = True,
        monotone: tuple[int, ...] = (),
        learning_rate: float = 0.05,
        max_leaf_nodes: int = 15,
        min_samples_leaf: int = 50,
        l2: float = 10.0,
        max_features: float = 1.0,
        max_iter: int = 300,
        n_models: int = 1,
        random_state: int = 0,
    ) -> None:
        self.additive = additive
        self.monotone = monotone
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2 = l2
        self.max_features = max_features
        self.max_iter = max_iter
        self.n_models = n_models
        self.random_state = random_state

    def fit(self, encoded: Floats, churned: Bools, categorical: Bools) -> Self:
        """Grow the trees and build the tables.

        Parameters
        ----------
        encoded : ndarray of float64, shape (n, d)
        churned : ndarray of bool, shape (n,)
        categorical : ndarray of bool, shape (d,)
        """
        self.fit_crossed(encoded, churned, categorical, np.full(len(churned), -1))
        return self

    def fit_crossed(self, encoded: Floats, churned: Bools, categorical: Bools, left_out_of: Ints) -> Floats:
        """Fit, each model without some of the rows, and return the log-odds of those by the model that lacks them.

        Parameters
        ----------
        encoded, churned, categorical
            As in ``fit``.
        left_out_of : ndarray of int, shape (n,)
            Which model does not learn from the row; -1 where all do.

        Returns
        -------
        ndarray of float64, shape (n,)
            NaN for rows that all models learned from.
        """
        self.binner_ = Binner.learn(encoded, categorical)
        binned = self.binner_.bins(encoded)
        crossed = np.full(len(churned), np.nan)
        models = max(self.n_models if self.max_features < 1 else 1, int(left_out_of.max(initial=-1)) + 1)
        self.trees_ = []
        with threads_for(encoded):
            for model in range(models):
                unseen = left_out_of == model
                trees = self._trees(categorical, model).fit(binned[~unseen], churned[~unseen])
                if unseen.any():
                    crossed[unseen] = trees.decision_function(binned[unseen])
                self.trees_.append(trees)
            self.n_iter_ = int(self.trees_[0].n_iter_)
            self._tabulate(binned)
        return crossed

    def losses_while_growing(
        self, fit: tuple[Floats, Bools], later: tuple[Floats, Bools], categorical: Bools, patience: int
    ) -> Floats:
        """Return the log loss per later row after every 10 trees, shape (max_iter // 10 or fewer, n_later).

        Growing stops after `patience` trees without a better mean loss.
        """
        binner = Binner.learn(fit[0], categorical)
        binned, binned_later = binner.bins(fit[0]), binner.bins(later[0])
        trees = self._trees(categorical).set_params(warm_start=True)
        losses: list[Floats] = []
        for size in [*range(_CHUNK, self.max_iter, _CHUNK), self.max_iter]:
            done = EVERY * len(losses)
            trees.set_params(max_iter=size).fit(binned, fit[1])
            stages = enumerate(trees.staged_decision_function(binned_later), start=1)
            new = (np.ravel(m) for i, m in stages if i > done and (i % EVERY == 0 or i == size))
            losses.extend(log_losses(margin, later[1]).astype(np.float32) for margin in new)
            means = [loss.mean(dtype=np.float64) for loss in losses]
            if EVERY * (len(means) - 1 - int(np.argmin(means))) >= patience:
                break
        return np.stack(losses)

    def decision_function(self, encoded: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        check_is_fitted(self)
        if not self.exact_:
            return self._margin(self.binner_.bins(encoded))
        total = np.full(len(encoded), self.baseline_)
        added = np.empty(len(encoded))
        for j, steps in enumerate(self.steps_):
            total += look_up(steps, encoded[:, j], added)
        return total

    def contributions(self, encoded: Floats, *, in_place: bool = False) -> Floats:
        """Return each column's share of the log-odds, shape (n, d); with ``baseline_`` they sum to it.

        Exact for an additive model. Otherwise each is the mean of two effects of setting the column to the
        row's value, see :func:`churnrisk.model.shares.shares_of_distance`. With `in_place` they may be written
        over `encoded`: half the memory, and less than half the time.
        """
        check_is_fitted(self)
        if not self.exact_:
            return np.asarray(self._shares(self.binner_.bins(encoded)) - self.means_, dtype=np.float64)
        shares = encoded if in_place else np.empty(encoded.shape, dtype=np.float64, order="F")
        for j, steps in enumerate(self.steps_):
            look_up(steps, encoded[:, j], shares[:, j])
        return shares

    def share(self, column: int, values: Floats) -> Floats:
        """Return what values of one encoded column add to the log-odds, shape (n,); exact models only."""
        return look_up(self.steps_[column], values)

    def _trees(self, categorical: Bools, model: int = 0) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2,
            max_features=self.max_features,
            categorical_features=np.flatnonzero(categorical) if categorical.any() else None,
            monotonic_cst=list(self.monotone) if any(self.monotone) else None,
            interaction_cst="no_interactions" if self.additive else None,
            early_stopping=False,
            random_state=self.random_state + model,
        )

    def _tabulate(self, binned: Floats) -> None:
        self.typical_ = np.array([_mode(column) for column in binned.T])
        self.bin_shares_ = [
            np.bincount(_at(np.empty(count + 1), column), minlength=count + 1) / len(binned)
            for count, column in zip(self.binner_.counts, binned.T, strict=True)
        ]
        self._build_tables()
        if not self.exact_:
            sample = binned[:: max(1, len(binned) // 500)]
            self.means_ = self._shares(sample).mean(axis=0)
            self.baseline_ = float(self._margin(self.typical_[None, :])[0] + self.means_.sum())

    def _build_tables(self) -> None:
        self.tables_ = self._steps(self.typical_)
        self.exact_ = False
        if not self.additive:
            return
        first_in, at_typical = self.tables_, float(self._margin(self.typical_[None, :])[0])
        centres = [float(t @ share) for t, share in zip(first_in, self.bin_shares_, strict=True)]
        self.tables_ = [table - centre for table, centre in zip(first_in, centres, strict=True)]
        self.baseline_ = at_typical + float(np.sum(centres))
        self.exact_ = self.tables_hold()
        if not self.exact_:
            self.tables_ = first_in
            return
        self.steps_ = [self.binner_.steps(j, table) for j, table in enumerate(self.tables_)]

    def _steps(self, typical: Floats) -> list[Floats]:
        """Return per column the effect of each bin, and last of missing, with the others at `typical`."""
        sizes = [count + 1 for count in self.binner_.counts]
        rows = np.tile(typical, (int(np.sum(sizes)), 1))
        start = 0
        for j, size in enumerate(sizes):
            rows[start : start + size, j] = np.append(np.arange(size - 1, dtype=float), np.nan)
            start += size
        effect = self._margin(rows) - self._margin(typical[None, :])
        return np.split(effect, np.cumsum(sizes)[:-1])

    def tables_hold(self) -> bool:
        """Return whether tables and trees agree within 1e-6 on 500 rows of random bins."""
        rng = np.random.default_rng(0)
        rows = np.column_stack([rng.integers(0, c + 1, 500).astype(float) for c in self.binner_.counts])
        rows[rows == np.array(self.binner_.counts)] = np.nan
        gap = self.baseline_ + self._looked_up(rows).sum(axis=1) - self._margin(rows)
        return bool(np.abs(gap).max() <= TOLERANCE)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not getattr(self, "exact_", False):
            return
        # Another scikit-learn may walk the trees differently: the trees have the last word.
        # One thread: on so few rows more of them spin for seconds wherever the cores are busy.
        with threadpool_limits(limits=1):
            if not self.tables_hold():
                self._build_tables()

    def _margin(self, binned: Floats) -> Floats:
        total = sum(trees.decision_function(binned) for trees in self.trees_)
        return np.asarray(total / len(self.trees_), dtype=np.float64)

    def _looked_up(self, binned: Floats) -> Floats:
        found = np.empty(binned.shape, dtype=np.float64)
        for j, table in enumerate(self.tables_):
            found[:, j] = table[_at(table, binned[:, j])]
        return found

    def _shares(self, binned: Floats) -> Floats:
        # All models are asked: on real rows the largest share of one alone was that of all only half the time.
        return shares_of_distance(self._margin, binned, self.typical_, first_in=self._looked_up(binned))


def log_losses(log_odds: Floats, churned: Bools) -> Floats:
    """Return the log loss of each row, shape (n,), from its log-odds without overflow."""
    return np.asarray(np.logaddexp(0.0, np.where(churned, -log_odds, log_odds)), dtype=np.float64)


def _at(table: Floats, column: Floats) -> Any:
    return np.where(np.isnan(column), len(table) - 1, column).astype(np.int64)


def _mode(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(np.bincount(known.astype(np.int64)).argmax()) if len(known) else np.nan
