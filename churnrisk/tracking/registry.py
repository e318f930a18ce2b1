"""The life of a project's model: trained, loaded, promoted, rolled back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from churnrisk.errors import UsageError
from churnrisk.tracking.record import CHAMPION, ModelVersionInfo, TrainingRecord, VersionDetails
from churnrisk.tracking.store import Store
from churnrisk.tracking.stored import LoadedModel, StoredModel, read_folder
from churnrisk.tracking.trusted import trusted_types_of
from churnrisk.tracking.versions import Versions, absent
from churnrisk.tracking.writing import write_training

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Tracking:
    """Runs and model versions of one project; nothing in the process is changed.

    A version is named by alias, number or the id of its run; NoChampionError if no version carries the alias,
    UsageError if there is no such version, ChurnRiskError if a model is unsafe or damaged or the store fails.

    ``uri`` is an MLflow tracking URI (server or database); None means SQLite in ``<workspace>/models/mlflow.db`` with
    files in ``<workspace>/models/artifacts``. ``workspace`` is the project folder.
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
    def _store(self) -> Store:
        return Store(self.uri, self.workspace)

    def log_training(self, record: TrainingRecord) -> ModelVersionInfo:
        """Store a training as a run, register its model and make that the candidate; on failure no version is left."""
        trusted_types = trusted_types_of(record.classifier)
        with self._open() as versions:
            written = write_training(
                versions.client,
                record,
                experiment_id=self._experiment_id(versions.client),
                model_name=self.model_name,
                trusted_types=trusted_types,
            )
            return versions.described([written])[0]

    def versions(self) -> list[ModelVersionInfo]:
        """Return all registered versions, newest first; empty before the first training."""
        if self._store.is_empty:
            return []
        with self._open() as versions:
            return sorted(versions.described(versions.all()), key=lambda info: -info.version)

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Load a model through the allow-list of :mod:`churnrisk.tracking.trusted`."""
        # Outside the store's silence: scikit-learn warns of a model from another version.
        return self.stored(alias_or_version).built()

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Return the files of a version; nothing in them is built."""
        with TemporaryDirectory() as scratch, self._open(alias_or_version) as versions:
            version = versions.find(alias_or_version)
            return read_folder(
                self._fetch(versions.client, version, Path(scratch)),
                version=int(version.version),
                run_id=version.run_id or "",
                tags=dict(version.tags),
            )

    def details(self, name: str | int) -> VersionDetails:
        """Return a version with the parameters and data of its training."""
        with self._open(name) as versions:
            return versions.details(name)

    def promote(self, version: int, *, decision: dict[str, Any]) -> ModelVersionInfo:
        """Make a version the champion; the decision (evidence, author, time) goes into its tags."""
        with self._open(version) as versions:
            return versions.described([versions.promote(version, decision)])[0]

    def rollback(self, *, reason: dict[str, Any]) -> ModelVersionInfo:
        """Give the alias ``champion`` back to the version that the champion replaced, and return that."""
        with self._open(CHAMPION) as versions:
            return versions.described([versions.roll_back(reason)])[0]

    @contextmanager
    def _open(self, name: str | int | None = None) -> Iterator[Versions]:
        """Yield the versions; refuse at once to look for one by name in an empty store."""
        if name is not None and self._store.is_empty:
            raise absent(name, known=[])
        with self._store.opened() as client:
            yield Versions(client, self.model_name)

    def _experiment_id(self, client: MlflowClient) -> str:
        artifacts = self._store.artifacts
        location = artifacts.as_uri() if artifacts else None
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            return str(client.create_experiment(self.experiment, artifact_location=location))
        if self.uri is None and found.artifact_location != location:
            # The project folder was moved: MLflow would go on writing to the old place.
            client.rename_experiment(found.experiment_id, f"{self.experiment} (moved, {found.experiment_id})")
            return str(client.create_experiment(self.experiment, artifact_location=location))
        return str(found.experiment_id)

    def _fetch(self, client: MlflowClient, version: ModelVersion, scratch: Path) -> Path:
        """Return a folder with the files of a version."""
        from mlflow.artifacts import download_artifacts

        location = client.get_model_version_download_uri(self.model_name, version.version)
        artifacts = self._store.artifacts
        if self.uri is None and artifacts:
            # MLflow keeps absolute addresses; the project folder may have been moved or copied since.
            # They end in models/<model id>/artifacts.
            own = artifacts.joinpath(*location.split("/")[-3:])
            if own.is_dir():
                return own
        fetched = download_artifacts(
            artifact_uri=location, dst_path=os.fspath(scratch), tracking_uri=self._store.address
        )
        return Path(fetched)
