"""The registered versions of one model: found by alias, number or run, and described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from churnrisk.errors import ChurnRiskError, NoChampionError, UsageError
from churnrisk.tracking.record import CANDIDATE, CHAMPION, ModelVersionInfo

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_MENDS = {
    CHAMPION: "run `churnrisk train`, then `churnrisk promote`",
    CANDIDATE: "run `churnrisk train`",
}


@dataclass(frozen=True)
class Versions:
    """The versions of the model of one name, asked through an open client."""

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

    def find(self, wanted: str | int) -> ModelVersion:
        """Return a version by its alias, number or run.

        Raises
        ------
        NoChampionError
            If no version carries the alias.
        UsageError
            If there is no such version.
        """
        known = {int(found.version): found for found in self.all()}
        by_run = next((found for found in known.values() if found.run_id == str(wanted)), None)
        if by_run is not None:
            return by_run
        number = int(wanted) if str(wanted).isdecimal() else self.aliases().get(str(wanted))
        if number is None or number not in known:
            raise absent(wanted, sorted(known))
        return known[number]

    def described(self, found: Sequence[ModelVersion]) -> list[ModelVersionInfo]:
        """Return versions with their aliases and figures, in the order given."""
        aliases = self.aliases()
        metrics = self._metrics([version.run_id for version in found if version.run_id])
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

    def _metrics(self, run_ids: list[str]) -> dict[str, dict[str, float]]:
        """Metrics by run, in one query; runs that were deleted are left out."""
        if not run_ids:
            return {}
        listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
        everywhere = [experiment.experiment_id for experiment in self.client.search_experiments()]
        runs = self.client.search_runs(
            everywhere, f"attributes.run_id IN ({listed})", max_results=len(run_ids)
        )
        return {run.info.run_id: dict(run.data.metrics) for run in runs}


def absent(wanted: str | int, known: list[int]) -> ChurnRiskError:
    """Return the error for a version that is not there, with those that are."""
    if known and str(wanted) not in _MENDS:
        listed = ", ".join(map(str, known))
        return UsageError(f"there is no model version {wanted}; there are {listed}")
    name = "model" if str(wanted).isdecimal() else wanted
    mend = _MENDS.get(str(wanted), _MENDS[CANDIDATE])
    return NoChampionError(f"there is no {name} yet; {mend}")
