"""Write one training to MLflow: whole, or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import date
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import TYPE_CHECKING, Any

import numpy as np

from churnrisk.tracking.record import CANDIDATE, DatasetRecord, TrainingRecord, TrialRecord
from churnrisk.tracking.served import plain_example, probability_signature, serve_answers
from churnrisk.tracking.stored import DOCUMENTS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModel, Metric
    from mlflow.entities.model_registry import ModelVersion

_PARAMS_PER_CALL = 100
_METRICS_PER_CALL = 500
_DIGEST_LENGTH = 36
MODEL_CARD = "model_card.md"
# MLflow shows this tag as the description of a run.
_NOTE_TAG = "mlflow.note.content"
_LONGEST_NOTE = 5_000
_REQUIREMENTS = ("churnrisk", "numpy", "pandas", "scikit-learn", "skops")


def write_training(
    client: MlflowClient,
    record: TrainingRecord,
    *,
    experiment_id: str,
    model_name: str,
    trusted_types: list[str],
) -> ModelVersion:
    """Write one run, its model, and a new version with the alias ``candidate``.

    The alias is set last, so nobody sees a version before everything about it is stored. On any
    failure the version is deleted and the run and its model are marked FAILED.
    """
    tags = {key: str(value) for key, value in record.tags.items()}
    card = record.texts.get(MODEL_CARD, "")[:_LONGEST_NOTE]
    run_tags = {**tags, _NOTE_TAG: card} if card else tags
    run_id = client.create_run(experiment_id, tags=run_tags, run_name=record.run_name).info.run_id
    with _failing_whole(client, experiment_id, run_id, model_name):
        _write_description(client, run_id, record)
        for trial in record.trials:
            _write_trial(client, trial, experiment_id, run_id)
        model = _write_model(client, record, experiment_id, run_id, trusted_types)
        _write_metrics(client, run_id, record, model.model_id)
        client.set_terminated(run_id, status="FINISHED")
        return _register(client, model_name, model, run_id, tags, card)


@contextmanager
def _failing_whole(client: MlflowClient, experiment_id: str, run_id: str, model_name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:  # an interrupted training must not stay half-registered either
        # The store may be what failed: each step is tried, and the first error is the one to show.
        with suppress(Exception):
            for version in client.search_model_versions(f"name = '{model_name}' and run_id = '{run_id}'"):
                client.delete_model_version(model_name, version.version)
        with suppress(Exception):
            outputs = client.get_run(run_id).outputs
            for output in outputs.model_outputs if outputs else []:
                client.finalize_logged_model(output.model_id, "FAILED")
        with suppress(Exception):
            below = f"tags.`mlflow.parentRunId` = '{run_id}'"
            for trial in client.search_runs([experiment_id], below, max_results=1000):
                client.set_terminated(trial.info.run_id, status="FAILED")
        with suppress(Exception):
            client.set_terminated(run_id, status="FAILED")
        raise


def _write_description(client: MlflowClient, run_id: str, record: TrainingRecord) -> None:
    from mlflow.entities import Param

    params = [Param(metric_name(key), str(value)) for key, value in record.params.items()]
    for chunk in _chunks(params, _PARAMS_PER_CALL):
        client.log_batch(run_id, params=chunk)
    schema = json.dumps({"mlflow_colspec": probability_signature(record.X_example).inputs.to_dict()})
    client.log_inputs(run_id, [_dataset_input(dataset, schema) for dataset in record.datasets])
    for name, figure in record.figures.items():
        client.log_figure(run_id, figure, f"plots/{name}.png")
    for name, text in record.texts.items():
        client.log_text(run_id, text, name)
    for name, value in record.jsons.items():
        client.log_text(run_id, as_json(value), name)


def _write_trial(client: MlflowClient, trial: TrialRecord, experiment_id: str, parent_run_id: str) -> None:
    """Write a finished run under that of the training, so that MLflow's pages can put candidates side by side."""
    from mlflow.entities import Metric, Param
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

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


