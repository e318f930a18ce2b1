"""What is logged comes back, and nothing comes back half."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import Model
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from churnrisk.errors import ChurnRiskError, NoChampionError, UsageError
from churnrisk.tracking import Tracking, TrainingRecord

Panel = tuple[pd.DataFrame, np.ndarray]
MakeRecord = Callable[..., TrainingRecord]


def client_of(project: Tracking) -> MlflowClient:
    uri = f"sqlite:///{project.workspace}/models/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def statuses(project: Tracking) -> list[str]:
    client = client_of(project)
    experiment = client.get_experiment_by_name(project.experiment)
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def test_a_logged_model_comes_back_with_the_same_probabilities_and_its_documents(
    project: Tracking, make_record: MakeRecord, panel: Panel, boosting: HistGradientBoostingClassifier
) -> None:
    info = project.log_training(make_record())
    loaded = project.load("candidate")

    np.testing.assert_array_equal(loaded.classifier.predict_proba(panel[0]), boosting.predict_proba(panel[0]))
    assert loaded.documents == {
        "policy.json": {"amber_from": 0.1, "red_from": 0.4},
        "profile.json": {"days_silent": {"median": 18.5}},
        "features.json": [{"name": "days_silent", "unit": "days"}],
    }
    assert (loaded.light, loaded.rules, loaded.features) == (None, (), ())
    assert loaded.tags == {"data_digest": "abc", "seed": "7"}
    assert (loaded.version, loaded.run_id) == (info.version, info.run_id) == (1, info.run_id)
    assert info.aliases == ("candidate",)
    assert info.metrics == {"auc": 0.81, "recall_10_": 0.4, "base_rate.log_loss": 0.5}


def test_a_run_holds_params_datasets_plots_texts_and_metrics_of_the_model_on_the_test_block(
    project: Tracking, make_record: MakeRecord
) -> None:
    info = project.log_training(make_record())
    client = client_of(project)
    run = client.get_run(info.run_id)

    assert run.info.status == "FINISHED"
    assert run.data.params == {"max_iter": "10", "churn definition": "inactivity"}
    blocks = {block.dataset.name: block for block in run.inputs.dataset_inputs}
    assert set(blocks) == {"panel-fit-2025-01-01..2025-05-01", "panel-test-2025-08-01..2025-09-01"}
    test = blocks["panel-test-2025-08-01..2025-09-01"]
    assert test.dataset.profile == '{"num_rows": 80}'
    assert [(tag.key, tag.value) for tag in test.tags] == [("mlflow.data.context", "test")]
    files = {item.path for item in client.list_artifacts(info.run_id)}
    assert files >= {"plots", "model_card.md", "policy.json", "profile.json", "features.json"}
    assert [item.path for item in client.list_artifacts(info.run_id, "plots")] == ["plots/calibration.png"]
    model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    measured = {metric.key: (metric.dataset_name, metric.dataset_digest) for metric in model.metrics}
    assert measured["auc"] == ("panel-test-2025-08-01..2025-09-01", "0123456789abcdef")
    assert model.status == "READY"


def test_the_signature_takes_strings_and_missing_values_and_gives_float64_probabilities(
    project: Tracking, make_record: MakeRecord
) -> None:
    project.log_training(make_record())
    (description,) = project.workspace.rglob("MLmodel")
    signature = Model.load(str(description)).signature.to_dict()

    assert '"type": "string", "name": "plan", "required": false' in signature["inputs"]
    assert '"type": "double", "name": "events_30d", "required": false' in signature["inputs"]
    assert '"dtype": "float64", "shape": [-1, 2]' in signature["outputs"]


def test_the_example_is_cast_to_the_types_of_the_signature() -> None:
    from churnrisk.tracking import plain_example, probability_signature

    X = pd.DataFrame(
        {
            "seats": pd.array([1, None], dtype="Int64"),
            "auto_renew": [True, False],
            "plan": pd.Categorical(["pro", None]),
        }
    )
    plain = plain_example(X)

    assert [str(kind) for kind in plain.dtypes] == ["float64", "bool", "object"]
    assert plain["seats"].isna().tolist() == [False, True]
    assert plain["plan"].tolist()[0] == "pro"
    assert plain["plan"].isna().tolist() == [False, True]
    kinds = [column.type.name for column in probability_signature(X).inputs.inputs]
    assert kinds == ["double", "boolean", "string"]


@pytest.mark.slow
def test_a_second_training_becomes_the_candidate_and_the_first_stays(
    project: Tracking, make_record: MakeRecord, logistic: LogisticRegression, panel: Panel
) -> None:
    project.log_training(make_record())
    project.log_training(make_record(classifier=logistic, X_example=panel[0][["days_silent"]].head(2)))

    listed = project.versions()
    assert [(info.version, info.aliases) for info in listed] == [(2, ("candidate",)), (1, ())]
    assert isinstance(project.load(1).classifier, HistGradientBoostingClassifier)
    assert isinstance(project.load("2").classifier, LogisticRegression)


def test_without_a_champion_loading_says_what_to_run(project: Tracking, make_record: MakeRecord) -> None:
    project.log_training(make_record())
    with pytest.raises(NoChampionError, match="run `churnrisk train`, then `churnrisk promote`"):
        project.load()


def test_a_project_without_a_store_is_not_given_one_by_looking(tmp_path: Path) -> None:
    empty = Tracking(None, tmp_path, "demo")
    assert empty.versions() == []
    with pytest.raises(NoChampionError, match="there is no champion yet"):
        empty.load("champion")
    with pytest.raises(NoChampionError, match="there is no model yet"):
        empty.promote(1, decision={})
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_version_is_refused_with_the_known_ones(
    project: Tracking, make_record: MakeRecord
) -> None:
    project.log_training(make_record())
    with pytest.raises(UsageError, match="there is no model version 9; there are 1"):
        project.load(9)
    with pytest.raises(UsageError, match="there is no model version 9; there are 1"):
        project.promote(9, decision={})


@pytest.mark.slow
def test_promotion_keeps_its_history_and_rollback_follows_it(
    project: Tracking, make_record: MakeRecord
) -> None:
    for _ in range(3):
        project.log_training(make_record())
    project.promote(1, decision={"author": "ada", "auc_gain": 0.1})
    project.promote(3, decision={"author": "bob"})

    assert project.load().version == 3
    promotions = project.versions()[0].tags["churnrisk.promotions"]
    assert '"previous_champion": 1' in promotions
    assert '"author": "bob"' in promotions

    restored = project.rollback(reason={"author": "ada", "why": "red list twice as long"})
    assert restored.version == 1
    assert "champion" in restored.aliases
    assert project.load().version == 1
    assert "twice as long" in project.versions()[0].tags["churnrisk.promotions"]
    with pytest.raises(UsageError, match="replaced no other champion"):
        project.rollback(reason={})


@pytest.mark.slow
def test_rolling_back_retraces_every_promotion_and_never_swaps_to_and_fro(
    project: Tracking, make_record: MakeRecord
) -> None:
    for _ in range(2):
        project.log_training(make_record())
    for version in (1, 2, 1):
        project.promote(version, decision={})

    assert project.rollback(reason={}).version == 2
    assert project.rollback(reason={}).version == 1
    with pytest.raises(UsageError, match="version 1 replaced no other champion"):
        project.rollback(reason={})
    assert project.load().version == 1


def test_a_store_at_an_address_of_its_own_works_like_the_default(
    tmp_path: Path, blank_store: Path, make_record: MakeRecord
) -> None:
    shutil.copy(blank_store, tmp_path / "runs.db")
    own = Tracking("sqlite:///runs.db", tmp_path, "demo")
    own.log_training(make_record(metrics={"auc": float("nan")}, params={"sql": "x" * 10_000}))
    loaded = own.load("candidate")
    assert loaded.version == 1
    assert loaded.documents["policy.json"]["red_from"] == 0.4
    assert np.isnan(own.versions()[0].metrics["auc"])


def test_a_version_whose_run_was_deleted_is_still_listed_and_loaded(
    project: Tracking, make_record: MakeRecord
) -> None:
    info = project.log_training(make_record())
    client_of(project).delete_run(info.run_id)
    assert [(listed.version, listed.metrics) for listed in project.versions()] == [(1, {})]
    assert project.load("candidate").version == 1


def test_promoting_the_champion_again_is_refused(project: Tracking, make_record: MakeRecord) -> None:
    project.log_training(make_record())
    project.promote(1, decision={})
    with pytest.raises(UsageError, match="champion already"):
        project.promote(1, decision={})


class Unprintable:
    """A document that cannot be written as JSON."""


def test_a_training_that_fails_in_the_middle_leaves_a_failed_run_and_no_version(
    project: Tracking, make_record: MakeRecord
) -> None:
    project.log_training(make_record())
    with pytest.raises(TypeError, match="plain data"):
        project.log_training(make_record(jsons={"policy.json": Unprintable()}))

    assert [info.version for info in project.versions()] == [1]
    assert project.load("candidate").version == 1
    assert sorted(statuses(project)) == ["FAILED", "FINISHED"]


def test_a_failure_after_registration_takes_the_version_back(
    project: Tracking, make_record: MakeRecord
) -> None:
    project.log_training(make_record())
    with closing(sqlite3.connect(project.workspace / "models" / "mlflow.db")) as database:
        database.execute(
            "CREATE TRIGGER no_alias BEFORE UPDATE ON registered_model_aliases "
            "BEGIN SELECT RAISE(ABORT, 'alias table is frozen'); END"
        )
        database.commit()

    with pytest.raises(ChurnRiskError, match="alias table is frozen"):
        project.log_training(make_record())

    assert [info.version for info in project.versions()] == [1]
    assert sorted(statuses(project)) == ["FAILED", "FINISHED"]
    client = client_of(project)
    experiment = client.get_experiment_by_name("demo")
    models = client.search_logged_models([experiment.experiment_id])
    assert sorted(str(model.status) for model in models) == ["FAILED", "READY"]


def test_two_projects_in_one_process_do_not_see_each_other(
    project: Tracking, make_record: MakeRecord, tmp_path: Path, blank_store: Path
) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    other_folder = tmp_path / "other"
    (other_folder / "models").mkdir(parents=True)
    shutil.copy(blank_store, other_folder / "models" / "mlflow.db")
    other = Tracking(None, other_folder, "demo")

    project.log_training(make_record())
    assert other.versions() == []
    other.log_training(make_record(metrics={"auc": 0.5}))
    assert project.versions()[0].metrics["auc"] == 0.81
    assert other.versions()[0].metrics["auc"] == 0.5
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None


def test_a_moved_project_keeps_its_models_and_trains_on(
    project: Tracking, make_record: MakeRecord, tmp_path: Path
) -> None:
    project.log_training(make_record())
    project.promote(1, decision={})
    moved_folder = tmp_path / "elsewhere"
    moved_folder.mkdir()
    shutil.move(tmp_path / "models", moved_folder / "models")
    moved = Tracking(None, moved_folder, "demo")

    assert moved.load().version == 1
    moved.log_training(make_record())
    assert moved.load("candidate").version == 2
    assert [info.metrics["auc"] for info in moved.versions()] == [0.81, 0.81]
    assert not (tmp_path / "models").exists()


def test_a_damaged_store_is_one_clear_error(tmp_path: Path, make_record: MakeRecord) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mlflow.db").write_bytes(b"not a database at all" * 100)
    broken = Tracking(None, tmp_path, "demo")
    for attempt in (broken.versions, broken.load, lambda: broken.log_training(make_record())):
        with pytest.raises(ChurnRiskError, match=r"expected a working model store .* not a database"):
            attempt()


def test_a_locked_store_is_one_clear_error(project: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("churnrisk.tracking.registry._BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(project.workspace / "models" / "mlflow.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ChurnRiskError, match=r"database is locked"):
            project.versions()


@pytest.mark.slow
def test_a_server_that_is_away_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Tracking("http://ada:secret@127.0.0.1:9", tmp_path, "demo")
    with pytest.raises(ChurnRiskError, match="expected a working model store") as failure:
        away.versions()
    assert "secret" not in str(failure.value)


def test_a_relative_sqlite_address_is_meant_from_the_project_folder(
    tmp_path: Path, blank_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(blank_store, tmp_path / "runs.db")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert Tracking("sqlite:///runs.db", tmp_path, "demo").versions() == []
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(("field", "value"), [("model_name", "a/b"), ("experiment", " ")])
def test_names_that_mlflow_would_refuse_are_refused_at_once(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        Tracking(**{"uri": None, "workspace": tmp_path, "experiment": "demo", field: value})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_first_start_and_a_training_print_nothing(tmp_path: Path) -> None:
    script = (
        "import numpy as np, pandas as pd, sys\n"
        "from pathlib import Path\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from churnrisk.tracking import Tracking, TrainingRecord\n"
        "X = pd.DataFrame({'a': [0.0, 1.0, 2.0, 3.0]})\n"
        "record = TrainingRecord(LogisticRegression().fit(X, [0, 1, 0, 1]), X)\n"
        "project = Tracking(None, Path(sys.argv[1]), 'demo')\n"
        "project.log_training(record)\n"
        "assert project.load('candidate').version == 1\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert {path.name for path in (tmp_path / "models").iterdir()} == {
        "mlflow.db",
        "mlflow.db.versions",
        "artifacts",
    }


def test_versions_and_files_are_read_without_mlflow_as_long_as_the_registry_is_the_same(
    project: Tracking, make_record: MakeRecord
) -> None:
    project.log_training(make_record())
    project.promote(1, decision={})
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from churnrisk.tracking import Tracking\n"
        "project = Tracking(None, Path(sys.argv[1]), 'demo')\n"
        "print([(info.version, info.aliases) for info in project.versions()], project.stored().version)\n"
        "assert 'mlflow' not in sys.modules and 'sklearn' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, str(project.workspace)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "[(1, ('candidate', 'champion'))] 1\n"


def test_what_others_change_in_the_registry_is_seen_at_once(
    project: Tracking, make_record: MakeRecord
) -> None:
    for _ in range(2):
        project.log_training(make_record())
    project.promote(1, decision={})
    assert project.stored().version == 1
    with project.opened() as client:
        client.set_registered_model_alias("churn", "champion", "2")
    assert project.stored().version == 2
    mirror = project.workspace / "models" / "mlflow.db.versions"
    mirror.write_bytes(mirror.read_bytes().replace(b'"champion"', b'"candidate"'))
    assert project.stored().version == 2
