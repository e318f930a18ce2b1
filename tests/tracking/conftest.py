"""One blank MLflow store for all tests here: its creation takes seconds, a copy of it does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from churnrisk.tracking import DatasetRecord, Tracking, TrainingRecord


def day(month: int) -> datetime:
    return datetime(2025, month, 1, tzinfo=UTC)


BLOCKS = (
    DatasetRecord(block="fit", first_as_of=day(1), last_as_of=day(5), rows=320, digest="f" * 64),
    DatasetRecord(block="test", first_as_of=day(8), last_as_of=day(9), rows=80, digest="0123456789abcdef"),
)


@pytest.fixture(scope="session")
def panel() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(7)
    X = pd.DataFrame({"days_silent": rng.gamma(2.0, 10.0, 400), "events_30d": rng.poisson(5, 400) * 1.0})
    y = (rng.random(400) < 1 / (1 + np.exp(3 - X["days_silent"] / 12))).astype(int).to_numpy()
    X.loc[::17, "events_30d"] = np.nan
    X["plan"] = pd.Categorical(rng.choice(["free", "pro"], 400))
    return X, y


@pytest.fixture(scope="session")
def boosting(panel: tuple[pd.DataFrame, np.ndarray]) -> HistGradientBoostingClassifier:
    X, y = panel
    model = HistGradientBoostingClassifier(
        max_iter=10,
        categorical_features="from_dtype",
        monotonic_cst={"days_silent": 1},
        interaction_cst="no_interactions",
        random_state=0,
    )
    return model.fit(X, y)


@pytest.fixture(scope="session")
def logistic(panel: tuple[pd.DataFrame, np.ndarray]) -> LogisticRegression:
    X, y = panel
    return LogisticRegression().fit(X[["days_silent"]], y)


@pytest.fixture(scope="session")
def make_record(
    panel: tuple[pd.DataFrame, np.ndarray], boosting: HistGradientBoostingClassifier
) -> Callable[..., TrainingRecord]:
    def make(**changed: object) -> TrainingRecord:
        figure = Figure()
        figure.subplots().plot([0, 1], [0, 1])
        fields: dict[str, object] = {
            "classifier": boosting,
            "X_example": panel[0].head(3),
            "params": {"max_iter": 10, "churn definition": "inactivity"},
            "metrics": {"auc": 0.81, "recall@10%": 0.4, "base_rate.log_loss": 0.5},
            "datasets": BLOCKS,
            "figures": {"calibration": figure},
            "texts": {"model_card.md": "# Model card\nWho, what, how good.\n"},
            "jsons": {
                "policy.json": {"amber_from": np.float64(0.1), "red_from": 0.4},
                "profile.json": {"days_silent": {"median": 18.5}},
                "features.json": [{"name": "days_silent", "unit": "days"}],
            },
            "tags": {"data_digest": "abc", "seed": 7},
        }
        return TrainingRecord(**{**fields, **changed})  # type: ignore[arg-type]

    return make


@pytest.fixture
def project(tmp_path: Path, blank_store: Path) -> Tracking:
    """A project that has a store and no model yet."""
    (tmp_path / "models").mkdir()
    shutil.copy(blank_store, tmp_path / "models" / "mlflow.db")
    return Tracking(None, tmp_path, "demo")
