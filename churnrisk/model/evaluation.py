"""How good a model is, which signals tell too much, how far they drift: intervals by account, one bootstrap for all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom

from churnrisk.errors import ContractError, ModelInputError
from churnrisk.model.splits import Bools, Floats, Ints
from churnrisk.records import Feature, Interval, Suspect

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
#: From this AUC on, a signal alone tells too much to have been known before.
TELLING = 0.95
#: The same for losses beyond the horizon and signals with one value per account: from the first if the accounts that
#: stay show no trace of selection, from the second in any case; and the rank correlation with the days to the loss.
TELLING_LATER, SURELY_LATER, TELLING_WHEN = 0.75, 0.90, 0.6
#: The most that chance may have to do with it, and how far a trace of selection lies from chance (standard errors).
CHANCE, TRACE = 1e-4, 3.0
#: Numbers with more distinct values are cut into so many bins; bootstraps of suspects, and the rows that they rank.
_LEVELS, _DRAWS, MOST_ROWS = 64, 200, 50_000
#: How many times as frequent a value must be in its class where a few of the other class may have it.
_TIMES = 20


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


def find_suspects(
    X: pd.DataFrame,
    churned: npt.ArrayLike,
    account_id: npt.ArrayLike,
    features: Sequence[Feature],
    *,
    trust: Collection[str] = (),
    lasting: Collection[str] = (),
    stayed: pd.Series | None = None,
    seed: int = 0,
) -> list[Suspect]:
    """Return the signals that tell the outcome too well to have been known before, in the order of ``features``.

    The user's own columns and signals are left out if one alone has an AUC of :data:`TELLING`, or if its values, or
    the lack of one, occur in one class only, beyond chance; unless ``trust`` names them. Those of the catalogue read
    dated rows, so they are named from the same AUC on, and stay.

    ``lasting`` have one value per account, the same at all snapshots. Nothing says when it was set; if that was after
    the loss, it tells the later losses at every snapshot, however far off they are. So these are judged once more, at
    one snapshot: by whether accounts that are not lost within the horizon are gone in the end (``stayed`` are those
    still there, by default all that never churn in the panel), and when. Facts that never change can tell that too, up
    to a point (the kind of contract: AUC 0.74 on the set interconnect), but then the accounts that stay are a
    selection: the longer they are there, the rarer are the values of those who leave. Without a trace of that,
    :data:`TELLING_LATER` is enough.
    """
    rows = KnownOutcomes(np.asarray(churned).astype(bool), pd.factorize(np.asarray(account_id))[0], seed)
    later = LaterLosses.of(X, rows, stayed) if lasting else None
    found = []
    for feature in features:
        column = X[feature.name]
        brought = any(need.startswith("attributes.") for need in feature.requires)
        if feature.family not in ("attributes", "own") and not brought:
            auc = rows.sample.auc_alone(column[rows.sampled], TELLING)
            found += [Suspect(feature.name, _telling(auc), False, auc)] if auc else []
        elif feature.name not in trust:
            why, auc = rows.given_away(column)
            if not why and later and feature.name in lasting:
                why, auc = later.given_away(column)
            found += [Suspect(feature.name, why, True, auc)] if why else []
    return found


def _telling(auc: Interval, what: str = "who churns") -> str:
    return f"alone it tells {what}, AUC {auc.value:.3f} (95 % interval {auc.low:.3f} to {auc.high:.3f})"


@dataclass(frozen=True)
class KnownOutcomes:
    """The outcome of each row and its account, as a number from 0 on, to judge single columns by."""

    churned: Bools
    account: Ints
    seed: int

    @cached_property
    def sampled(self) -> Bools:
        """Rows of so many accounts that about :data:`MOST_ROWS` remain."""
        share = min(1.0, MOST_ROWS / max(1, len(self.account)))
        drawn = np.random.default_rng(self.seed).permutation(self.account.max(initial=0) + 1)
        return np.asarray(drawn[self.account] < max(1.0, share * len(drawn)), dtype=bool)

    @cached_property
    def sample(self) -> KnownOutcomes:
        """The sampled rows."""
        kept = self.sampled
        return self if kept.all() else KnownOutcomes(self.churned[kept], self.account[kept], self.seed)

    @cached_property
    def _weights(self) -> Floats:
        return account_weights(self.account.astype(object), n_boot=_DRAWS, seed=self.seed)

    @cached_property
    def _half(self) -> Bools:
        return _half(self.account.astype(str), self.seed)

    def given_away(self, column: pd.Series) -> tuple[str, Interval | None]:
        """Return how a column gives the outcome away, empty if it does not, and its AUC."""
        auc = self.sample.auc_alone(column[self.sampled], TELLING)
        only = self.of_one_class(column)
        return "; ".join(filter(None, (only, _telling(auc) if auc else ""))), auc

    def auc_alone(self, column: pd.Series, least: float) -> Interval | None:
        """Return the AUC of a column alone if it is at least so high, and not by chance.

        Numbers count in either direction. Categories, numbers in bins and missing values are ranked by their churn
        rate among the other half of the accounts, so that rare levels cannot leak their own rows.
        """
        known = column.notna().to_numpy()
        everywhere = np.ones(len(known), dtype=bool)
        rates = _rates(_codes(column), self.churned, self._half)
        rankings = [(everywhere, rates)]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            values = column.to_numpy(dtype=float)[known]
            rankings += [(known, values), (known, -values)]
        for rows, score in rankings:
            churned, weights = self.churned[rows], np.ones((1, len(score)))
            auc = _auc(churned, score, weights)
            if auc is not None and auc.value >= least and not self._by_chance(auc.value, rows):
                return _auc(churned, score, self._weights[:, rows])
        return None

    def _by_chance(self, auc: float, rows: Bools) -> bool:
        """Say whether scores without meaning could reach an AUC; by the normal approximation of Mann and Whitney."""
        churned = len(np.unique(self.account[rows & self.churned]))
        others = len(np.unique(self.account[rows & ~self.churned]))
        return bool(abs(auc - 0.5) < 3.9 * np.sqrt((churned + others + 1) / (12.0 * churned * others)))

    def of_one_class(self, column: pd.Series, *, purity: float = 1.0) -> str:
        """Return which values, or which lack of one, only one class has, or nearly so."""
        known = column.notna().to_numpy()
        for rows, has in ((known, "a value"), (~known, "no value")):
            # of the churned a part is enough: most reasons for leaving stay unknown
            if why := self._only(rows, has, 0.0, purity):
                return why
        levels = column[known].unique()
        for level in levels if len(levels) <= _LEVELS else ():
            shown = level if isinstance(level, str) else f"{level:g}"
            if why := self._only((column == level).to_numpy(), f"the value {shown}", 0.5, purity):
                return why
        return ""

    def _only(self, rows: Bools, has: str, least_churned: float, purity: float) -> str:
        """Say that rows are of one class and hold at least a share of it; empty if they do not, or by chance."""
        count, churned = int(rows.sum()), float(self.churned[rows].mean()) if rows.any() else 0.5
        own = self.churned if churned > 0.5 else ~self.churned
        held, least = float(rows[own].mean()) if own.any() else 0.0, least_churned if churned > 0.5 else 0.5
        pure, others = max(churned, 1.0 - churned), float(rows[~own].mean()) if not own.all() else 1.0
        # nearly pure is not enough where nearly all are of that class anyway
        if count in (0, len(rows)) or pure < purity or held < max(least, _TIMES * others):
            return ""
        accounts = len(np.unique(self.account[rows]))
        of_class = len(np.unique(self.account[own]))
        share = of_class / (of_class + len(np.unique(self.account[~own])))
        if binom.sf(int(np.ceil(pure * accounts)) - 1, accounts, share) >= CHANCE:
            return ""
        whose, rest = ("leave", "stay") if churned > 0.5 else ("stay", "leave")
        return f"{held:.0%} of those who {whose} have {has}, of those who {rest} {others:.0%}"


@dataclass(frozen=True)
class LaterLosses:
    """The rows of one snapshot that do not churn within the horizon, and whether their accounts are gone in the end."""

    rows: Bools
    gone: KnownOutcomes
    #: Of those rows, days since sign-up; and until the loss, missing where the account stays.
    tenure_days: Floats
    days_left: Floats

    @classmethod
    def of(cls, X: pd.DataFrame, rows: KnownOutcomes, stayed: pd.Series | None) -> LaterLosses | None:
        """Take the snapshot that compares the most pairs of accounts; None if there is none."""
        dates = X.index.get_level_values("as_of").to_numpy()
        losses = pd.Series(dates[rows.churned]).groupby(rows.account[rows.churned]).max()
        lost_on = losses.reindex(rows.account).to_numpy()
        gone = ~np.isnat(lost_on)
        if stayed is not None:
            gone = ~X.index.get_level_values("account_id").isin(stayed)
        waiting = pd.DataFrame({"as_of": dates, "gone": gone})[~rows.churned].groupby("as_of")["gone"]
        pairs = waiting.sum() * (waiting.size() - waiting.sum())
        if pairs.max() == 0:
            return None
        chosen = ~rows.churned & (dates == pairs.idxmax())
        tenure = X["tenure_days"].to_numpy(dtype=float) if "tenure_days" in X else np.zeros(len(X))
        left = (lost_on[chosen] - dates[chosen]) / np.timedelta64(1, "D")
        outcomes = KnownOutcomes(gone[chosen], rows.account[chosen], rows.seed)
        return cls(chosen, outcomes, np.nan_to_num(tenure[chosen]), np.where(left > 0, left, np.nan))

    def given_away(self, column: pd.Series) -> tuple[str, Interval | None]:
        """Return how a column with one value per account gives later losses away, and its AUC."""
        here = column[self.rows]
        head = "with one value per account it tells at a snapshot"
        if only := self.gone.of_one_class(here, purity=0.95):
            return f"{head} who is lost after the horizon: {only}", None
        auc = self.gone.auc_alone(here, TELLING_LATER)
        if auc and (auc.value >= SURELY_LATER or not self._shows_selection(here)):
            what = "at a snapshot, with one value per account, who is lost after the horizon"
            return _telling(auc, what), auc
        if not isinstance(here.dtype, pd.CategoricalDtype):
            pairs = pd.DataFrame({"value": here.to_numpy(dtype=float), "left": self.days_left})
            pairs["tenure"] = self.tenure_days
            known = abs(rank_correlation(pairs))
            # what was counted up to the loss grows with the age of those who stay; the length of a contract does not
            grown = abs(rank_correlation(pairs.loc[~self.gone.churned, ["value", "tenure"]]))
            if min(known, grown) >= TELLING_WHEN:
                return f"{head} when accounts of the same age leave, rank correlation {known:.2f}", None
        return "", None

    def _shows_selection(self, column: pd.Series) -> bool:
        """Say whether values of those who leave are rarer, or more frequent, among those who stay for long."""
        codes = _codes(column)
        risk = pd.Series(self.gone.churned).groupby(codes).transform("mean")
        stays = pd.DataFrame({"risk": risk, "tenure": self.tenure_days})[~self.gone.churned]
        return bool(abs(rank_correlation(stays)) * np.sqrt(len(stays)) > TRACE)


def rank_correlation(pairs: pd.DataFrame) -> float:
    """Return Spearman's correlation of the first two columns, given the third if there is one; 0 where it is chance."""
    ranks = pairs.dropna().rank()
    if len(ranks) < 30 or (ranks.iloc[:, :2].nunique() < 2).any():
        return 0.0
    centred = (ranks - ranks.mean()).to_numpy()
    one, other, *given = centred.T
    for control in given:
        if spread := float(control @ control):
            one, other = (part - control * (control @ part) / spread for part in (one, other))
    spread = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / spread if spread else 0.0


def _codes(column: pd.Series) -> Ints:
    """Return the level of each row from 1 on, 0 where there is no value; many numbers are cut into bins."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.cat.codes, dtype=np.int64) + 1
    values = column.to_numpy(dtype=float)
    known = ~np.isnan(values)
    levels = np.unique(values[known])
    if len(levels) > _LEVELS:
        levels = np.unique(np.quantile(values[known], np.linspace(0, 1, _LEVELS + 1)[1:-1]))
    return np.where(known, np.searchsorted(levels, values, side="left") + 1, 0)


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
