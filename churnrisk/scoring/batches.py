"""The one way to score a batch of accounts, wherever it comes from and goes to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import NoChampionError
from churnrisk.lights import Rule, TrafficLight, conditions_hold, decide, lifecycle_stage, severity
from churnrisk.records import RULES_ONLY, Colour
from churnrisk.settings import Project
from churnrisk.tracking import CHAMPION, LoadedModel, StoredModel

if TYPE_CHECKING:
    from churnrisk.model import ChurnClassifier

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

#: Accounts per batch.
BATCH = 50_000


@dataclass(frozen=True)
class Batch:
    """Accounts of one as-of date.

    ``X`` is indexed by (account_id, as_of), the rest by account id: ``grey`` (why an account is not eligible) and
    ``facts`` in the order of X, the scores and features at the previous run in any order.
    """

    X: pd.DataFrame
    grey: pd.Series
    facts: pd.DataFrame
    previous: pd.DataFrame | None = None
    X_previous: pd.DataFrame | None = None


@dataclass(frozen=True)
class Scorer:
    """Turns features into probabilities and colours; a Spark worker has one too."""

    classifier: ChurnClassifier
    columns: Sequence[str]
    light: TrafficLight
    rules: Sequence[Rule]
    margin: float
    overrides: pd.Series

    def score_batch(self, batch: Batch) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Return one row per account with probability and colour, and notes on the rules."""
        X, facts = batch.X[list(self.columns)], batch.facts
        log_odds = self.classifier.decision_function(X)
        p = np.where(batch.grey.isna(), self.classifier.predict_proba(X)[:, 1], np.nan)
        decided = decide(
            p,
            X,
            light=self.light,
            rules=self.rules,
            previous=batch.previous,
            overrides=self.overrides,
            grey=batch.grey,
            margin=self.margin,
            value=facts["annual_value"],
        )
        scores = pd.DataFrame(
            {
                "account_id": X.index.get_level_values("account_id"),
                "name": facts["name"].to_numpy(),
                "owner": facts["owner"].to_numpy(),
                "segment": facts["segment"].to_numpy(),
                "probability": p,
                "log_odds": np.where(np.isnan(p), np.nan, log_odds),
                **{column: decided[column].to_numpy() for column in decided.columns},
                "annual_value": facts["annual_value"].to_numpy(dtype=float),
                "renewal_at": facts["renewal_at"].to_numpy(),
                "stage": lifecycle_stage(facts["tenure_days"], facts["last_survey_score"], X).to_numpy(),
            }
        )
        return scores, tuple(decided.attrs.get("notes", ()))


@dataclass(frozen=True)
class NoModel:
    """Stands for the classifier where there is none: no probability, and reasons are what the rules read."""

    rules: Sequence[Rule]

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Return unknown probabilities, shape (n, 2)."""
        return np.full((len(X), 2), np.nan)

    def decision_function(self, X: pd.DataFrame) -> Floats:
        """Return unknown log-odds, shape (n,)."""
        return np.full(len(X), np.nan)

    def contributions(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return how much each signal has to say, shape of X: most if the first of the rules that hold reads it."""
        said = pd.DataFrame(0.0, index=X.index, columns=X.columns)
        for place, rule in enumerate(self.rules):
            holds = conditions_hold(rule.conditions, X)
            weight = severity(Colour(rule.colour)) - place / (len(self.rules) + 1)
            for name in rule.requires:
                if name in said:
                    said[name] = np.maximum(said[name], np.where(holds, weight, 0.0))
        return said


@dataclass(frozen=True)
class RulesOnly:
    """Stands for the registry where there is no model yet: its champion leaves every colour to the rules."""

    project: Project

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Return the model that is none; NoChampionError for any other."""
        # scikit-learn takes more than a second to import
        from churnrisk.model import ReasonProfile

        if alias_or_version not in (CHAMPION, RULES_ONLY):
            raise NoChampionError(f"there is no model version {alias_or_version} in a rules-only run")
        decision = self.project.decision
        # on which side of its condition a rule speaks for churn, so that reasons take sides as those of a model do
        sides = {
            one.feature: math.inf if one.op in ("<", "<=") else -math.inf
            for rule in decision.active_rules()
            for one in rule.conditions
        }
        return LoadedModel(
            classifier=NoModel(decision.active_rules()),
            light=TrafficLight(**decision.light_settings()).blank(),
            rules=(),
            profile=ReasonProfile(low={}, median=sides, high={}),
            features=(),
            documents={},
            version=0,
            run_id="",
            tags={},
        )

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Raise NoChampionError: it has no files."""
        raise NoChampionError(f"there are no files of a {alias_or_version} in a rules-only run")


@dataclass(frozen=True)
class Computed:
    """The scores of a run before it is published: ``frames`` for the store, ``rest`` as sums of the others.

    ``discard`` removes what was written beside the store, where the run is not published after all.
    """

    frames: Iterable[pd.DataFrame]
    mix: Mapping[str, int]
    notes: tuple[str, ...]
    rest: pd.DataFrame | None = None
    discard: Callable[[], None] = lambda: None
