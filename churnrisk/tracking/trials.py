"""The candidates of a training as runs below its run, so that MLflow's pages can put them side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class TrialRecord:
    """One candidate in one setting, as the search saw it.

    Attributes
    ----------
    name : str
        Name of the run for people.
    params : dict of str to object
        The candidate and its setting.
    metrics : dict of str to tuple of float
        One value, or one per fold, which becomes the metric's step.
    tags : dict of str to str
    """

    name: str
    params: dict[str, object]
    metrics: dict[str, tuple[float, ...]]
    tags: dict[str, str] = field(default_factory=dict)


def write_trials(
    client: MlflowClient, trials: tuple[TrialRecord, ...], *, experiment_id: str, parent_run_id: str
) -> None:
    """Write one finished run per trial under the run of the training."""
    from mlflow.entities import Metric, Param
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    for trial in trials:
        tags = {**trial.tags, MLFLOW_PARENT_RUN_ID: parent_run_id}
        run_id = client.create_run(experiment_id, tags=tags, run_name=trial.name).info.run_id
        now_ms = int(time() * 1000)
        client.log_batch(
            run_id,
            params=[Param(name, str(value)) for name, value in trial.params.items()],
            metrics=[
                Metric(name, value, now_ms, step)
                for name, values in trial.metrics.items()
                for step, value in enumerate(values)
            ],
        )
        client.set_terminated(run_id, status="FINISHED")
