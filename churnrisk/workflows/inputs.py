"""What a stored model reads: its features as today's tables and settings feed them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.features import select_features
from churnrisk.records import Feature, Run
from churnrisk.sources import Tables
from churnrisk.tracking import LoadedModel, Models
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import model_columns


def model_before(
    before: Run | None, model: LoadedModel, models: Models, project: Project, tables: Tables
) -> tuple[LoadedModel | None, tuple[Feature, ...]]:
    """Return the model of the run before with its features, None where it is today's or cannot be used."""
    if before is None or before.model_version == str(model.version):
        return None, ()
    try:
        found = models.load(before.model_version)
        return found, features_of(found, project, tables)
    except ChurnRiskError:
        # it only serves to tell a new model from late data, which are told as one then
        return None, ()


def log_odds_of(model: LoadedModel | None, X: pd.DataFrame) -> Any:
    """Return what a model says of a snapshot; None without a model or rows."""
    return None if model is None or X.empty else model.classifier.decision_function(X[model_columns(model)])


def features_of(model: LoadedModel, project: Project, tables: Tables) -> tuple[Feature, ...]:
    """Return today's declarations of the model's columns.

    Raises
    ------
    UsageError
        If today's tables or settings no longer feed one, or it is computed differently now.
    """
    today = {feature.name: feature for feature in select_features(project.features, tables.available)}
    stored = {item["name"]: item["sql"] for item in model.features}
    missing = sorted(set(stored) - set(today))
    changed = sorted(name for name, sql in stored.items() if name in today and today[name].sql != sql)
    if missing or changed:
        what = " and ".join(
            part
            for part in (
                f"reads {', '.join(missing)}, which today's tables and settings do not feed"
                if missing
                else "",
                f"was trained on other definitions of {', '.join(changed)}" if changed else "",
            )
            if part
        )
        raise UsageError(f"model version {model.version} {what}. Train anew with `churnrisk train`.")
    return tuple(today[name] for name in model_columns(model))
