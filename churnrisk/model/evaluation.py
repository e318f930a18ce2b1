"""How good a model is and how far signals drift: figures with account-level intervals, one bootstrap for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ContractError, ModelInputError
from churnrisk.model.splits import Bools, Floats, Ints
from churnrisk.records import Interval

BINS = 10
TOP_SHARE = 0.1
HIGHER_IS_BETTER = frozenset({"auc", "average_precision", "lift_top_10", "recall_at_capacity"})
MODEL = "model"
_EPS = 1e-12
_SCRATCH_CELLS = 4_000_000
# Rates of levels are shrunk towards the overall one with the weight of so many rows.
_PRIOR_ROWS = 20.0
#: Thresholds of a change worth a look and of a large one (the usual reading of the index).
SOME, LARGE = 0.1, 0.25


@dataclass(frozen=True)
class Evaluation:
    """Figures on one block of rows.

    Attributes
    ----------
    rows, accounts, churned, base_rate
        Counts, and the share of churned rows.
    capacity : int
        Rows that the team can review; the top of the ranking of that size counts for the recall.
    figures : dict of str to dict of str to Interval
        Per scorer ("model", "base rate", …) and metric; a metric without meaning for a scorer is absent.
    differences : dict of str to dict of str to Interval
        Per baseline and metric: model minus baseline, paired by account; lower is better for log_loss, brier and
        calibration_error.
    n_boot, seed : int
        Draws of accounts behind the intervals (2.5 % and 97.5 % quantiles).
    """

    rows: int
    accounts: int
    churned: int
    base_rate: float
    capacity: int
    figures: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    n_boot: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and numbers, ready for JSON."""
        return asdict(self)

    def to_frame(self) -> pd.DataFrame:
        """Return the figures as a table: one row per (scorer, metric), columns value, low, high."""
        rows = {
            (scorer, metric): asdict(interval)
            for scorer, figures in self.figures.items()
            for metric, interval in figures.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["scorer", "metric"])

    def beats(self, baseline: str, metric: str = "auc") -> bool:
        """Return whether the whole interval of the paired difference is on the model's side."""
        interval = self.differences[baseline][metric]
        return interval.low > 0 if metric in HIGHER_IS_BETTER else interval.high < 0