def _dataset_input(dataset: DatasetRecord, schema: str) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    described = Dataset(
        name=dataset.name,
        digest=dataset.digest[:_DIGEST_LENGTH],
        source_type="code",
        source=json.dumps({"tags": {"churnrisk.digest": dataset.digest}}),
        schema=schema,
        profile=json.dumps({"num_rows": dataset.rows}),
    )
    return DatasetInput(described, tags=[InputTag("mlflow.data.context", dataset.block)])


def _write_model(
    client: MlflowClient,
    record: TrainingRecord,
    experiment_id: str,
    run_id: str,
    trusted_types: list[str],
) -> LoggedModel:
    """Store the model with its documents, as ``mlflow.sklearn.log_model(name="model")`` would.

    That function works on the tracking URI and the active run of the whole process; the client does not.
    """
    from mlflow.entities import LoggedModelOutput

    params = {metric_name(key): str(value) for key, value in record.params.items()}
    model = client.create_logged_model(
        experiment_id, name="model", source_run_id=run_id, params=params, model_type="classifier"
    )
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    with TemporaryDirectory() as folder:
        local = Path(folder) / "model"
        _save(record, local, model, run_id, trusted_types)
        jsons = {name: as_json(value) for name, value in record.jsons.items()}
        for name, text in (jsons | record.texts).items():
            file = local / DOCUMENTS / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        client.log_model_artifacts(model.model_id, str(local))
    return client.finalize_logged_model(model.model_id, "READY")


def _save(
    record: TrainingRecord, folder: Path, model: LoggedModel, run_id: str, trusted_types: list[str]
) -> None:
    import mlflow.sklearn
    from mlflow.models import Model

    description = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        run_id=run_id,
        model_id=model.model_id,
    )
    mlflow.sklearn.save_model(
        record.classifier,
        str(folder),
        mlflow_model=description,
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        skops_trusted_types=trusted_types,
        signature=probability_signature(record.X_example),
        input_example=plain_example(record.X_example),
        # Given, because MLflow would start a second interpreter to find them out.
        pip_requirements=[f"{name}=={installed(name)}" for name in _REQUIREMENTS],
        pyfunc_predict_fn="predict_proba",
    )
    if record.is_churn_model:
        serve_answers(description, record.X_example)
        description.save(str(folder / "MLmodel"))


def _write_metrics(client: MlflowClient, run_id: str, record: TrainingRecord, model_id: str) -> None:
    """Write the metrics of the run, attached to the model and the test block."""
    from mlflow.entities import Metric

    test = next((dataset for dataset in record.datasets if dataset.block == "test"), None)
    now_ms = int(time() * 1000)
    metrics: list[Metric] = [
        Metric(
            metric_name(key),
            float(value),
            now_ms,
            0,
            model_id=model_id,
            dataset_name=test.name if test else None,
            dataset_digest=test.digest[:_DIGEST_LENGTH] if test else None,
            run_id=run_id,
        )
        for key, value in record.metrics.items()
    ]
    for chunk in _chunks(metrics, _METRICS_PER_CALL):
        client.log_batch(run_id, metrics=chunk)


def _register(
    client: MlflowClient,
    model_name: str,
    model: LoggedModel,
    run_id: str,
    tags: dict[str, str],
    description: str,
) -> ModelVersion:
    if not client.search_registered_models(f"name = '{model_name}'", max_results=1):
        client.create_registered_model(model_name)
    version = client.create_model_version(
        model_name,
        model.artifact_location,
        run_id=run_id,
        tags=tags,
        description=description,
        model_id=model.model_id,
    )
    client.set_registered_model_alias(model_name, CANDIDATE, version.version)
    return version


def metric_name(name: str) -> str:
    """Replace what MLflow does not take in a name by ``_``.

    >>> metric_name("recall@10%")
    'recall_10_'
    """
    return re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)


def as_json(value: Any) -> str:
    """Return indented JSON of plain data, records, dates and numpy values."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"expected plain data for JSON, found {type(value).__name__}: {value!r}")


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
