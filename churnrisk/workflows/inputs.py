"""What a stored model reads, as today's tables and settings feed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.features import select_features
from churnrisk.records import Feature, Run
from churnrisk.sources import Tables
from churnrisk.tracking import LoadedModel, Models
from churnrisk.workflows.project import Project


def model_before(
    before: Run | None, model: LoadedModel, models: Models, project: Project, tables: Tables
) -> tuple[LoadedModel | None, tuple[Feature, ...]]:
    """Return the model of the previous run with its features; None if it is today's or cannot be used."""
    if before is None or before.model_version == str(model.version):
        return None, ()
    try:
        found = models.load(before.model_version)
        return found, features_of(found, project, tables)
    except ChurnRiskError:
        # it only serves to tell a new model from late data; without it both count as late data
        return None, ()


def log_odds_of(model: LoadedModel | None, X: pd.DataFrame) -> Any:
    """Return a model's log-odds of a snapshot; None without a model or rows."""
    return None if model is None or X.empty else model.classifier.decision_function(X[model.columns])


def features_of(model: LoadedModel, project: Project, tables: Tables) -> tuple[Feature, ...]:
    """Return today's declarations of the model's columns."""
    today = select_features(project.features, tables.available)
    if why := mismatch(model, today):
        raise UsageError(f"model version {model.version} {why}. Train again with `churnrisk train`.")
    by_name = {feature.name: feature for feature in today}
    return tuple(by_name[name] for name in model.columns)


def mismatch(model: LoadedModel, today: Sequence[Feature]) -> str:
    """Return why today's features do not fit the model: what is missing or redefined; empty if all is well."""
    sql = {feature.name: feature.sql for feature in today}
    changed = sorted(one.name for one in model.features if sql.get(one.name, one.sql) != one.sql)
    redefined = f"was trained on other definitions of {', '.join(changed)}" if changed else ""
    return " and ".join(filter(None, (_unfed_text(unfed_columns(model, sql)), redefined)))


def unfed_columns(model: LoadedModel, names: Sequence[str] | pd.Index | dict[str, str]) -> list[str]:
    """Return the columns that the model reads and that are not among the names."""
    return sorted(set(model.columns) - set(names))


def require_columns(model: LoadedModel, X: pd.DataFrame) -> None:
    """Refuse a model that reads columns which today's panel lacks."""
    if missing := unfed_columns(model, X.columns):
        raise UsageError(
            f"model version {model.version} {_unfed_text(missing)}. "
            "Bring the tables back, or train again with `churnrisk train`."
        )


def _unfed_text(missing: Sequence[str]) -> str:
    return f"reads {', '.join(missing)}, which today's tables and settings do not feed" if missing else ""
