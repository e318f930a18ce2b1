"""The registered versions of one model: find, describe, promote and roll back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from churnrisk.errors import ChurnRiskError, NoChampionError, UsageError
from churnrisk.tracking.record import CANDIDATE, CHAMPION, DatasetRecord, ModelVersionInfo, VersionDetails
from churnrisk.tracking.writing import as_json

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.entities.model_registry import ModelVersion

#: MLflow keeps no history of aliases, so a version's promotions stand in this tag of it.
PROMOTIONS_TAG = "churnrisk.promotions"
_FIXES = {
    CHAMPION: "run `churnrisk train`, then `churnrisk promote`",
    CANDIDATE: "run `churnrisk train`",
}
_BLOCKS = ("fit", "calibration", "policy", "test")
_DATASET = re.compile(rf"panel-({'|'.join(_BLOCKS)})-(\d{{4}}-\d\d-\d\d)\.\.(\d{{4}}-\d\d-\d\d)")


@dataclass(frozen=True)
class Versions:
    """The versions of the model of one name, read through an open client."""

    client: MlflowClient
    model_name: str

    def aliases(self) -> dict[str, int]:
        """Return which version each alias points to."""
        # search_model_versions returns versions without their aliases.
        if not self.client.search_registered_models(f"name = '{self.model_name}'", max_results=1):
            return {}
        registered = self.client.get_registered_model(self.model_name)
        return {alias: int(version) for alias, version in registered.aliases.items()}

    def all(self) -> list[ModelVersion]:
        """Return every version, in no order."""
        return list(self.client.search_model_versions(f"name = '{self.model_name}'"))

    def find(self, name: str | int) -> ModelVersion:
        """Return a version by its alias, its number or the id of its run."""
        known = {int(version.version): version for version in self.all()}
        by_run = next((version for version in known.values() if version.run_id == str(name)), None)
        if by_run is not None:
            return by_run
        number = int(name) if str(name).isdecimal() else self.aliases().get(str(name))
        if number is None or number not in known:
            raise absent(name, sorted(known))
        return known[number]

    def described(self, versions: Sequence[ModelVersion]) -> list[ModelVersionInfo]:
        """Return versions with their aliases and metrics, in the order given."""
        aliases = self.aliases()
        metrics = self._metrics([version.run_id for version in versions if version.run_id])
        return [
            ModelVersionInfo(
                version=int(version.version),
                created=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
                aliases=tuple(sorted(a for a, number in aliases.items() if number == int(version.version))),
                metrics=metrics.get(version.run_id or "", {}),
                run_id=version.run_id or "",
                tags=dict(version.tags),
            )
            for version in versions
        ]

    def details(self, name: str | int) -> VersionDetails:
        """Return a version with the parameters and data of its training."""
        (info,) = self.described([self.find(name)])
        run = self.client.get_run(info.run_id)
        inputs = run.inputs.dataset_inputs if run.inputs else []
        datasets = [record for record in map(_dataset, inputs) if record is not None]
        datasets.sort(key=lambda record: _BLOCKS.index(record.block))
        return VersionDetails(info, dict(run.data.params), tuple(datasets))

    def promote(self, version: int, decision: dict[str, Any]) -> ModelVersion:
        """Make a version the champion; the decision and the champion before go into its tags."""
        found = self.find(version)
        previous = self.aliases().get(CHAMPION)
        if previous == version:
            raise UsageError(f"version {version} is the champion already; nothing to promote")
        entry = {"previous_champion": previous, "decision": decision}
        # The tag first: an alias without its history could not be rolled back.
        self._write_promotions(found, [*_promotions(found), entry])
        self.client.set_registered_model_alias(self.model_name, CHAMPION, str(version))
        return self.find(version)

    def roll_back(self, reason: dict[str, Any]) -> ModelVersion:
        """Give the alias back to the version that the champion replaced, and return that."""
        current = self.find(CHAMPION)
        promotions = _promotions(current)
        live = [entry for entry in promotions if "rolled_back" not in entry]
        last: dict[str, Any] = live[-1] if live else {}
        previous = last.get("previous_champion")
        if previous is None:
            raise UsageError(
                f"version {current.version} replaced no other champion, so there is none to go back "
                "to; `churnrisk models` lists the versions and `churnrisk promote` takes any of them"
            )
        restored = self.find(int(previous))
        # The alias first: an entry marked too early would hide the way back.
        self.client.set_registered_model_alias(self.model_name, CHAMPION, restored.version)
        last["rolled_back"] = reason
        self._write_promotions(current, promotions)
        return restored

    def _write_promotions(self, version: ModelVersion, promotions: list[dict[str, Any]]) -> None:
        self.client.set_model_version_tag(version.name, version.version, PROMOTIONS_TAG, as_json(promotions))

    def _metrics(self, run_ids: list[str]) -> dict[str, dict[str, float]]:
        """Return metrics by run, in one query; deleted runs are left out."""
        if not run_ids:
            return {}
        listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
        everywhere = [experiment.experiment_id for experiment in self.client.search_experiments()]
        runs = self.client.search_runs(
            everywhere, f"attributes.run_id IN ({listed})", max_results=len(run_ids)
        )
        return {run.info.run_id: dict(run.data.metrics) for run in runs}


def absent(name: str | int, known: list[int]) -> ChurnRiskError:
    """Return the error for a version that is not there, with those that are."""
    if known and str(name) not in _FIXES:
        listed = ", ".join(map(str, known))
        return UsageError(f"there is no model version {name}; there are {listed}")
    what = "model" if str(name).isdecimal() else name
    return NoChampionError(f"there is no {what} yet; {_FIXES.get(str(name), _FIXES[CANDIDATE])}")


def _promotions(version: ModelVersion) -> list[dict[str, Any]]:
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