def evaluate(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    account_id: npt.ArrayLike,
    *,
    baselines: Mapping[str, npt.ArrayLike] | None = None,
    capacity: int | None = None,
    n_boot: int = 200,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities on rows that the model has not seen.

    Parameters
    ----------
    y, p : array-like of shape (n,)
        1 or True for churned, and the churn probability.
    account_id : array-like of shape (n,)
        Accounts are the units of the bootstrap: all rows of one are drawn together.
    baselines : dict of str to array-like, optional
        Scores of others on the same rows. Outside [0, 1] they are ranks only, without log loss and the like.
        "base rate" is always added.
    capacity : int, optional
        Rows that the team can review, a tenth of the rows by default.
    n_boot, seed : int
        Draws of accounts behind the intervals.

    Raises
    ------
    ModelInputError
        When lengths differ, a score is NaN, or the rows lack a class.
    """
    churned, scores = _checked(y, {MODEL: p, **(baselines or {})}, account_id)
    n = len(churned)
    scores.setdefault("base rate", np.full(n, churned.mean()))
    reviewed = max(1, min(n, round(n / 10) if capacity is None else capacity))
    draws = _draws(churned, scores, np.asarray(account_id), reviewed / n, n_boot, seed)
    rivals = [name for name in scores if name != MODEL]
    return Evaluation(
        rows=n,
        accounts=len(np.unique(np.asarray(account_id).astype(str))),
        churned=int(churned.sum()),
        base_rate=float(churned.mean()),
        capacity=reviewed,
        figures={name: {m: interval_of(v) for m, v in found.items()} for name, found in draws.items()},
        differences={
            name: {m: interval_of(draws[MODEL][m] - v) for m, v in draws[name].items() if m in draws[MODEL]}
            for name in rivals
        },
        n_boot=n_boot,
        seed=seed,
    )


def _checked(
    y: npt.ArrayLike, scores: Mapping[str, npt.ArrayLike], account_id: npt.ArrayLike
) -> tuple[Bools, dict[str, Floats]]:
    churned = np.asarray(y).astype(bool)
    found = {name: np.asarray(score, dtype=np.float64) for name, score in scores.items()}
    lengths = {"account_id": np.asarray(account_id).shape, **{name: s.shape for name, s in found.items()}}
    wrong = {name: shape for name, shape in lengths.items() if shape != churned.shape}
    if wrong:
        raise ModelInputError(f"expected one value per label, shape {churned.shape}, found {wrong}.")
    missing = [name for name, score in found.items() if np.isnan(score).any()]
    if missing:
        raise ModelInputError(f"expected a number per row, found NaN in the scores of {missing}. Fill them.")
    if churned.all() or not churned.any():
        raise ModelInputError(
            f"an evaluation needs both churned and retained accounts, found {int(churned.sum())} churned of "
            f"{len(churned)}. Take more or later snapshots into the test block."
        )
    return churned, found


def _draws(
    churned: Bools,
    scores: dict[str, Floats],
    accounts: npt.NDArray[Any],
    share: float,
    n_boot: int,
    seed: int,
) -> dict[str, dict[str, Floats]]:
    """Return each figure on all rows (first) and on each bootstrap draw, shape (n_boot + 1,)."""
    parts = _chunks(account_weights(accounts, n_boot=n_boot, seed=seed), churned)
    found: dict[str, dict[str, Floats]] = {}
    for name, score in scores.items():
        ranked = Ranked(churned, score)
        pieces = [ranked.figures(part, share) for part in parts]
        if score.min() >= 0 and score.max() <= 1:
            scored = Scored(churned, score)
            pieces = [{**piece, **scored.figures(part)} for piece, part in zip(pieces, parts, strict=True)]
        found[name] = {m: np.concatenate([piece[m] for piece in pieces]) for m in pieces[0]}
    return found


def univariate_aucs(
    X: pd.DataFrame, churned: npt.ArrayLike, account_id: npt.ArrayLike, *, n_boot: int, seed: int
) -> Iterator[tuple[str, Interval | None]]:
    """Yield the AUC of each numeric or category column alone; None where the rows with a value lack a class.

    Above one half, higher values go with churn; below, lower ones. Rows without a value are left out. Categories are
    ranked by the churn rate of their level among the other half of the accounts, so that a rare level cannot leak its
    own rows; their AUC lies above one half or is chance. The interval is that of the bootstrap by account.
    """
    y = np.asarray(churned).astype(bool)
    accounts = np.asarray(account_id).astype(str)
    weights = account_weights(accounts, n_boot=n_boot, seed=seed)
    half = _half(accounts, seed)
    for name, column in X.items():
        known = column.notna().to_numpy()
        if isinstance(column.dtype, pd.CategoricalDtype):
            score = _rates(column.cat.codes.to_numpy()[known], y[known], half[known])
        else:
            score = column.to_numpy(dtype=float)[known]
        yield str(name), _auc(y[known], score, weights[:, known])


def _auc(churned: Bools, score: Floats, weights: Floats) -> Interval | None:
    if not churned.any() or churned.all():
        return None
    ranked = Ranked(churned, score)
    return interval_of(
        np.concatenate([ranked.figures(part, TOP_SHARE)["auc"] for part in _chunks(weights, churned)])
    )


def _half(accounts: npt.NDArray[np.str_], seed: int) -> Bools:
    names, member = np.unique(accounts, return_inverse=True)
    picked = np.random.default_rng(seed).permutation(len(names)) < len(names) / 2
    return np.asarray(picked[member], dtype=bool)


def _rates(codes: npt.NDArray[np.integer], churned: Bools, half: Bools) -> Floats:
    rates = np.empty(len(codes))
    levels = int(codes.max(initial=0)) + 1
    for side in (half, ~half):
        overall = churned[~side].mean() if (~side).any() else 0.0
        rows = np.bincount(codes[~side], minlength=levels)
        lost = np.bincount(codes[~side], weights=churned[~side], minlength=levels)
        by_level = (lost + _PRIOR_ROWS * overall) / (rows + _PRIOR_ROWS)
        # relative to the half's overall rate, which differs from the other's by chance
        rates[side] = by_level[codes[side]] - overall
    return rates


class Ranked:
    """Labels sorted by a score, riskiest first, ties joined; all figures take weights of shape (n_boot, n)."""

    def __init__(self, churned: Bools, score: Floats) -> None:
        self.order: Ints = np.argsort(-score, kind="stable")
        self.churned = churned[self.order].astype(np.float64)
        descending = score[self.order]
        self.ends: Ints = np.append(np.flatnonzero(np.diff(descending) != 0), len(score) - 1)

    def _cumulated(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return weighted churned and weighted rows from the top down to each distinct score."""
        sorted_weights = weights[:, self.order]
        rows = np.cumsum(sorted_weights, axis=1)[:, self.ends]
        churned = np.cumsum(sorted_weights * self.churned, axis=1)[:, self.ends]
        return churned, rows

    def figures(self, weights: Floats, capacity: float) -> dict[str, Floats]:
        """Return AUC, average precision, lift at 10 % and recall at capacity, shape (n_boot,); ties share theirs."""
        churned, rows = self._cumulated(weights)
        total, n = churned[:, -1:], rows[:, -1:]
        gained = np.diff(churned, axis=1, prepend=0.0)
        passed = np.diff(rows, axis=1, prepend=0.0) - gained
        retained_above = (rows - churned) - passed / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = 1.0 - (gained * retained_above).sum(axis=1) / (total * (n - total))[:, 0]
            precision = np.where(rows > 0, churned / np.where(rows > 0, rows, 1.0), 0.0)
            average = (gained * precision).sum(axis=1) / total[:, 0]
            top = _reached(churned, rows, TOP_SHARE) / total[:, 0] / TOP_SHARE
            recall = _reached(churned, rows, capacity) / total[:, 0]
        return {"auc": auc, "average_precision": average, "lift_top_10": top, "recall_at_capacity": recall}

    def recall(self, weights: Floats, shares: Floats) -> Floats:
        """Return the share of the churned within the top shares of the rows, shape (n_boot, shares)."""
        churned, rows = self._cumulated(weights)
        found = np.column_stack([_reached(churned, rows, float(share)) for share in shares])
        return np.asarray(found / churned[:, -1:])


def _reached(churned: Floats, rows: Floats, share: float) -> Floats:
    """Return the weighted churned within the top `share` of the weighted rows, shape (n_boot,)."""
    target = share * rows[:, -1]
    at = (rows < target[:, None] - 1e-9).sum(axis=1).clip(max=rows.shape[1] - 1)
    line = np.arange(len(rows))
    before = np.where(at > 0, rows[line, at - 1], 0.0)
    gained_before = np.where(at > 0, churned[line, at - 1], 0.0)
    width = rows[line, at] - before
    part = np.divide(target - before, width, out=np.ones_like(width), where=width > 0)
    return np.asarray(gained_before + part * (churned[line, at] - gained_before))


class Scored:
    """Probabilities beside labels; all figures take weights of shape (n_boot, n)."""

    def __init__(self, churned: Bools, probability: Floats) -> None:
        clipped = np.clip(probability, _EPS, 1 - _EPS)
        self.losses = -np.log(np.where(churned, clipped, 1 - clipped))
        self.squares = (probability - churned) ** 2
        self.gap = probability - churned
        self.member = equal_count_bins(probability)

    def figures(self, weights: Floats) -> dict[str, Floats]:
        """Return log loss, Brier score and expected calibration error (10 equal-count bins), each shape (n_boot,)."""
        n = weights.sum(axis=1)
        one_hot = (self.member[:, None] == np.arange(self.member.max() + 1)) * self.gap[:, None]
        return {
            "log_loss": weights @ self.losses / n,
            "brier": weights @ self.squares / n,
            "calibration_error": np.abs(weights @ one_hot).sum(axis=1) / n,
        }


def equal_count_bins(probability: Floats, bins: int = BINS) -> Ints:
    """Return the bin of each row, 0 … bins - 1, as equal in count as tied values allow."""
    _, member, counts = np.unique(probability, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    bin_of_value = np.minimum((middle / counts.sum() * bins).astype(np.int64), bins - 1)
    _, dense = np.unique(bin_of_value, return_inverse=True)
    return np.asarray(dense[member], dtype=np.int64)


def account_weights(account_id: npt.NDArray[np.object_], *, n_boot: int, seed: int) -> Floats:
    """Return weights per row, shape (n_boot + 1, n): accounts drawn with replacement, after a line of ones.

    Source: cluster bootstrap, Field and Welsh (2007), with accounts as clusters.
    """
    names, member = np.unique(np.asarray(account_id).astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    n = len(names)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_boot).astype(np.float64)
    return np.concatenate([np.ones((1, len(member))), drawn[:, member]])


def _chunks(weights: Floats, churned: Bools) -> list[Floats]:
    """Return the draws that have an AUC, since both classes are in them, so many at once as memory allows."""
    drawn = weights @ churned
    weights = weights[(drawn > 0) & (drawn < weights.sum(axis=1))]
    at_once = max(1, _SCRATCH_CELLS // len(churned))
    return [weights[i : i + at_once] for i in range(0, len(weights), at_once)]


def interval_of(values: Floats) -> Interval:
    """Return the figure on all rows, which comes first, with the bounds of the draws where it has a value."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975]) if len(values) > 1 else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def population_stability(old: pd.Series, new: pd.Series) -> float | None:
    """Return the population stability index between two sets of values of one signal; None where one is empty.

    Numbers fall into the tenths of ``old``, categories into themselves, missing values into a separate bin. The
    index expected from chance alone between samples of these sizes, (bins - 1) (1/n_old + 1/n_new), is subtracted, so
    that small snapshots do not look as if they had moved. Source: Yurdakul (2018), "Statistical properties of
    population stability index".
    """
    if old.empty or new.empty:
        return None
    before, after = _counts(old, new)
    bins = len(before)
    # half a row more in each bin: an empty one would make the index infinite
    p = (before + 0.5) / (before.sum() + 0.5 * bins)
    q = (after + 0.5) / (after.sum() + 0.5 * bins)
    index = float(((p - q) * np.log(p / q)).sum())
    return max(0.0, index - (bins - 1) * (1 / len(old) + 1 / len(new)))


def drift_by_snapshot(X: pd.DataFrame) -> pd.DataFrame:
    """Return the population stability index of each signal (column) at later as-of dates (rows) against the first."""
    dates = X.index.get_level_values("as_of") if "as_of" in X.index.names else pd.Index([])
    distinct = sorted(dates.unique())
    if len(distinct) < 2:
        raise ContractError(
            f"drift is measured between snapshots: expected rows of two as-of dates or more, found {len(distinct)}. "
            "Pass the X of a panel, with its index (account_id, as_of)."
        )
    first = X[dates == distinct[0]]
    moved = [
        {name: population_stability(first[name], later[name]) for name in X}
        for later in (X[dates == date] for date in distinct[1:])
    ]
    return pd.DataFrame(moved, index=pd.DatetimeIndex(distinct[1:], name="as_of"))


def _counts(old: pd.Series, new: pd.Series) -> tuple[Floats, Floats]:
    """Return rows per bin; bins that both leave empty are left out."""
    if isinstance(old.dtype, pd.CategoricalDtype):
        tallies = [values.astype(object).fillna("\0missing").value_counts() for values in (old, new)]
        both = pd.concat(tallies, axis=1).fillna(0.0).to_numpy(dtype=float)
        return both[:, 0], both[:, 1]
    known = old.dropna().to_numpy(dtype=float)
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.empty(0)
    before, after = (_binned(values.to_numpy(dtype=float), edges) for values in (old, new))
    used = (before + after) > 0
    return before[used], after[used]


def _binned(values: Floats, edges: Floats) -> Floats:
    # left: a frequent value, such as 0, ends its bin instead of sharing one with all above it
    places = np.searchsorted(edges, values, side="left")
    places[np.isnan(values)] = len(edges) + 1
    return np.bincount(places, minlength=len(edges) + 2).astype(float)
