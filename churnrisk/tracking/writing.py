"""What a training hands over, and how it is written to MLflow: whole or not at all."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import date, datetime
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.tracking.served import plain_example, probability_signature, serve_answers
from churnrisk.tracking.stored import CANDIDATE, DOCUMENTS, POLICY

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModel
    from mlflow.entities.model_registry import ModelVersion

_PARAMS_PER_CALL = 100
_METRICS_PER_CALL = 500
_DIGEST_LENGTH = 36
MODEL_CARD = "model_card.md"
# MLflow shows this tag as the description of a run.
_NOTE_TAG = "mlflow.note.content"
_LONGEST_NOTE = 5_000
_REQUIREMENTS = ("churnrisk", "numpy", "pandas", "scikit-learn", "skops")


@dataclass(frozen=True)
class DatasetRecord:
    """One block of the panel that a training read, both dates included; never its rows, only their ``digest``."""

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

    Trials become runs below that of the training; tags go on the run and the version. ``texts`` and ``jsons`` are
    documents by file name: ``model_card.md`` is shown on MLflow's pages, and
    :class:`churnrisk.tracking.LoadedModel` is decoded from ``policy.json``, ``profile.json`` and ``features.json``.
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
        return "light" in self.jsons.get(POLICY, {}) and hasattr(self.classifier, "contributions")


def write_training(
    client: MlflowClient,
    record: TrainingRecord,
    *,
    experiment_id: str,
    model_name: str,
    trusted_types: list[str],
) -> ModelVersion:
    """Write one run, its model, and a new version with the alias ``candidate``, which is set last.

    On any failure the version is deleted and the run and its model are marked FAILED.
    """
    note = {_NOTE_TAG: card} if (card := _card(record)) else {}
    run = client.create_run(experiment_id, tags=_texts(record.tags) | note, run_name=record.run_name)
    writer = _Writer(client, record, experiment_id, run.info.run_id)
    with writer.failing_whole(model_name):
        writer.description()
        for trial in record.trials:
            writer.trial(trial)
        model = writer.model(trusted_types)
        writer.metrics(model.model_id)
        client.set_terminated(writer.run_id, status="FINISHED")
        return writer.registered(model, model_name)


@dataclass(frozen=True)
class _Writer:
    client: MlflowClient
    record: TrainingRecord
    experiment_id: str
    run_id: str

    @contextmanager
    def failing_whole(self, model_name: str) -> Iterator[None]:
        client, run_id = self.client, self.run_id
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
                for trial in client.search_runs([self.experiment_id], below, max_results=1000):
                    client.set_terminated(trial.info.run_id, status="FAILED")
            with suppress(Exception):
                client.set_terminated(run_id, status="FAILED")
            raise

    def description(self) -> None:
        """Write parameters, data sets, figures and documents."""
        from mlflow.entities import Param

        client, run_id, record = self.client, self.run_id, self.record
        params = [Param(name, value) for name, value in _params(record).items()]
        for chunk in _chunks(params, _PARAMS_PER_CALL):
            client.log_batch(run_id, params=chunk)
        schema = json.dumps({"mlflow_colspec": probability_signature(record.X_example).inputs.to_dict()})
        client.log_inputs(run_id, [_dataset_input(dataset, schema) for dataset in record.datasets])
        if record.figures:
            self._pictures()
        for name, text in _documents(record).items():
            client.log_text(run_id, text, name)

    def _pictures(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        with TemporaryDirectory() as folder:
            for name, figure in self.record.figures.items():
                # not savefig, which draws a figure twice, once for its layout
                FigureCanvasAgg(figure).print_png(Path(folder) / f"{name}.png")  # type: ignore[no-untyped-call]
            self.client.log_artifacts(self.run_id, folder, "plots")

    def trial(self, trial: TrialRecord) -> None:
        """Write a finished run below that of the training, so that MLflow's pages can put candidates side by side."""
        from mlflow.entities import Metric, Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        tags = {**trial.tags, MLFLOW_PARENT_RUN_ID: self.run_id}
        run = self.client.create_run(self.experiment_id, tags=tags, run_name=trial.name)
        now_ms = int(time() * 1000)
        self.client.log_batch(
            run.info.run_id,
            params=[Param(name, str(value)) for name, value in trial.params.items()],
            metrics=[
                Metric(name, value, now_ms, step)
                for name, values in trial.metrics.items()
                for step, value in enumerate(values)
            ],
        )
        self.client.set_terminated(run.info.run_id, status="FINISHED")

    def model(self, trusted_types: list[str]) -> LoggedModel:
        """Store the model with its documents, as ``mlflow.sklearn.log_model(name="model")`` would.

        That function works on the tracking URI and the active run of the whole process; the client does not.
        """
        from mlflow.entities import LoggedModelOutput

        client, run_id, record = self.client, self.run_id, self.record
        model = client.create_logged_model(
            self.experiment_id,
            name="model",
            source_run_id=run_id,
            params=_params(record),
            model_type="classifier",
        )
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        with TemporaryDirectory() as folder:
            local = Path(folder) / "model"
            self._save(local, model, trusted_types)
            for name, text in _documents(record).items():
                file = local / DOCUMENTS / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            client.log_model_artifacts(model.model_id, str(local))
        return client.finalize_logged_model(model.model_id, "READY")

    def _save(self, folder: Path, model: LoggedModel, trusted_types: list[str]) -> None:
        import mlflow.sklearn
        from mlflow.models import Model

        record = self.record
        description = Model(
            artifact_path=model.artifact_location,
            model_uuid=model.model_id,
            run_id=self.run_id,
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
            # Given, because MLflow would start a second interpreter to find them out; as an environment,
            # because it takes a second to look through a bare list of requirements.
            conda_env=_environment(),
            pyfunc_predict_fn="predict_proba",
        )
        if record.is_churn_model:
            serve_answers(description, record.X_example)
            description.save(str(folder / "MLmodel"))

    def metrics(self, model_id: str) -> None:
        """Write the metrics of the run, attached to the model and the test block."""
        from mlflow.entities import Metric

        test = next((dataset for dataset in self.record.datasets if dataset.block == "test"), None)
        measured = {
            "model_id": model_id,
            "dataset_name": test.name if test else None,
            "dataset_digest": test.digest[:_DIGEST_LENGTH] if test else None,
            "run_id": self.run_id,
        }
        now_ms = int(time() * 1000)
        metrics = [
            Metric(metric_name(name), float(value), now_ms, 0, **measured)
            for name, value in self.record.metrics.items()
        ]
        for chunk in _chunks(metrics, _METRICS_PER_CALL):
            self.client.log_batch(self.run_id, metrics=chunk)

    def registered(self, model: LoggedModel, model_name: str) -> ModelVersion:
        """Register the model as a new version and make that the candidate."""
        client = self.client
        if not client.search_registered_models(f"name = '{model_name}'", max_results=1):
            client.create_registered_model(model_name)
        version = client.create_model_version(
            model_name,
            model.artifact_location,
            run_id=self.run_id,
            tags=_texts(self.record.tags),
            description=_card(self.record),
            model_id=model.model_id,
        )
        client.set_registered_model_alias(model_name, CANDIDATE, version.version)
        return version


def _environment() -> dict[str, Any]:
    pinned = [f"{name}=={installed(name)}" for name in ("mlflow", *_REQUIREMENTS)]
    return {
        "name": "churnrisk",
        "channels": ["conda-forge"],
        "dependencies": [f"python={platform.python_version()}", "pip", {"pip": pinned}],
    }


def _card(record: TrainingRecord) -> str:
    return record.texts.get(MODEL_CARD, "")[:_LONGEST_NOTE]


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _params(record: TrainingRecord) -> dict[str, str]:
    return {metric_name(name): str(value) for name, value in record.params.items()}


def _documents(record: TrainingRecord) -> dict[str, str]:
    return record.texts | {name: as_json(value) for name, value in record.jsons.items()}


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
