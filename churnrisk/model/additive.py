"""Boosted trees over binned columns; without interactions they become one exact lookup table per column."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from churnrisk.model.linear import attributions
from churnrisk.model.splits import Bools, Floats, Ints

# Below this many cells threads wait for each other longer than they work wherever the cores are shared:
# with both busy, a fit on 41,000 rows of 57 columns took 41 to 160 s with two threads; 30 s with one.
_FEW_CELLS = 4_000_000
MOST_BINS = 255
_SAMPLE = 200_000
#: Below so many values building a grid costs more than it saves.
WORTH_A_GRID = 20_000
_VALUES_AT_ONCE = 16_384  # stays in the cache
_MOST_CELLS = 65_536
TOLERANCE = 1e-6
EVERY = 10
_TREES_AT_ONCE = 100
# What an exact model needs no longer, or makes from its tables.
_GROWN = frozenset({"trees_", "typical_", "bin_shares_", "steps_"})


class BoostedTrees(BaseEstimator):  # type: ignore[misc]
    """Histogram gradient boosting on an encoded matrix (see ``FrameEncoder``), additive or full.

    The columns are binned here and the trees see bin numbers only. An additive model is a sum of one-column step
    functions, so one evaluation per bin gives a table per column; a row's log-odds are then looked up and added, and
    the looked-up values are its exact contributions.

    ``monotone`` is +1, 0 or -1 per encoded column. With `max_features` below 1 each of `n_models` draws its own
    columns, and their log-odds are averaged. ``exact_`` says that ``tables_`` (log-odds per bin and, last, for
    missing, centred on the training mean) reproduce the trees within 1e-6; ``steps_`` are the same tables over
    values, which scoring looks up.
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
        """Grow the trees on encoded (n, d), churned (n,) and categorical (d,), and build the tables."""
        self.fit_crossed(encoded, churned, categorical, np.full(len(churned), -1))
        return self

    def fit_crossed(self, encoded: Floats, churned: Bools, categorical: Bools, left_out_of: Ints) -> Floats:
        """Fit, each model without some rows, and return the log-odds of those by the model that lacks them, else NaN.

        ``left_out_of`` is the model that does not learn from the row; -1 where all do.
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
        """Return the log loss per later row after every 10 trees, until `patience` trees bring no better mean."""
        binner = Binner.learn(fit[0], categorical)
        binned, binned_later = binner.bins(fit[0]), binner.bins(later[0])
        trees = self._trees(categorical).set_params(warm_start=True)
        losses: list[Floats] = []
        for size in [*range(_TREES_AT_ONCE, self.max_iter, _TREES_AT_ONCE), self.max_iter]:
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

        Exact or by :func:`attributions`. With `in_place` they may overwrite `encoded`: half the memory and time.
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
            np.bincount(_bin_numbers(np.empty(count + 1), column), minlength=count + 1) / len(binned)
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
        self._set_steps()

    def _set_steps(self) -> None:
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

    def __getstate__(self) -> dict[str, Any]:
        """Return what is stored: of an exact model only its tables, which equal the trees (see ``tables_hold``)."""
        state = dict(super().__getstate__())
        if not state.get("exact_"):
            return state
        kept = {name: value for name, value in state.items() if name not in _GROWN}
        return kept | {"tables_": _joined(self.tables_)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not getattr(self, "exact_", False):
            return
        if "trees_" not in state:
            self.tables_ = _parted(state["tables_"])
            self._set_steps()
            return
        # Stored with its trees, by an earlier churnrisk: another scikit-learn may walk them differently.
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
            found[:, j] = table[_bin_numbers(table, binned[:, j])]
        return found

    def _shares(self, binned: Floats) -> Floats:
        # Of all models: on real rows, one model's largest share was that of all only half the time.
        return attributions(self._margin, binned, self.typical_, first_in=self._looked_up(binned))


def log_losses(log_odds: Floats, churned: Bools) -> Floats:
    """Return the log loss of each row, shape (n,), from its log-odds without overflow."""
    return np.asarray(np.logaddexp(0.0, np.where(churned, -log_odds, log_odds)), dtype=np.float64)


def _joined(arrays: list[Floats]) -> dict[str, Floats | Ints]:
    """Return arrays as one: a stored model has a file per array."""
    sizes = np.array([len(array) for array in arrays], dtype=np.int64)
    return {"values": np.concatenate([*arrays, np.empty(0)]), "sizes": sizes}


def _parted(joined: Any) -> list[Floats]:
    """Return the arrays of :func:`_joined`; a list, as stored earlier, as it is."""
    return joined if isinstance(joined, list) else np.split(joined["values"], np.cumsum(joined["sizes"])[:-1])


def _bin_numbers(table: Floats, column: Floats) -> Any:
    return np.where(np.isnan(column), len(table) - 1, column).astype(np.int64)


def _mode(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(np.bincount(known.astype(np.int64)).argmax()) if len(known) else np.nan


def threads_for(encoded: Floats) -> AbstractContextManager[Any]:
    """Return a context with one thread for a small matrix, and with all of them for a large one."""
    return threadpool_limits(limits=1) if encoded.size < _FEW_CELLS else nullcontext()


@dataclass
class Binner:
    """Bin edges per column, at most 255 bins; each categorical code is a bin, missing stays missing.

    Bin i holds ``edges[i - 1] < value <= edges[i]``; ``counts`` excludes missing. ``known`` marks columns with a
    value in the learning rows: scikit-learn cannot bin a column without values, so the others are held at one bin.
    """

    edges: list[Floats]
    categorical: Bools
    counts: list[int]
    known: Bools

    @classmethod
    def learn(cls, encoded: Floats, categorical: Bools, most_bins: int = MOST_BINS) -> Binner:
        """Take quantiles as edges where a column has more than `most_bins` values, else the midpoints."""
        step = max(1, len(encoded) // _SAMPLE)
        edges, counts = [], []
        for j, is_code in enumerate(categorical):
            edges.append(np.empty(0) if is_code else _edges(encoded[::step, j], most_bins))
            counts.append(_levels(encoded[:, j]) if is_code else len(edges[j]) + 1)
        known = np.asarray(~np.isnan(encoded).all(axis=0))
        return cls(edges, np.asarray(categorical, dtype=bool), counts, known)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"edges": _joined(self.edges)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"edges": _parted(state["edges"])})

    def bins(self, encoded: Floats) -> Floats:
        """Return the bin of each cell as float64, shape (n, d), NaN for missing."""
        binned = np.empty(encoded.shape, dtype=np.float64)
        for j, edges in enumerate(self.edges):
            column = encoded[:, j]
            if self.categorical[j]:
                # A code above the last learned one is "other" without a row at fit.
                binned[:, j] = np.minimum(column, self.counts[j] - 1)
                continue
            binned[:, j] = np.searchsorted(edges, column, side="left")
            binned[np.isnan(column), j] = np.nan
        binned[:, ~self.known] = 0.0
        return binned

    def steps(self, j: int, table: Floats) -> tuple[Floats, Floats]:
        """Return a column's table (effect per bin and, last, of missing) as a step function, equal neighbours joined.

        Ascending upper edges, the last infinite, and one effect more: that of a value is at ``np.searchsorted(edges,
        value)``, which puts NaN last.
        """
        if not self.known[j]:
            return np.array([np.inf]), np.array([table[0], table[0]])
        inner = np.arange(self.counts[j] - 1, dtype=np.float64) if self.categorical[j] else self.edges[j]
        changes = np.flatnonzero(table[:-2] != table[1:-1])
        edges = np.append(inner[changes], np.inf)
        return edges, np.concatenate([table[[0]], table[1 + changes], table[[-1]]])


def _levels(codes: Floats) -> int:
    known = codes[~np.isnan(codes)]
    # One more than seen: the bin of "other", which may have had no row.
    return min(MOST_BINS, int(known.max()) + 2) if len(known) else 1


def _edges(column: Floats, most_bins: int) -> Floats:
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if len(values) < 2:
        return np.empty(0)
    middles: Floats = values[:-1] + (values[1:] - values[:-1]) / 2
    if len(values) <= most_bins:
        return middles
    share = np.cumsum(counts)[:-1] / counts.sum()
    quantiles = np.arange(1, most_bins) / most_bins
    edges: Floats = middles[np.unique(np.minimum(np.searchsorted(share, quantiles), len(middles) - 1))]
    return edges


@dataclass(frozen=True)
class Grid:
    """A step function over a grid whose cells hold at most one edge: one multiplication and comparison per value.

    Exact: subtracting, scaling and clipping keep the order of floats, so only the edge in the value's cell, ``(value -
    start) * scale`` clipped to [0, cells), is compared with; missing has one more cell. ``edge`` is infinite where a
    cell has none; ``sides`` holds, per cell, the height up to its edge and beyond.
    """

    start: float
    scale: float
    cells: int
    edge: Floats
    sides: Floats

    @classmethod
    def of(cls, edges: Floats, values: Floats) -> Self | None:
        """Return the grid of the steps of :meth:`Binner.steps`; None where edges lie too close for one."""
        inner = edges[:-1]
        if not len(inner):
            return None
        with np.errstate(over="ignore"):
            span, gap = inner[-1] - inner[0], np.diff(inner).min(initial=np.inf)
        cells = 2
        while cells < _MOST_CELLS and cells * gap < 2 * span:
            cells *= 2
        scale = (cells - 1) / span if span > 0 else 1.0
        if not 0 < scale < np.inf:
            return None
        at = np.clip((inner - inner[0]) * scale, 0, cells - 1).astype(np.int64)
        counts = np.bincount(at, minlength=cells)
        if counts.max() > 1:
            return None
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        edge = np.full(cells + 1, np.inf)
        edge[at] = inner
        sides = np.full((cells + 1, 2), values[-1])
        sides[:cells, 0], sides[:cells, 1] = values[before], values[np.minimum(before + 1, len(inner))]
        return cls(float(inner[0]), float(scale), cells, edge, sides.ravel())

    def look_up(self, column: Floats, out: Floats) -> None:
        """Write the step's height at each value of a column to ``out``, shape (n,); it may be the column itself."""
        scratch, compared = np.empty(_VALUES_AT_ONCE), np.empty(_VALUES_AT_ONCE)
        cells, beyond = np.empty(_VALUES_AT_ONCE, dtype=np.intp), np.empty(_VALUES_AT_ONCE, dtype=bool)
        for start in range(0, len(column), _VALUES_AT_ONCE):
            part = column[start : start + _VALUES_AT_ONCE]
            n = len(part)
            at = self._cells(part, scratch[:n], cells[:n])
            np.less(np.take(self.edge, at, out=compared[:n], mode="clip"), part, out=beyond[:n])
            np.add(at, at, out=at)
            np.add(at, beyond[:n], out=at)
            np.take(self.sides, at, out=out[start : start + n], mode="clip")

    def _cells(self, part: Floats, scratch: Floats, cells: Ints) -> Ints:
        with np.errstate(over="ignore"):  # what overflows lies beyond all edges
            np.subtract(part, self.start, out=scratch)
            np.multiply(scratch, self.scale, out=scratch)
        np.minimum(scratch, self.cells - 1, out=scratch)
        np.maximum(scratch, 0.0, out=scratch)
        # of a number and NaN the number: missing gets the last cell
        np.fmin(scratch, self.cells, out=scratch)
        np.copyto(cells, scratch, casting="unsafe")
        return cells


def look_up(steps: tuple[Floats, Floats], column: Floats, out: Floats | None = None) -> Floats:
    """Return the height of :meth:`Binner.steps` at each value (NaN: missing), in ``out`` if given, maybe the column."""
    edges, values = steps
    found = np.empty(len(column), dtype=np.float64) if out is None else out
    grid = Grid.of(edges, values) if len(column) >= WORTH_A_GRID else None
    if len(edges) == 1:
        missing = np.isnan(column)
        found.fill(values[0])
        found[missing] = values[-1]
    elif grid is None:
        np.take(values, np.searchsorted(edges, column), out=found)
    else:
        grid.look_up(column, found)
    return found
