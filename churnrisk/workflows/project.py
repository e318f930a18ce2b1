"""A project: one company's settings, and where its things live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from churnrisk.auth.settings import WebConfig
from churnrisk.decision.config import DecisionConfig
from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig
from churnrisk.model.candidates import CANDIDATES, unknown_candidates
from churnrisk.snapshots import ChurnConfig, SnapshotConfig
from churnrisk.sources import EngineConfig, TableConfig

if TYPE_CHECKING:
    from churnrisk.history import HistoryStore


@dataclass(frozen=True)
class ModelConfig:
    """``[model]``: how training is validated, which candidates compete, the seed.

    ``split`` validates on later snapshots ("time") or, for a flat table with one snapshot, on held-out accounts. The
    latest snapshots test the model, those before them calibrate it.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    split: Literal["time", "accounts"] = "time"
    test_snapshots: int = 2
    calibration_snapshots: int = 3
    candidates: tuple[str, ...] = ("logistic", "additive", "full")
    seed: int = 0
    time_to_churn: bool = True

    def __post_init__(self) -> None:
        for name in ("test_snapshots", "calibration_snapshots"):
            if getattr(self, name) < 1:
                raise UsageError(f"[model] {name} must be at least 1; found {getattr(self, name)}.")
        if unknown_candidates(self.candidates) or not self.candidates:
            raise UsageError(
                f"[model] candidates: expected names among {list(CANDIDATES)}, or of scikit-learn classifiers such as "
                f"'sklearn.ensemble.ExtraTreesClassifier', found {list(self.candidates)}."
            )


@dataclass(frozen=True)
class Project:
    """One company's project folder with its validated settings."""

    directory: Path
    data: Path
    name: str
    tables: Mapping[str, TableConfig]
    engine: EngineConfig
    churn: ChurnConfig
    snapshots: SnapshotConfig
    features: FeatureConfig
    model: ModelConfig
    decision: DecisionConfig
    history_url: str
    tracking_uri: str | None
    experiment: str
    web: WebConfig = field(default_factory=WebConfig)

    @property
    def store_url(self) -> str:
        """URL of the store: SQLite in the project folder unless set."""
        return self.history_url or f"sqlite:///{self.directory / 'history.db'}"


def open_store(project: Project, *, pooled: bool = False) -> HistoryStore:
    """Open the project's store; ``pooled`` keeps connections and query results, for a server."""
    from churnrisk.history import HistoryStore  # loads SQLAlchemy, which `--help` must not

    return HistoryStore(project.store_url, pooled=pooled)
