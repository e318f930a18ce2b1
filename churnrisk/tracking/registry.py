"""The model registry in MLflow: log a training, list and load versions, promote and roll back."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.tracking.mirror import Mirror, ModelVersionInfo, absent, settled_digest
from churnrisk.tracking.stored import (
    CHAMPION,
    LoadedModel,
    StoredModel,
    read_folder,
    trusted_types_of,
)
from churnrisk.tracking.writing import DatasetRecord, TrainingRecord, as_json, write_training

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

#: MLflow keeps no history of aliases, so a version's promotions stand in this tag of it.
PROMOTIONS_TAG = "churnrisk.promotions"
_BLOCKS = ("fit", "calibration", "policy", "test")
_DATASET = re.compile(rf"panel-({'|'.join(_BLOCKS)})-(\d{{4}}-\d\d-\d\d)\.\.(\d{{4}}-\d\d-\d\d)")
_SQLITE = "sqlite:///"
_CHATTY_LOGGERS = ("mlflow", "alembic", "git")
_FOREIGN = {"mlflow", "sqlalchemy", "alembic", "requests", "urllib3"}
_BUSY_SECONDS = 5.0
# Read by MLflow when it is imported or called; a value that the user has set wins.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class VersionDetails:
    """One registered version with its training; ``params`` are the settings as MLflow keeps them."""

    info: ModelVersionInfo
    params: dict[str, str]
    datasets: tuple[DatasetRecord, ...]


@dataclass(frozen=True)
class Tracking:
    """Runs and model versions of one project; nothing in the process is changed.

    A version is named by alias, number or the id of its run; NoChampionError if no version carries the alias,
    UsageError if there is no such version, ChurnRiskError if a model is unsafe or damaged or the store fails.
    ``uri`` is an MLflow tracking URI; None means SQLite in ``<workspace>/models/mlflow.db`` with files beside it in
    ``artifacts``. A relative SQLite path starts at ``workspace``, the project folder.
    """

    uri: str | None
    workspace: Path
    experiment: str
    model_name: str = "churn"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w\-. ]+", self.model_name):
            raise UsageError(
                "expected a model name of letters, digits, spaces and `_-.`, found "
                f"{self.model_name!r}; change `model_name` under [tracking] in churnrisk.toml"
            )
        if not self.experiment.strip():
            raise UsageError(
                "expected the name of an MLflow experiment, found an empty one; "
                "set `experiment` under [tracking] in churnrisk.toml"
            )

    @property
    def address(self) -> str:
        """The URI that MLflow is given."""
        return f"{_SQLITE}{self.database}" if self.database else str(self.uri)

    @property
    def database(self) -> Path | None:
        """The SQLite file; None when the store is another database or a server."""
        if self.uri is None:
            return self.workspace.absolute() / "models" / "mlflow.db"
        if not self.uri.startswith(_SQLITE):
            return None
        return self.workspace.absolute() / self.uri.removeprefix(_SQLITE)

    @property
    def artifacts(self) -> Path | None:
        """Folder for files; None when a tracking server decides."""
        if self.uri is not None and re.match(r"(https?|databricks|uc)\b", self.uri):
            return None
        return self.workspace.absolute() / "models" / "artifacts"

    @property
    def is_empty(self) -> bool:
        """True when nothing was ever stored here; answered without importing MLflow."""
        return self.database is not None and not self.database.exists()

    def log_training(self, record: TrainingRecord) -> ModelVersionInfo:
        """Store a training as a run, register its model and make that the candidate; on failure no version is left."""
        trusted_types = trusted_types_of(record.classifier)
        with self.opened() as client:
            written = write_training(
                client,
                record,
                experiment_id=self._experiment_id(client),
                model_name=self.model_name,
                trusted_types=trusted_types,
            )
            return self._listed(client).find(int(written.version))

    def versions(self) -> list[ModelVersionInfo]:
        """Return all registered versions, newest first; empty before the first training."""
        return [] if self.is_empty else list(self._known().versions)

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Load a model through the allow-list of :mod:`churnrisk.tracking.stored`."""
        # Outside the store's silence: scikit-learn warns of a model from another version.
        return self.stored(alias_or_version).built()

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Return the files of a version; nothing in them is built."""
        known = self._known(alias_or_version)
        version = known.find(alias_or_version)
        read = partial(read_folder, version=version.version, run_id=version.run_id, tags=version.tags)
        location = known.locations[version.version]
        if self.artifacts:
            # MLflow keeps absolute addresses; the project folder may have been moved or copied since.
            # They end in models/<model id>/artifacts.
            own = self.artifacts.joinpath(*location.split("/")[-3:])
            if own.is_dir():
                return read(own)
        with TemporaryDirectory() as scratch, self.opened():
            from mlflow.artifacts import download_artifacts

            fetched = download_artifacts(artifact_uri=location, dst_path=scratch, tracking_uri=self.address)
            return read(Path(fetched))

    def details(self, name: str | int) -> VersionDetails:
        """Return a version with the parameters and data of its training."""
        info = self._known(name).find(name)
        with self.opened() as client:
            run = client.get_run(info.run_id)
        inputs = run.inputs.dataset_inputs if run.inputs else []
        datasets = [record for record in map(_dataset, inputs) if record is not None]
        datasets.sort(key=lambda record: _BLOCKS.index(record.block))
        return VersionDetails(info, dict(run.data.params), tuple(datasets))

    def promote(self, version: int, *, decision: dict[str, Any]) -> ModelVersionInfo:
        """Make a version the champion; the decision (evidence, author, time) goes into its tags."""
        with self._open(version) as (client, known):
            candidate = known.find(version)
            if known.champion == version:
                raise UsageError(f"version {version} is the champion already; nothing to promote")
            entry = {"previous_champion": known.champion, "decision": decision}
            # The tag first: an alias without its history could not be rolled back.
            self._write_promotions(client, candidate, [*_promotions(candidate), entry])
            self._make_champion(client, candidate)
            return self._listed(client).find(version)

    def rollback(self, *, reason: dict[str, Any]) -> ModelVersionInfo:
        """Give the alias ``champion`` back to the version that the champion replaced, and return that."""
        with self._open(CHAMPION) as (client, known):
            current = known.find(CHAMPION)
            promotions = _promotions(current)
            live = [entry for entry in promotions if "rolled_back" not in entry]
            last: dict[str, Any] = live[-1] if live else {}
            if last.get("previous_champion") is None:
                raise UsageError(
                    f"version {current.version} replaced no other champion, so there is none to go back "
                    "to; `churnrisk models` lists the versions and `churnrisk promote` takes any of them"
                )
            restored = known.find(int(last["previous_champion"]))
            # The alias first: an entry marked too early would hide the way back.
            self._make_champion(client, restored)
            last["rolled_back"] = reason
            self._write_promotions(client, current, promotions)
            return self._listed(client).find(restored.version)

    def _known(self, name: str | int | None = None) -> Mirror:
        """Return the versions, from their mirror while the registry is as it was."""
        found = None if self.database is None else Mirror.read(self.database, self.model_name)
        if found is not None:
            return found
        with self._open(name) as (_, known):
            return known

    @contextmanager
    def _open(self, name: str | int | None = None) -> Iterator[tuple[MlflowClient, Mirror]]:
        """Yield a client and the versions; refuse at once to look for one by name in an empty store."""
        if name is not None and self.is_empty:
            raise absent(name, known=[])
        with self.opened() as client:
            yield client, self._listed(client)

    def _listed(self, client: MlflowClient) -> Mirror:
        """Return the versions as the registry has them now, and mirror them."""
        digest = None if self.database is None else settled_digest(self.database)
        found = list(client.search_model_versions(f"name = '{self.model_name}'"))
        # search_model_versions returns versions without their aliases.
        aliases = client.get_registered_model(self.model_name).aliases if found else {}
        metrics = _metrics(client, [version.run_id for version in found if version.run_id])
        versions = [
            ModelVersionInfo(
                version=int(version.version),
                created=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
                aliases=tuple(
                    sorted(a for a, number in aliases.items() if int(number) == int(version.version))
                ),
                metrics=metrics.get(version.run_id or "", {}),
                run_id=version.run_id or "",
                tags=dict(version.tags),
            )
            for version in sorted(found, key=lambda version: -int(version.version))
        ]
        locations = {
            int(version.version): client.get_model_version_download_uri(self.model_name, version.version)
            for version in found
        }
        listed = Mirror(self.model_name, tuple(versions), locations, digest)
        if self.database is not None:
            listed.write(self.database)
        return listed

    def _make_champion(self, client: MlflowClient, version: ModelVersionInfo) -> None:
        client.set_registered_model_alias(self.model_name, CHAMPION, str(version.version))

    def _write_promotions(
        self, client: MlflowClient, version: ModelVersionInfo, promotions: list[dict[str, Any]]
    ) -> None:
        client.set_model_version_tag(
            self.model_name, str(version.version), PROMOTIONS_TAG, as_json(promotions)
        )

    @contextmanager
    def opened(self) -> Iterator[MlflowClient]:
        """Yield a client; a store that is away, locked, damaged or of another version is one ChurnRiskError."""
        with _quiet():
            try:
                if self.database is not None:
                    _check_sqlite(self.database)
                yield _client(self.address)
            except ChurnRiskError:
                raise
            except Exception as cause:
                root = type(cause).__module__.partition(".")[0]
                if root not in _FOREIGN and not isinstance(cause, OSError | sqlite3.Error | ImportError):
                    raise
                raise ChurnRiskError(
                    f"expected a working model store at {masked(self.address)}, found: "
                    f"{masked(_first_line(cause))} Check that it is reachable, writable and not in use by "
                    "another program; its address is `uri` under [tracking] in churnrisk.toml."
                ) from cause

    def _experiment_id(self, client: MlflowClient) -> str:
        location = self.artifacts.as_uri() if self.artifacts else None
        found = client.get_experiment_by_name(self.experiment)
        if found is not None and self.uri is None and found.artifact_location != location:
            # The project folder was moved: MLflow would go on writing to the old place.
            client.rename_experiment(found.experiment_id, f"{self.experiment} (moved, {found.experiment_id})")
            found = None
        if found is None:
            return str(client.create_experiment(self.experiment, artifact_location=location))
        return str(found.experiment_id)


def _metrics(client: MlflowClient, run_ids: list[str]) -> dict[str, dict[str, float]]:
    """Return metrics by run, in one query; deleted runs are left out."""
    if not run_ids:
        return {}
    listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(everywhere, f"attributes.run_id IN ({listed})", max_results=len(run_ids))
    return {run.info.run_id: dict(run.data.metrics) for run in runs}


def _promotions(version: ModelVersionInfo) -> list[dict[str, Any]]:
    """Return a version's promotions, oldest first."""
    promotions: list[dict[str, Any]] = json.loads(version.tags.get(PROMOTIONS_TAG, "[]"))
    return promotions


