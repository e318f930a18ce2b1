"""MLflow as people use it: a tracking server by one address, models that answer, and a server that goes away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import mlflow
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

import churnrisk as cr
from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.tracking import Tracking, TrainingRecord
from tests.project.conftest import NOW, QUICK
from tests.project.server import Server, free_port, started, tracking_server

ANSWER = ["churn_probability", "colour", "decided_by", "rule", "reasons"]


@pytest.fixture
def mlflow_at() -> Iterator[object]:
    """Point MLflow's own functions at an address, as a notebook does, and back."""
    yield mlflow.set_tracking_uri
    # None also takes the address out of the environment, where other tests would find it
    mlflow.set_tracking_uri(None)


def predict_at(address: str, rows: pd.DataFrame) -> list[dict[str, object]]:
    """Post rows to a served model as JSON and return its answer."""
    body = json.dumps(
        {"dataframe_split": json.loads(rows.to_json(orient="split", index=False, double_precision=15))}
    )
    request = Request(f"{address}/invocations", body.encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=120) as answer:
        return list(json.loads(answer.read())["predictions"])


def test_a_project_lives_on_a_remote_server_and_its_champion_is_served(
    world, blank_store, tmp_path, mlflow_at
) -> None:
    folder = Path(shutil.copytree(world, tmp_path / "acme", ignore=shutil.ignore_patterns("models")))
    shutil.copy(blank_store, tmp_path / "server.db")
    with tracking_server(tmp_path, free_port()) as server:
        project = cr.load(folder, now=NOW, tracking={"uri": server.address}, **QUICK)
        trained = project.train()
        project.promote(author="ada")
        scored = project.score()

        assert scored.run is not None
        assert scored.run.model_version == "1"
        assert not (folder / "models").exists()
        rows = project.panel().X.tail(40)
        ours = project.model().predict(rows)
        mlflow_at(server.address)
        theirs = mlflow.pyfunc.load_model("models:/churn@champion", suppress_warnings=True).predict(rows)
        pd.testing.assert_frame_equal(theirs, ours)

        client = mlflow.MlflowClient(server.address, server.address)
        run = client.get_run(trained.info.run_id)
        children = client.search_runs(
            [run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'"
        )
        assert {child.data.params["candidate"] for child in children} == {"logistic"}
        assert all(child.data.metrics["log_loss"] > 0 for child in children)
        assert run.data.tags["mlflow.note.content"].startswith("# Churn model of")
        assert {"data_digest", "catalogue_digest", "code_version", "seed"} <= set(run.data.tags)
        assert '"mlflow_colspec"' in run.inputs.dataset_inputs[0].dataset.schema

        port = free_port()
        with started(
            "models", "serve", "-m", "models:/churn@champion", "--env-manager", "local", "--host", "127.0.0.1",
            "--port", str(port),
            port=port, log=tmp_path / "serve.log", path="/ping",
            environment={"MLFLOW_TRACKING_URI": server.address},
        ) as served:  # fmt: skip
            answers = predict_at(served.address, rows)
    assert [list(answer) for answer in answers] == [ANSWER] * len(rows)
    found = pd.DataFrame(answers)
    assert found["churn_probability"].tolist() == pytest.approx(ours["churn_probability"].tolist(), abs=1e-12)
    assert found["colour"].tolist() == ours["colour"].tolist()
    assert found["reasons"].tolist() == ours["reasons"].tolist()
    assert all(found["reasons"].map(len))


class Switch(set[str]):
    """A document that ends the server when it is written."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __iter__(self) -> Iterator[str]:
        self.server.kill()
        return iter(())


def test_a_server_that_goes_in_the_middle_of_a_training_is_one_error_and_leaves_no_version(
    tmp_path, blank_store
) -> None:
    shutil.copy(blank_store, tmp_path / "server.db")
    port, X = free_port(), pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
    classifier = LogisticRegression().fit(X, [0, 1, 0, 1])
    with tracking_server(tmp_path, port) as server:
        tracking = Tracking(server.address, tmp_path, "demo")
        with pytest.raises(ChurnRiskError, match="expected a working model store at http") as failure:
            tracking.log_training(TrainingRecord(classifier, X, jsons={"policy.json": Switch(server)}))
        assert "\n" not in str(failure.value)
    with tracking_server(tmp_path, port):
        assert tracking.versions() == []
        with pytest.raises(ChurnRiskError, match="there is no candidate yet"):
            tracking.load("candidate")
        assert tracking.log_training(TrainingRecord(classifier, X)).version == 1
        assert tracking.load("candidate").version == 1


class Intruder:
    """A class that nobody trusts."""


def test_a_served_model_is_read_by_our_allow_list_whatever_its_description_trusts(
    trained, tmp_path, mlflow_at
) -> None:
    (file,) = trained.settings.directory.glob("models/artifacts/**/model.skops")
    skops.io.dump({"model": Intruder()}, file)
    description = file.parent / "MLmodel"
    name = f"{Intruder.__module__}.Intruder"
    text = description.read_text()
    assert "loader_module: churnrisk.tracking.served" in text
    description.write_text(text.replace("skops_trusted_types:", f"skops_trusted_types:\n    - {name}"))
    mlflow_at(f"sqlite:///{trained.settings.directory}/models/mlflow.db")
    with pytest.raises(ChurnRiskError, match=f"types that churnrisk does not trust: {name}"):
        mlflow.pyfunc.load_model(str(file.parent), suppress_warnings=True)


def test_an_answer_needs_every_signal_and_takes_unknown_values_and_new_categories(trained) -> None:
    model, rows = trained.model(), trained.panel().X.head(6)
    with pytest.raises(UsageError, match="found no days_since_last_event"):
        model.predict(rows.drop(columns="days_since_last_event"))

    unknown = rows.assign(tenure_days=None, plan="a plan of tomorrow")
    answers = model.predict(unknown)
    assert list(answers) == ANSWER
    assert answers["churn_probability"].between(0, 1).all()
    assert answers.index.equals(rows.index)
    alone = pd.concat([model.predict(rows.iloc[[i]]) for i in range(len(rows))])
    pd.testing.assert_frame_equal(alone, model.predict(rows))


def test_a_model_without_thresholds_gives_no_colours(tmp_path) -> None:
    X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
    tracking = Tracking(None, tmp_path, "demo")
    tracking.log_training(TrainingRecord(LogisticRegression().fit(X, [0, 1, 0, 1]), X))
    with pytest.raises(UsageError, match="stored without thresholds"):
        tracking.load("candidate").predict(X)
