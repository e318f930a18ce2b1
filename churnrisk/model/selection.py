"""Choose a candidate and its setting by cross-validated log loss; additive wins ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from churnrisk.errors import ModelInputError
from churnrisk.model.additive import EVERY, BoostedTrees, log_losses, threads_for
from churnrisk.model.candidates import CandidateModel, Setting, Task, candidate_named
from churnrisk.model.encoding import LevelRates
from churnrisk.model.splits import ACCOUNT, Bools, Floats, Ints, PanelSplit, as_of_of, level_of, uniform_of

# The second settings guard against overfitting, which many rows do by themselves: on the one real set of
# this size the second setting of "full" lost by 0.002 log loss, and trying it costs as much as the first.
FEW_ROWS = 30_000
PATIENCE = 50

Fold = tuple[Ints, Ints]


@dataclass(frozen=True)
class Folds:
    """(train, validation) row positions, and in words how they were cut."""

    pairs: list[Fold]
    how: str


def choose_folds(X: Any, churned: Bools, *, n_splits: int, embargo_days: int, seed: int) -> Folds:
    """Return ``PanelSplit``'s folds with both classes, fewer where dates are few; else by account or stratified."""
    as_of = as_of_of(X)
    if as_of is not None:
        for n in range(n_splits, 0, -1):
            try:
                pairs = list(PanelSplit(n, embargo_days=embargo_days).split(X, groups=as_of))
            except ModelInputError:
                continue
            if pairs := _with_both_classes(pairs, churned):
                return Folds(pairs, f"{len(pairs)} time-ordered folds with an embargo of {embargo_days} days")
    return _by_account(level_of(X, ACCOUNT), churned, n_splits=n_splits, seed=seed)


def _by_account(accounts: npt.NDArray[Any] | None, churned: Bools, *, n_splits: int, seed: int) -> Folds:
    if accounts is None:
        n = min(n_splits, int(churned.sum()), int((~churned).sum()))
        if n < 2:
            return Folds([], "no folds: too few rows of one class")
        draw = StratifiedKFold(n, shuffle=True, random_state=seed)
        return Folds(list(draw.split(churned, churned)), f"{n} stratified folds of rows")
    # Not the draw of account_blocks: the folds would be its blocks again, and one be empty.
    member = (uniform_of(accounts, seed + 3) * max(2, n_splits)).astype(np.int64)
    pairs = [(np.flatnonzero(member != k), np.flatnonzero(member == k)) for k in range(max(2, n_splits))]
    pairs = _with_both_classes(pairs, churned)
    return Folds(pairs, f"{len(pairs)} account-disjoint folds")


def _with_both_classes(pairs: list[Fold], churned: Bools) -> list[Fold]:
    return [pair for pair in pairs if all(0 < churned[side].sum() < len(side) for side in pair)]


@dataclass
class Trial:
    """One candidate with one setting: its out-of-fold log loss per row, and what to fit on all rows."""

    candidate: str
    setting: Setting
    losses: Floats
    fold_means: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean out-of-fold log loss."""
        return float(self.losses.mean())


@dataclass(frozen=True)
class SearchInput:
    """Encoded rows (n, d), their outcomes and accounts, and per column its name, kind and monotone sign."""

    encoded: Floats
    churned: Bools
    accounts: npt.NDArray[Any]
    names: tuple[str, ...]
    categorical: Bools
    wide: Bools
    monotone: tuple[int, ...]

    def only(self, rows: Bools) -> SearchInput:
        """Return some of the rows."""
        return replace(
            self, encoded=self.encoded[rows], churned=self.churned[rows], accounts=self.accounts[rows]
        )

    def model(self, candidate: str, setting: Setting, *, seed: int, n_models: int = 1) -> CandidateModel:
        """Return an unfitted model of a candidate for these columns."""
        return candidate_named(candidate).build(setting, Task(self.names, self.monotone, seed, n_models))


@dataclass(frozen=True)
class Choice:
    """The trial to fit, why it was chosen, how the folds were cut, one result per setting tried, notes."""

    trial: Trial
    why: str
    folds: str
    results: list[dict[str, Any]]
    notes: list[str]


def choose_in_time(
    X: Any,
    rows: SearchInput,
    candidates: Sequence[str],
    *,
    n_splits: int,
    embargo_days: int,
    max_iter: int,
    max_rows: int,
    seed: int,
) -> Choice:
    """Choose a candidate and its setting by time-ordered cross-validation; X are the rows before encoding."""
    n, notes = len(rows.churned), []
    if n > max_rows:
        sample = uniform_of(rows.accounts, seed + 2) < max_rows / n
        notes.append(f"the search used {int(sample.sum())} of {n} rows, a sample of the accounts")
        X, rows = X[sample], rows.only(sample)
    folds = choose_folds(X, rows.churned, n_splits=n_splits, embargo_days=embargo_days, seed=seed)
    if not folds.pairs:
        first = Trial(candidates[0], dict(candidate_named(candidates[0]).settings[0]), np.empty(0))
        why = "the first candidate: too few rows of one class to compare"
        return Choice(first, why, folds.how, [], notes)
    trials = search(rows, folds, candidates, max_iter=max_iter, seed=seed)
    results = [
        {"candidate": t.candidate, "setting": t.setting, "log_loss": t.mean, "folds": t.fold_means}
        for t in trials
    ]
    trial, why = choose(trials, rows.accounts[np.concatenate([later for _, later in folds.pairs])])
    return Choice(trial, why, folds.how, results, notes)


@dataclass(frozen=True)
class _Fold:
    """One fold, with the rates of wide columns learned on its own learning rows."""

    encoded: Floats
    churned: Bools
    later: Floats
    churned_later: Bools


def _fold(rows: SearchInput, pair: Fold, seed: int) -> _Fold:
    fit, later = pair
    churned = rows.churned[fit]
    rates, encoded = LevelRates.learn(rows.encoded[fit], churned, rows.wide, rows.accounts[fit], seed=seed)
    return _Fold(encoded, churned, rates.apply(rows.encoded[later]), rows.churned[later])


def search(
    rows: SearchInput, folds: Folds, candidates: Sequence[str], *, max_iter: int, seed: int
) -> list[Trial]:
    """Try every candidate's settings on the folds, each next setting only while the one before improved."""
    trials: list[Trial] = []
    rated = [_fold(rows, pair, seed) for pair in folds.pairs]
    for candidate in candidates:
        best = np.inf
        settings = candidate_named(candidate).settings
        for setting in settings if len(rows.churned) <= FEW_ROWS else settings[:1]:
            trial = _try(rows, rated, candidate, setting, max_iter=max_iter, seed=seed)
            trials.append(trial)
            if trial.mean >= best - 1e-5:
                break
            best = trial.mean
    return trials


