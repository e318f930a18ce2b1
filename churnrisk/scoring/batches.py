"""The one way to score a batch of accounts, wherever it comes from and goes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.lights import Rule, TrafficLight, decide, lifecycle_stage

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
class Computed:
    """The scores of a run before it is published: ``frames`` for the store, ``rest`` as sums of the others.

    ``discard`` removes what was written beside the store, where the run is not published after all.
    """

    frames: Iterable[pd.DataFrame]
    mix: Mapping[str, int]
    notes: tuple[str, ...]
    rest: pd.DataFrame | None = None
    discard: Callable[[], None] = lambda: None
