"""churnrisk.toml and the environment as one validated project."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from churnrisk.auth import WebConfig
from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig
from churnrisk.lights import DecisionConfig
from churnrisk.model import CANDIDATES, unknown_candidates
from churnrisk.snapshots import ChurnConfig, SnapshotConfig
from churnrisk.sources import EngineConfig, TableConfig

if TYPE_CHECKING:
    from churnrisk.store import HistoryStore

FILE_NAME = "churnrisk.toml"


@dataclass(frozen=True)
class ModelConfig:
    """``[model]``: how training is validated, which candidates compete, the seed.

    ``split`` validates on later snapshots ("time") or, for a flat table with one snapshot, on held-out accounts. The
    latest snapshots test the model, those before them calibrate it: three, or as many as are expected to hold 100
    churned rows, up to half of the history, unless ``calibration_snapshots`` says how many.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    split: Literal["time", "accounts"] = "time"
    test_snapshots: int = 2
    calibration_snapshots: int | None = None
    candidates: tuple[str, ...] = ("logistic", "additive", "full")
    seed: int = 0
    time_to_churn: bool = True

    def __post_init__(self) -> None:
        for name in ("test_snapshots", "calibration_snapshots"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"[model] {name} must be at least 1; found {value}.")
        if unknown_candidates(self.candidates) or not self.candidates:
            raise UsageError(
                f"[model] candidates: expected names among {list(CANDIDATES)}, or of scikit-learn classifiers such as "
                f"'sklearn.ensemble.ExtraTreesClassifier', found {list(self.candidates)}."
            )


@dataclass(frozen=True)
class ProjectSection:
    """``[project]``: the company's name, as reports show it."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    name: str = ""


@dataclass(frozen=True)
class HistorySection:
    """``[history]``: SQLAlchemy URL of the store; ``${NAME}`` comes from the environment."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    url: str | None = None


@dataclass(frozen=True)
class TrackingSection:
    """``[tracking]``: an MLflow tracking URI, and the experiment's name."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    uri: str | None = None
    experiment: str = "churn"


@dataclass(frozen=True)
class Settings:
    """Everything that churnrisk.toml may say."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    project: ProjectSection = field(default_factory=ProjectSection)
    tables: dict[str, TableConfig] = field(default_factory=dict)
    engine: EngineConfig = field(default_factory=EngineConfig)
    churn: ChurnConfig = field(default_factory=ChurnConfig)
    snapshots: SnapshotConfig = field(default_factory=SnapshotConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    history: HistorySection = field(default_factory=HistorySection)
    tracking: TrackingSection = field(default_factory=TrackingSection)
    web: WebConfig = field(default_factory=WebConfig)


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
    from churnrisk.store import HistoryStore  # loads SQLAlchemy, which `--help` must not

    return HistoryStore(project.store_url, pooled=pooled)


def load_project(directory: Path, *, data: Path | None = None) -> Project:
    """Read the churnrisk.toml of a project folder; relative table paths start at ``data`` (see :func:`project_in`)."""
    path = directory / FILE_NAME
    if not path.is_file():
        raise UsageError(
            f"{directory} holds no {FILE_NAME}. Run `churnrisk init` there, or choose a project folder with --project."
        )
    return project_in(parse_settings(path.read_bytes(), origin=str(path)), directory, data=data)


def project_in(settings: Settings, directory: Path, *, data: Path | None = None) -> Project:
    """Return the project of a folder; the environment beats some settings.

    ``data`` is where relative table paths start; default: ``CHURNRISK_DATA`` or the project folder.
    """
    base = data or Path(os.environ.get("CHURNRISK_DATA") or directory)
    return Project(
        directory=directory.resolve(),
        data=base.resolve(),
        name=settings.project.name or directory.resolve().name,
        tables=settings.tables,
        engine=settings.engine,
        churn=settings.churn,
        snapshots=settings.snapshots,
        features=settings.features,
        model=settings.model,
        decision=settings.decision,
        history_url=os.path.expandvars(os.environ.get("CHURNRISK_HISTORY_URL") or settings.history.url or ""),
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or settings.tracking.uri,
        experiment=settings.tracking.experiment,
        web=settings.web,
    )


def parse_settings(text: bytes, *, origin: str = FILE_NAME) -> Settings:
    """Validate the text of a churnrisk.toml; one UsageError names every mistake."""
    return validated(read_toml(text, origin=origin), origin=origin)


def read_toml(text: bytes, *, origin: str = FILE_NAME) -> dict[str, Any]:
    """Return the sections of a churnrisk.toml, not yet validated."""
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{origin} is not valid TOML: {error}. Correct it and run again.") from error


def validated(raw: Mapping[str, Any], *, origin: str) -> Settings:
    """Return settings from plain sections; one UsageError names every mistake."""
    from pydantic import TypeAdapter, ValidationError

    if isinstance(raw.get("engine"), str):
        raw = {**raw, "engine": {"name": raw["engine"]}}
    try:
        settings = TypeAdapter(Settings).validate_python(raw)
    except ValidationError as error:
        mistakes = "\n".join(f"  {_place(item['loc'])}: {_message(item)}" for item in error.errors())
        raise UsageError(
            f"{origin} has settings that are not understood:\n{mistakes}\nCorrect it and run again."
        ) from None
    # the labels do not say over which days they look, and every probability is one of those days
    churn = raw.get("churn")
    if settings.churn.definition == "labels" and isinstance(churn, Mapping) and "horizon_days" not in churn:
        raise UsageError(
            f'{origin}: expected horizon_days beside definition = "labels" under [churn], found none. Write over how '
            "many days after as_of the labels look, such as horizon_days = 30."
        )
    return settings


def _place(location: tuple[int | str, ...]) -> str:
    *sections, key = [str(part) for part in location]
    return f"[{'.'.join(sections)}] {key}" if sections else f"[{key}]"


def _message(item: Any) -> str:
    if item["type"] == "unexpected_keyword_argument":
        return "is no setting"
    return f"{str(item['msg']).lower()}; found {item['input']!r}"
