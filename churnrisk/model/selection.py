"""Which candidate and which settings: cross-validated log loss, with the additive model winning ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from churnrisk.model.additive import EVERY, BoostedTrees, log_losses
from churnrisk.model.folds import Fold, Folds, choose_folds
from churnrisk.model.linear import LinearModel
from churnrisk.model.panel import Bools, Floats
from churnrisk.model.rates import LevelRates
from churnrisk.model.splits import uniform_of
from churnrisk.model.threads import threads_for

Candidate = Literal["logistic", "additive", "full"]

# Tried in order; the next one only while the one before improved.
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "logistic": ({"C": 0.1}, {"C": 0.01}, {"C": 0.001}),
    "additive": (
        {"learning_rate": 0.12, "max_leaf_nodes": 6, "min_samples_leaf": 50, "l2": 10.0, "max_features": 0.3},
        {"learning_rate": 0.04, "max_leaf_nodes": 4, "min_samples_leaf": 50, "l2": 20.0, "max_features": 0.3},
    ),
    "full": (
        {
            "learning_rate": 0.06,
            "max_leaf_nodes": 24,
            "min_samples_leaf": 100,
            "l2": 10.0,
            "max_features": 0.2,
        },
        {"learning_rate": 0.04, "max_leaf_nodes": 8, "min_samples_leaf": 50, "l2": 20.0, "max_features": 0.2},
    ),
}
# The second settings guard against overfitting, which many rows do by themselves: on the one real set of
# this size the second setting of "full" lost by 0.002 log loss, and trying it costs as much as the first.
FEW_ROWS = 30_000
PATIENCE = 50


@dataclass
class Trial:
    """One candidate with one setting: its out-of-fold log loss per row, and what to fit on all rows."""

    candidate: str
    setting: dict[str, Any]
    losses: Floats
    fold_means: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean out-of-fold log loss."""
        return float(self.losses.mean())


@dataclass(frozen=True)
class SearchInput:
    """The encoded rows of the search.

    Attributes
    ----------
    encoded : ndarray of float64, shape (n, d)
    churned : ndarray of bool, shape (n,)
    categorical, wide : ndarray of bool, shape (d,)
        Which columns hold codes of few and of many levels.
    monotone : tuple of int, one per encoded column
    accounts : ndarray, shape (n,)
    """

    encoded: Floats
    churned: Bools
    categorical: Bools
    wide: Bools
    monotone: tuple[int, ...]
    accounts: npt.NDArray[Any]

    def only(self, rows: Bools) -> SearchInput:
        """Return some of the rows."""
        return replace(
            self, encoded=self.encoded[rows], churned=self.churned[rows], accounts=self.accounts[rows]
        )


@dataclass(frozen=True)
class Choice:
    """What the search found, and how.

    Attributes
    ----------
    trial : Trial
        The candidate and the setting to fit.
    why, folds : str
        Why it was chosen, and how the folds were cut.
    results : list of dict
        One per setting tried.
    notes : list of str
        What a reader should know.
    """

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
    """Choose a candidate and its setting by time-ordered cross-validation.

    Parameters
    ----------
    X : DataFrame or ndarray of shape (n, d)
        The rows as given, whose index tells account and date.
    rows : SearchInput
        The same rows, encoded.
    max_rows : int
        Beyond so many rows a sample of the accounts is used.

    The other parameters are those of :class:`churnrisk.model.ChurnClassifier`.
    """
    n, notes = len(rows.churned), []
    if n > max_rows:
        keep = uniform_of(rows.accounts, seed + 2) < max_rows / n
        notes.append(f"the search used {int(keep.sum())} of {n} rows, a sample of the accounts")
        X, rows = X[keep], rows.only(keep)
    folds = choose_folds(X, rows.churned, n_splits=n_splits, embargo_days=embargo_days, seed=seed)
    if not folds.pairs:
        first = Trial(candidates[0], dict(SETTINGS[candidates[0]][0]), np.empty(0))
        return Choice(
            first, "the first candidate: too few rows of one class to compare", folds.how, [], notes
        )
    trials = search(rows, folds, candidates, max_iter=max_iter, seed=seed)
    results = [
        {"candidate": t.candidate, "setting": t.setting, "log_loss": t.mean, "folds": t.fold_means}
        for t in trials
    ]
    trial, why = choose(trials, rows.accounts[np.concatenate([later for _, later in folds.pairs])])
    return Choice(trial, why, folds.how, results, notes)


def build(
    candidate: str, setting: dict[str, Any], monotone: tuple[int, ...], seed: int, *, n_models: int = 1
) -> Any:
    """Return an unfitted model of a candidate."""
    if candidate == "logistic":
        return LinearModel(**setting)
    additive = candidate == "additive"
    return BoostedTrees(additive=additive, monotone=monotone, n_models=n_models, random_state=seed, **setting)


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
        for setting in SETTINGS[candidate][: None if len(rows.churned) <= FEW_ROWS else 1]:
            trial = _try(rows, rated, candidate, setting, max_iter=max_iter, seed=seed)
            trials.append(trial)
            if trial.mean >= best - 1e-5:
                break
            best = trial.mean
    return trials


def _try(
    rows: SearchInput,
    folds: list[_Fold],
    candidate: str,
    setting: dict[str, Any],
    *,
    max_iter: int,
    seed: int,
) -> Trial:
    curves = [
        _curve(
            fold,
            rows.categorical,
            build(candidate, _fitting(setting, len(fold.churned), max_iter), rows.monotone, seed),
        )
        for fold in folds
    ]
    at = _best_stage(curves)
    kept = [curve[min(at, len(curve) - 1)] for curve in curves]
    chosen = _fitting(setting, len(rows.churned), min((at + 1) * EVERY, max_iter))
    losses = np.concatenate(kept).astype(np.float64)
    return Trial(candidate, chosen, losses, [float(k.mean()) for k in kept])


def _fitting(setting: dict[str, Any], rows: int, max_iter: int) -> dict[str, Any]:
    if "C" in setting:
        return dict(setting)
    # Small panels could not split at all with the leaf sizes that suit large ones.
    leaf = min(setting["min_samples_leaf"], max(2, rows // 40))
    return {**setting, "min_samples_leaf": leaf, "max_iter": max_iter}


def _curve(fold: _Fold, categorical: Bools, model: Any) -> Floats:
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
    """Return the trial to use and why, by mean log loss; additive wins ties within one standard error.

    The standard error is that of the paired difference, with accounts as the units.

    Parameters
    ----------
    trials : list of Trial
    accounts : ndarray, shape (n,)
        Account of each out-of-fold row, in the order of ``Trial.losses``.
    """
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
