"""From features to probabilities and colours, one row per account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churnrisk.decision import Rule, TrafficLight, decide
from churnrisk.decision.segments import lifecycle_stage

if TYPE_CHECKING:
    from churnrisk.model import ChurnClassifier


def coloured(
    X: pd.DataFrame,
    grey: pd.Series,
    facts: pd.DataFrame,
    *,
    classifier: ChurnClassifier,
    light: TrafficLight,
    rules: Sequence[Rule],
    margin: float,
    previous: pd.DataFrame,
    overrides: pd.Series,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one row per account with probability and colour, and the notes on the rules.

    Parameters
    ----------
    X : DataFrame of shape (accounts, features)
        One snapshot with the index level ``account_id``: the classifier's columns.
    grey : Series of reasons indexed by account id
        Why an account is not eligible; missing where it is.
    facts : DataFrame
        Of :func:`churnrisk.features.facts_query`, in the order of X.
    classifier, light, rules, margin : objects
        Of the run; see :func:`churnrisk.decision.decide`.
    previous : DataFrame indexed by account id
        The run before; empty without one.
    overrides : Series of colours indexed by account id
        Those in force.
    """
    log_odds = classifier.decision_function(X)
    p = np.where(grey.isna(), classifier.predict_proba(X)[:, 1], np.nan)
    decided = decide(
        p,
        X,
        light=light,
        rules=rules,
        previous=previous,
        overrides=overrides if len(overrides) else None,
        grey=grey,
        margin=margin,
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
            "stage": lifecycle_stage(facts["tenure_days"], facts["last_survey_score"]).to_numpy(),
        }
    )
    return scores, tuple(decided.attrs.get("notes", ()))
