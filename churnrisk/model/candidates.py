"""Kinds of models that cross-validation chooses between, by the names that ``[model] candidates`` uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, Self

from churnrisk.errors import ModelInputError

if TYPE_CHECKING:
    from churnrisk.model.splits import Bools, Floats, Ints

Setting = dict[str, Any]
_SKLEARN = "sklearn."


class CandidateModel(Protocol):
    """An unfitted model on an encoded matrix (see ``FrameEncoder``)."""

    exact_: bool  # whether contributions are exact
    baseline_: float  # mean log-odds of the training rows, which the contributions add to
    n_iter_: int

    def fit(self, encoded: Floats, churned: Bools, categorical: Bools) -> Self:
        """Fit on an encoded matrix (n, d), churned (n,), categorical (d,)."""

    def fit_crossed(self, encoded: Floats, churned: Bools, categorical: Bools, left_out_of: Ints) -> Floats:
        """Fit as ``BoostedTrees.fit_crossed`` does and return the log-odds of the rows left out, else NaN."""

    def decision_function(self, encoded: Floats) -> Floats:
        """Return log-odds, shape (n,)."""

    def contributions(self, encoded: Floats) -> Floats:
        """Return each column's share of the log-odds, shape (n, d)."""


@dataclass(frozen=True)
class Task:
    """What a model is built for: encoded columns with monotone signs, seed, how many boosted models to average."""

    names: tuple[str, ...]
    monotone: tuple[int, ...]
    seed: int
    n_models: int = 1


class Candidate(Protocol):
    """A kind of model that cross-validation may choose: an entry of :data:`CANDIDATES`.

    Attributes
    ----------
    settings : tuple of dict
        Tried in order, the next one only while the one before improved; on more than 30,000 rows the first only.
    """

    settings: tuple[Setting, ...]

    def build(self, setting: Setting, task: Task) -> CandidateModel:
        """Return an unfitted model."""

    def adapted(self, setting: Setting, *, rows: int, max_iter: int) -> Setting:
        """Return the setting to use on so many rows with at most so many trees."""
        del rows, max_iter
        return dict(setting)


@dataclass
class Logistic(Candidate):
    """Regularised logistic regression."""

    settings: tuple[Setting, ...]

    def build(self, setting: Setting, task: Task) -> CandidateModel:
        """Return an unfitted ``LinearModel``."""
        from churnrisk.model.linear import LinearModel

        return LinearModel(**setting)


@dataclass
class Boosted(Candidate):
    """Boosted trees, without interactions where `additive`; cross-validation also finds how many trees."""

    additive: bool
    settings: tuple[Setting, ...]

    def build(self, setting: Setting, task: Task) -> CandidateModel:
        """Return unfitted ``BoostedTrees``."""
        from churnrisk.model.additive import BoostedTrees

        return BoostedTrees(
            additive=self.additive,
            monotone=task.monotone,
            n_models=task.n_models,
            random_state=task.seed,
            **setting,
        )

    def adapted(self, setting: Setting, *, rows: int, max_iter: int) -> Setting:
        """Return the setting with smaller leaves on few rows, which could not be split at all otherwise."""
        leaf = min(setting["min_samples_leaf"], max(2, rows // 40))
        return {**setting, "min_samples_leaf": leaf, "max_iter": max_iter}


@dataclass
class SklearnClassifier(Candidate):
    """Any scikit-learn classifier by its dotted name; a setting holds its parameters."""

    path: str
    settings: tuple[Setting, ...] = field(default_factory=lambda: ({},))

    def build(self, setting: Setting, task: Task) -> CandidateModel:
        """Return the unfitted classifier behind the interface of a candidate; refuse names of anything else."""
        from sklearn.base import is_classifier

        from churnrisk.model.linear import WrappedEstimator

        module, _, name = self.path.rpartition(".")
        try:
            estimator = getattr(import_module(module), name)(**setting)
            if not is_classifier(estimator):
                raise TypeError(f"a {type(estimator).__name__}")
        except (ImportError, AttributeError, TypeError, ValueError) as cause:
            raise ModelInputError(
                f"expected candidates among {list(CANDIDATES)} or a scikit-learn classifier such as "
                f"'sklearn.ensemble.ExtraTreesClassifier', found {self.path!r} ({cause}). "
                "Fix candidates under [model]."
            ) from cause
        if "random_state" in estimator.get_params() and "random_state" not in setting:
            estimator.set_params(random_state=task.seed)
        return WrappedEstimator(estimator=estimator, names=task.names)


_ADDITIVE: tuple[Setting, ...] = (
    {"learning_rate": 0.12, "max_leaf_nodes": 6, "min_samples_leaf": 50, "l2": 10.0, "max_features": 0.3},
    {"learning_rate": 0.04, "max_leaf_nodes": 4, "min_samples_leaf": 50, "l2": 20.0, "max_features": 0.3},
)
_FULL: tuple[Setting, ...] = (
    {"learning_rate": 0.06, "max_leaf_nodes": 24, "min_samples_leaf": 100, "l2": 10.0, "max_features": 0.2},
    {"learning_rate": 0.04, "max_leaf_nodes": 8, "min_samples_leaf": 50, "l2": 20.0, "max_features": 0.2},
)
#: The registry. An entry more is a candidate more.
CANDIDATES: dict[str, Candidate] = {
    "logistic": Logistic(({"C": 0.1}, {"C": 0.01}, {"C": 0.001})),
    "additive": Boosted(additive=True, settings=_ADDITIVE),
    "full": Boosted(additive=False, settings=_FULL),
}


def unknown_candidates(names: Iterable[str]) -> list[str]:
    """Return those of the names that neither the registry nor scikit-learn can have."""
    return [name for name in names if name not in CANDIDATES and not name.startswith(_SKLEARN)]


def candidate_named(name: str) -> Candidate:
    """Return the registered candidate, or the scikit-learn classifier of that dotted name with its defaults."""
    return CANDIDATES[name] if name in CANDIDATES else SklearnClassifier(name)
