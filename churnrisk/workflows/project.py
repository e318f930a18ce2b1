"""A project: one company's settings, and where its things live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from churnrisk.decision.config import DecisionConfig
from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig
from churnrisk.snapshots import ChurnConfig, SnapshotConfig
from churnrisk.sources import EngineConfig, TableConfig
from churnrisk.workflows.web_config import WebConfig

if TYPE_CHECKING:
    from churnrisk.history import HistoryStore


@dataclass(frozen=True)
class ModelConfig:
    """The settings of ``[model]``.

    Attributes
    ----------
    split : {"time", "accounts"}
        How training is validated: on later snapshots, or, for a flat table with one snapshot, on held-out
        accounts.
    test_snapshots, calibration_snapshots : int
        How many of the latest snapshots test the model, and how many before them calibrate it.
    candidates : tuple of str
        Which models compete.
    seed : int
        Fixes every random choice.
    time_to_churn : bool
        Learn the survival curve of the windows after the first too, where churn has a date.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    split: Literal["time", "accounts"] = "time"
    test_snapshots: int = 2
    calibration_snapshots: int = 3
    candidates: tuple[Literal["logistic", "additive", "full"], ...] = ("logistic", "additive", "full")
    seed: int = 0
    time_to_churn: bool = True

    def __post_init__(self) -> None:
        for name in ("test_snapshots", "calibration_snapshots"):
            if getattr(self, name) < 1:
                raise UsageError(f"[model] {name} must be at least 1; found {getattr(self, name)}.")
        if not self.candidates:
            raise UsageError(
                '[model] candidates is empty; name at least one of "logistic", "additive", "full".'
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
        """Where the history lives: SQLite in the project folder unless set."""
        return self.history_url or f"sqlite:///{self.directory / 'history.db'}"


def open_store(project: Project, *, pooled: bool = False) -> HistoryStore:
    """Open the project's store; ``pooled`` keeps connections and query results, for a server."""
    from churnrisk.history import HistoryStore  # loads SQLAlchemy, which `--help` must not

    return HistoryStore(project.store_url, pooled=pooled)
