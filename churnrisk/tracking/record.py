"""What a training hands to the registry, and what the registry knows of a version."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CHAMPION = "champion"
CANDIDATE = "candidate"


@dataclass(frozen=True)
class DatasetRecord:
    """One block of the panel that a training read; its description is logged, never its rows.

    Both dates are included; ``digest`` is a fingerprint of the rows. The metrics of the run belong to "test".
    """

    block: Literal["fit", "calibration", "policy", "test"]
    first_as_of: datetime
    last_as_of: datetime
    rows: int
    digest: str

    def __post_init__(self) -> None:
        if self.last_as_of < self.first_as_of:
            raise UsageError(
                f"dataset block {self.block!r}: expected first_as_of <= last_as_of, found "
                f"{self.first_as_of:%Y-%m-%d} and {self.last_as_of:%Y-%m-%d}; swap the two dates"
            )

    @property
    def name(self) -> str:
        """``panel-fit-2025-05-01..2025-12-27``."""
        return f"panel-{self.block}-{self.first_as_of:%Y-%m-%d}..{self.last_as_of:%Y-%m-%d}"


@dataclass(frozen=True)
class TrialRecord:
    """One candidate in one setting, as the search saw it; a metric has one value, or one per fold."""

    name: str
    params: dict[str, object]
    metrics: dict[str, tuple[float, ...]]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRecord:
    """Everything worth keeping of one training; metrics are those of the test block.

    ``X_example`` holds a few rows as the classifier takes them. Figures are logged as ``plots/<name>.png``, trials as
    runs below that of the training, tags on the run and on the version. ``texts`` and ``jsons`` are documents by file
    name: ``model_card.md`` is shown on MLflow's pages, and :class:`churnrisk.tracking.LoadedModel` is decoded from
    ``policy.json``, ``profile.json`` and ``features.json``. MLflow invents a run name if there is none.
    """

    classifier: Any
    X_example: pd.DataFrame
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: tuple[DatasetRecord, ...] = ()
    trials: tuple[TrialRecord, ...] = ()
    figures: dict[str, Figure] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    jsons: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    run_name: str | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.classifier, "predict_proba"):
            raise UsageError(
                f"expected a classifier with predict_proba, found {type(self.classifier).__name__}; "
                "give a scikit-learn classifier that yields probabilities"
            )
        if self.X_example.empty:
            raise UsageError("expected at least one example row, found none; pass X.head()")

    @property
    def is_churn_model(self) -> bool:
        """True when thresholds are stored too, so that it can be served with colours and reasons."""
        return "light" in self.jsons.get("policy.json", {}) and hasattr(self.classifier, "contributions")


@dataclass(frozen=True)
class ModelVersionInfo:
    """One registered version; ``created`` is in UTC, ``metrics`` are those of its run, ``tags`` the version's own."""

    version: int
    created: datetime
    aliases: tuple[str, ...]
    metrics: dict[str, float]
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class VersionDetails:
    """One registered version with its training.

    ``params`` are the settings as MLflow keeps them; ``datasets`` come in the order fit, calibration, policy, test.
    """

    info: ModelVersionInfo
    params: dict[str, str]
    datasets: tuple[DatasetRecord, ...]
