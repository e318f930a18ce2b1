"""What a training wrote down about itself: parameters and the blocks of the panel that it read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.tracking.record import DatasetRecord, ModelVersionInfo

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

_NAME = re.compile(r"panel-(fit|calibration|policy|test)-(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)")


@dataclass(frozen=True)
class VersionDetails:
    """One registered version with its training.

    Attributes
    ----------
    info : ModelVersionInfo
        Version, aliases, metrics and tags.
    params : dict of str to str
        Settings of the training as MLflow keeps them.
    datasets : tuple of DatasetRecord
        The blocks of the panel in the order fit, calibration, policy, test.
    """

    info: ModelVersionInfo
    params: dict[str, str]
    datasets: tuple[DatasetRecord, ...]

    def block(self, name: str) -> DatasetRecord | None:
        """Return one block, None where the training had none of that name."""
        return next((dataset for dataset in self.datasets if dataset.block == name), None)


def read_details(info: ModelVersionInfo, run: Run) -> VersionDetails:
    """Return the version with what its run says."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    found = [record for record in map(_record, inputs) if record is not None]
    order = ("fit", "calibration", "policy", "test")
    found.sort(key=lambda record: order.index(record.block))
    return VersionDetails(info, dict(run.data.params), tuple(found))


def _record(given: DatasetInput) -> DatasetRecord | None:
    """Return a block that churnrisk logged; None for data sets that others attached to the run."""
    described = given.dataset
    named = _NAME.fullmatch(described.name)
    if named is None:
        return None
    source = json.loads(described.source or "{}").get("tags", {})
    return DatasetRecord(
        block=named[1],  # type: ignore[arg-type]  # one of the four words of the pattern
        first_as_of=datetime.fromisoformat(named[2]),
        last_as_of=datetime.fromisoformat(named[3]),
        rows=int(json.loads(described.profile or "{}").get("num_rows", 0)),
        digest=str(source.get("churnrisk.digest", described.digest)),
    )