def _dataset(logged: DatasetInput) -> DatasetRecord | None:
    """Return a block that churnrisk logged; None for data sets that others attached to the run."""
    dataset = logged.dataset
    named = _DATASET.fullmatch(dataset.name)
    if named is None:
        return None
    tags = json.loads(dataset.source or "{}").get("tags", {})
    return DatasetRecord(
        block=named[1],  # type: ignore[arg-type]  # one of the four words of the pattern
        first_as_of=datetime.fromisoformat(named[2]),
        last_as_of=datetime.fromisoformat(named[3]),
        rows=int(json.loads(dataset.profile or "{}").get("num_rows", 0)),
        digest=str(tags.get("churnrisk.digest", dataset.digest)),
    )


def masked(text: str) -> str:
    """Replace the password of every URL in the text by ``***``."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]+@", r"\1:***@", text)


def _first_line(cause: Exception) -> str:
    line = next(iter(str(cause).strip().splitlines()), "") or type(cause).__name__
    return line if line.endswith(".") else line + "."


def _check_sqlite(database: Path) -> None:
    """Fail at once; MLflow would retry for minutes."""
    database.parent.mkdir(parents=True, exist_ok=True)
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _client(address: str) -> MlflowClient:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)

    import mlflow.store.db.utils as database_tools
    from mlflow import MlflowClient

    _set_levels(dict.fromkeys(_CHATTY_LOGGERS, logging.ERROR))
    patience = database_tools.MAX_RETRY_COUNT
    # The pauses double: MLflow's own ten attempts take 100 seconds, five take three.
    database_tools.MAX_RETRY_COUNT = min(patience, 5)
    try:
        client = MlflowClient(tracking_uri=address, registry_uri=address)
        client.search_registered_models(max_results=1)
    finally:
        database_tools.MAX_RETRY_COUNT = patience
    return client


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's and Alembic's messages and deprecations from the user's terminal."""
    levels = {name: logging.getLogger(name).level for name in _CHATTY_LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _set_levels(dict.fromkeys(_CHATTY_LOGGERS, logging.ERROR))
        try:
            yield
        finally:
            _set_levels(levels)


def _set_levels(levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