def _try(
    rows: SearchInput, folds: list[_Fold], candidate: str, setting: Setting, *, max_iter: int, seed: int
) -> Trial:
    adapted = candidate_named(candidate).adapted
    curves = []
    for fold in folds:
        model = rows.model(candidate, adapted(setting, rows=len(fold.churned), max_iter=max_iter), seed=seed)
        curves.append(_curve(fold, rows.categorical, model))
    at = _best_stage(curves)
    losses = [curve[min(at, len(curve) - 1)] for curve in curves]
    chosen = adapted(setting, rows=len(rows.churned), max_iter=min((at + 1) * EVERY, max_iter))
    means = [float(loss.mean()) for loss in losses]
    return Trial(candidate, chosen, np.concatenate(losses).astype(np.float64), means)


def _curve(fold: _Fold, categorical: Bools, model: CandidateModel) -> Floats:
    """Return the log loss of each validation row, shape (stages, n): after every ten trees, or one stage."""
    fit, later = (fold.encoded, fold.churned), (fold.later, fold.churned_later)
    if isinstance(model, BoostedTrees):
        with threads_for(fold.encoded):
            return model.losses_while_growing(fit, later, categorical, PATIENCE)
    model.fit(*fit, categorical)
    return log_losses(model.decision_function(fold.later), fold.churned_later)[None, :]


def _best_stage(curves: list[Floats]) -> int:
    longest = max(len(curve) for curve in curves)
    total = np.zeros(longest)
    for curve in curves:
        sums = curve.sum(axis=1, dtype=np.float64)
        total += np.append(sums, np.full(longest - len(sums), sums[-1]))
    return int(np.argmin(total))


def choose(trials: list[Trial], accounts: npt.NDArray[Any]) -> tuple[Trial, str]:
    """Return the trial with the lowest mean log loss and why; additive wins ties within one (paired) standard error."""
    best = min(trials, key=lambda trial: trial.mean)
    additive = [trial for trial in trials if trial.candidate == "additive"]
    if best.candidate == "additive" or not additive:
        return best, f"{best.candidate} has the lowest log loss, {best.mean:.5f}"
    rival = min(additive, key=lambda trial: trial.mean)
    gap, error = rival.mean - best.mean, paired_error(rival.losses - best.losses, accounts)
    if gap <= error:
        why = f"additive is within one standard error ({gap:.5f} <= {error:.5f}) of {best.candidate}"
        return rival, why + " and its reasons are exact"
    return best, f"{best.candidate} beats additive by {gap:.5f}, more than one standard error ({error:.5f})"


def paired_error(differences: Floats, accounts: npt.NDArray[Any]) -> float:
    """Return the standard error of the mean difference, rows of one account summed first."""
    _, member = np.unique(accounts, return_inverse=True)
    centred = np.bincount(member, weights=differences - differences.mean())
    n = len(centred)
    return float(np.sqrt(np.sum(centred**2) * n / max(1, n - 1)) / len(differences))
