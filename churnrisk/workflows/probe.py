"""Do the stored thresholds belong to the stored model? A few rows with their log-odds are stored with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.tracking import LoadedModel
from churnrisk.workflows.project import Project

TOLERANCE = 1e-6


def probe_of(classifier: Any, X: pd.DataFrame) -> dict[str, Any]:
    """Return rows with the calibrated model's log-odds of them, ready for JSON."""
    plain = X.astype(object).where(X.notna(), None)
    rows = {str(name): plain[name].tolist() for name in plain}
    categorical = [str(name) for name in X.select_dtypes("category")]
    return {
        "rows": rows,
        "categorical": categorical,
        "log_odds": classifier.decision_function(_frame(rows, categorical)).tolist(),
    }


def require_own_thresholds(model: LoadedModel) -> None:
    """Refuse a model whose log-odds of the probe are not as stored; models stored without a probe pass."""
    probe = model.documents.get("policy.json", {}).get("probe")
    if not probe:
        return
    found = model.classifier.decision_function(_frame(probe["rows"], probe["categorical"]))
    gap = float(np.abs(found - np.asarray(probe["log_odds"])).max(initial=0.0))
    if not gap <= TOLERANCE:
        raise UsageError(
            f"the thresholds of model version {model.version} were set for another model: on the rows stored with "
            f"them the log-odds differ by up to {gap:.2g}. Train again with `churnrisk train`, or go back with "
            "`churnrisk rollback`."
        )


def changed_settings(model: LoadedModel, project: Project) -> tuple[str, ...]:
    """Return a note when ``[decision]`` asks for other thresholds than the model has."""
    stored = model.thresholds.get_params()
    settings = project.decision.light_settings()
    changed = [f"{name} = {value!r}" for name, value in settings.items() if stored.get(name, value) != value]
    if not changed:
        return ()
    return (
        f"[decision] says {', '.join(changed)}, but the thresholds of model version {model.version} were set "
        "otherwise and stay until you train again",
    )


def _frame(rows: dict[str, list[Any]], categorical: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype="object").astype("category" if name in categorical else "float64")
            for name, values in rows.items()
        }
    )
