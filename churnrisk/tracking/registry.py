"""The life of a project's model: trained, loaded, promoted, rolled back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from churnrisk.errors import ChurnRiskError, NoChampionError, UsageError
from churnrisk.tracking.details import VersionDetails, read_details
from churnrisk.tracking.record import CANDIDATE, CHAMPION, LoadedModel, ModelVersionInfo, TrainingRecord
from churnrisk.tracking.store import Store
from churnrisk.tracking.stored import StoredModel, read_folder
from churnrisk.tracking.trusted import trusted_types_of
from churnrisk.tracking.writing import as_json, write_training

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# Tag of a version. MLflow keeps no history of aliases, so the history is kept here.
PROMOTIONS_TAG = "churnrisk.promotions"

_MENDS = {
    CHAMPION: "run `churnrisk train`, then `churnrisk promote`",
    CANDIDATE: "run `churnrisk train`",
}


@dataclass(frozen=True)
class Tracking:
    """Runs and model versions of one project.

    Nothing in the process is changed: two projects in one process do not see each other.

    Attributes
    ----------
    uri : str or None
        An MLflow tracking URI (server or database); None means SQLite in
        ``<workspace>/models/mlflow.db`` with files in ``<workspace>/models/artifacts``.
    workspace : Path
        The project folder.
    experiment : str
        Name of the MLflow experiment.
    model_name : str
        Name of the registered model.
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
        """Store one training as a run, register its model and make that the candidate.

        Parameters
        ----------
        record : TrainingRecord
            The training.

        Returns
        -------
        ModelVersionInfo
            The new version.

        Raises
        ------
        ChurnRiskError
            If the model cannot be stored safely or the store fails; no version is left behind then.
        """
        trusted_types = trusted_types_of(record.classifier)
        with self._store.opened() as client:
            written = write_training(
                client,
                record,
                experiment_id=self._experiment_id(client),
                model_name=self.model_name,
                trusted_types=trusted_types,
            )
            return self._infos(client, [written])[0]

    def versions(self) -> list[ModelVersionInfo]:
        """All registered versions, newest first; empty before the first training."""
        if self._store.is_empty:
            return []
        with self._store.opened() as client:
            found = client.search_model_versions(f"name = '{self.model_name}'")
            return sorted(self._infos(client, found), key=lambda info: -info.version)

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Load a model through the allow-list of :mod:`churnrisk.tracking.trusted`.

        Parameters
        ----------
        alias_or_version : str or int
            ``"champion"``, ``"candidate"`` or the number of a version.

        Returns
        -------
        LoadedModel
            The classifier with its policy, profile and feature catalogue.

        Raises
        ------
        NoChampionError
            If no version carries the alias.
        UsageError
            If there is no such version.
        ChurnRiskError
            If the model is not in skops format, holds types that are not trusted, is damaged, or the
            store fails.
        """
        # Out of the store's silence: scikit-learn warns of a model from another version.
        return self.stored(alias_or_version).built()

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Return the files of a version; nothing in them is built.

        Raises
        ------
        NoChampionError
            If no version carries the alias.
        UsageError
            If there is no such version.
        ChurnRiskError
            If the model is not in skops format or a document is damaged, or the store fails.
        """
        self._require_store(alias_or_version)
        with TemporaryDirectory() as scratch, self._store.opened() as client:
            version = self._find(client, alias_or_version)
            folder = self._fetch(client, version, Path(scratch))
            return read_folder(
                folder,
                version=int(version.version),
                run_id=version.run_id or "",
                tags=dict(version.tags),
            )

    def details(self, wanted: str | int) -> VersionDetails:
        """Return a version with the parameters and data of its training.

        Parameters
        ----------
        wanted : str or int
            An alias, the number of a version, or the id of its run.

        Raises
        ------
        NoChampionError
            If no version carries the alias.
        UsageError
            If there is no such version.
        """
        self._require_store(wanted)
        with self._store.opened() as client:
            info = self._infos(client, [self._find(client, wanted)])[0]
            return read_details(info, client.get_run(info.run_id))

    def promote(self, version: int, *, decision: dict[str, Any]) -> ModelVersionInfo:
        """Make a version the champion and write why, and whom it follows, into its tags.

        Parameters
        ----------
        version : int
            The version to promote.
        decision : dict
            The evidence, author and time of the decision, as plain data.

        Returns
        -------
        ModelVersionInfo
            The promoted version.

        Raises
        ------
        NoChampionError
            If nothing was trained yet.
        UsageError
            If there is no such version, or it is the champion already.
        """
        self._require_store(version)
        with self._store.opened() as client:
            found = self._find(client, version)
            previous = self._aliases(client).get(CHAMPION)
            if previous == version:
                raise UsageError(f"version {version} is the champion already; nothing to promote")
            entry = {"previous_champion": previous, "decision": decision}
            # The tag first: an alias without its history could not be rolled back.
            _write_promotions(client, found, [*_promotions(found), entry])
            client.set_registered_model_alias(self.model_name, CHAMPION, str(version))
            return self._infos(client, [self._find(client, version)])[0]

    def rollback(self, *, reason: dict[str, Any]) -> ModelVersionInfo:
        """Give the alias ``champion`` back to the version that the champion replaced.

        Parameters
        ----------
        reason : dict
            Author, time and reason, as plain data; written into the history of the version that goes.

        Returns
        -------
        ModelVersionInfo
            The champion after the rollback.

        Raises
        ------
        NoChampionError
            If there is no champion.
        UsageError
            If the champion replaced none, or its forerunner was deleted.
        """
        self._require_store(CHAMPION)
        with self._store.opened() as client:
            current = self._find(client, CHAMPION)
            history = _promotions(current)
            live: list[dict[str, Any]] = [entry for entry in history if "rolled_back" not in entry]
            last = live[-1] if live else {}
            previous = last.get("previous_champion")
            if previous is None:
                raise UsageError(
                    f"version {current.version} replaced no other champion, so there is none to go back "
                    "to; `churnrisk models` lists the versions and `churnrisk promote` takes any of them"
                )
            restored = self._find(client, int(previous))
            # The alias first: an entry marked too early would hide the way back.
            client.set_registered_model_alias(self.model_name, CHAMPION, restored.version)
            last["rolled_back"] = reason
            _write_promotions(client, current, history)
            return self._infos(client, [restored])[0]

    def _require_store(self, wanted: str | int) -> None:
        if self._store.is_empty:
            raise _absent(wanted, known=[])

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

    def _aliases(self, client: MlflowClient) -> dict[str, int]:
        # search_model_versions returns versions without their aliases.
        if not client.search_registered_models(f"name = '{self.model_name}'", max_results=1):
            return {}
        registered = client.get_registered_model(self.model_name)
        return {alias: int(version) for alias, version in registered.aliases.items()}

    def _find(self, client: MlflowClient, wanted: str | int) -> ModelVersion:
        is_number = str(wanted).isdecimal()
        number = int(wanted) if is_number else self._aliases(client).get(str(wanted))
        where = f"name = '{self.model_name}'"
        known = {int(found.version): found for found in client.search_model_versions(where)}
        by_run = next((found for found in known.values() if found.run_id == str(wanted)), None)
        if by_run is not None:
            return by_run
        if number is None or number not in known:
            raise _absent(wanted, sorted(known))
        return known[number]

    def _infos(self, client: MlflowClient, found: Sequence[ModelVersion]) -> list[ModelVersionInfo]:
        aliases = self._aliases(client)
        metrics = _metrics_of(client, [version.run_id for version in found if version.run_id])
        return [
            ModelVersionInfo(
                version=int(version.version),
                created=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
                aliases=tuple(sorted(a for a, number in aliases.items() if number == int(version.version))),
                metrics=metrics.get(version.run_id or "", {}),
                run_id=version.run_id or "",
                tags=dict(version.tags),
            )
            for version in found
        ]

    def _fetch(self, client: MlflowClient, version: ModelVersion, scratch: Path) -> Path:
        """Folder with the files of a version; nothing in it is built."""
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


def _metrics_of(client: MlflowClient, run_ids: list[str]) -> dict[str, dict[str, float]]:
    """Metrics by run, in one query; runs that were deleted are left out."""
    if not run_ids:
        return {}
    listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(everywhere, f"attributes.run_id IN ({listed})", max_results=len(run_ids))
    return {run.info.run_id: dict(run.data.metrics) for run in runs}


def _absent(wanted: str | int, known: list[int]) -> ChurnRiskError:
    if known and str(wanted) not in _MENDS:
        listed = ", ".join(map(str, known))
        return UsageError(f"there is no model version {wanted}; there are {listed}")
    name = "model" if str(wanted).isdecimal() else wanted
    mend = _MENDS.get(str(wanted), _MENDS[CANDIDATE])
    return NoChampionError(f"there is no {name} yet; {mend}")


def _promotions(version: ModelVersion) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = json.loads(version.tags.get(PROMOTIONS_TAG, "[]"))
    return history


def _write_promotions(client: MlflowClient, version: ModelVersion, history: list[dict[str, Any]]) -> None:
    client.set_model_version_tag(version.name, version.version, PROMOTIONS_TAG, as_json(history))
