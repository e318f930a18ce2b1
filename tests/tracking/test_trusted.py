"""The allow-list decides, whatever a model says about itself."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from churnrisk.errors import ChurnRiskError
from churnrisk.model import ChurnClassifier, RecencyRule
from churnrisk.tracking import Tracking, TrainingRecord, distrusted, load_trusted, trusted_types_of

Panel = tuple[pd.DataFrame, np.ndarray]


@pytest.mark.parametrize(
    ("classifier", "method"),
    [
        (LogisticRegression(), "isotonic"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "sigmoid"),
        (HistGradientBoostingClassifier(max_iter=3, early_stopping=True), "sigmoid"),
        (GradientBoostingClassifier(n_estimators=3), "sigmoid"),
        (RandomForestClassifier(n_estimators=3), "sigmoid"),
        (ExtraTreesClassifier(n_estimators=3), "isotonic"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_calibrated_scikit_learn_classifiers_survive_storage(
    classifier: LogisticRegression, method: str, panel: Panel, tmp_path: Path
) -> None:
    X, y = panel[0][["days_silent"]], panel[1]
    model = CalibratedClassifierCV(FrozenEstimator(classifier.fit(X, y)), method=method).fit(X, y)
    trusted_types_of(model)
    skops.io.dump(model, tmp_path / "model.skops")
    loaded = load_trusted(tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("candidate", ["logistic", "additive", "full"])
def test_our_own_classifier_survives_storage(candidate: str, panel: Panel, tmp_path: Path) -> None:
    X, y = panel
    model = (
        ChurnClassifier(candidates=(candidate,), max_iter=5, monotone={"days_silent": 1})
        .fit(X, y)
        .calibrate(X, y)
    )
    trusted_types_of(model)
    skops.io.dump(model, tmp_path / "model.skops")
    loaded = load_trusted(tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


OLD_HOMES = {
    "additive": ("Binner", "churnrisk.model.binning", "Binner"),
    "linear": ("WrappedEstimator", "churnrisk.model.given", "GivenModel"),
    "encoding": ("LevelRates", "churnrisk.model.rates", "LevelRates"),
    "calibration": ("RecencyRule", "churnrisk.model.recency", "RecencyRule"),
}


def as_stored_before(content: bytes) -> bytes:
    """The skops file with the names that our classes had before they moved."""

    def old(node: dict[str, Any]) -> dict[str, Any]:
        name, module, then = OLD_HOMES.get(str(node.get("__module__")).split(".")[-1], ("", "", ""))
        return node | {"__module__": module, "__class__": then} if node.get("__class__") == name else node

    former = BytesIO()
    with ZipFile(BytesIO(content)) as stored, ZipFile(former, "w") as copy:
        for item in stored.infolist():
            data = stored.read(item)
            if item.filename == "schema.json":
                data = json.dumps(json.loads(data, object_hook=old)).encode()
            copy.writestr(item, data)
    return former.getvalue()


@pytest.mark.parametrize("kind", ["additive", "given", "recency"])
def test_a_model_stored_before_its_classes_moved_still_loads(kind: str, panel: Panel) -> None:
    X, y = panel
    models = {
        "additive": ChurnClassifier(candidates=("additive",), max_iter=5),
        "given": ChurnClassifier(estimator=RandomForestClassifier(n_estimators=3, random_state=0)),
        "recency": RecencyRule("days_silent"),
    }
    model = models[kind].fit(X, y)
    former = as_stored_before(skops.io.dumps(model))
    assert any("churnrisk.model" in name for name in distrusted(skops.io.get_untrusted_types(data=former)))
    np.testing.assert_array_equal(load_trusted(former).predict_proba(X), model.predict_proba(X))


@given(
    st.from_regex(r"(numpy|sklearn|scipy|os|builtins|pandas|churnrisk)(\.[a-z_]{1,8}){1,3}", fullmatch=True)
)
def test_no_name_is_trusted_for_its_prefix(name: str) -> None:
    assert distrusted([name]) == [name]


@pytest.mark.parametrize(
    "name",
    ["churnrisk.model.os", "churnrisk.model.gone.Thing", "churnrisk.modelling.Thing", "churnrisk.model."],
)
def test_only_classes_defined_in_the_model_package_count_as_our_own(name: str) -> None:
    assert distrusted([name]) == [name]


def shouting(X: pd.DataFrame) -> pd.DataFrame:
    return X


def test_a_model_with_a_foreign_function_is_refused_before_a_run_exists(tmp_path: Path, panel: Panel) -> None:
    X, y = panel[0][["days_silent"]], panel[1]
    model = make_pipeline(FunctionTransformer(shouting), LogisticRegression()).fit(X, y)
    with pytest.raises(ChurnRiskError, match="shouting"):
        Tracking(None, tmp_path, "demo").log_training(TrainingRecord(model, X.head()))
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_only_pickle_could_store_is_refused(panel: Panel) -> None:
    model = LogisticRegression().fit(panel[0][["days_silent"]], panel[1])
    model.notes_ = pd.DataFrame({"a": [1]})
    with pytest.raises(ChurnRiskError, match="without pickle"):
        trusted_types_of(model)


def registered_folder(project: Tracking, record: TrainingRecord) -> Path:
    project.log_training(record)
    (model_file,) = (project.workspace / "models" / "artifacts").rglob("model.skops")
    return model_file.parent


def test_a_tampered_model_is_refused_though_its_own_list_trusts_the_type(
    project: Tracking, make_record: Callable[..., TrainingRecord], panel: Panel
) -> None:
    folder = registered_folder(project, make_record())
    X, y = panel[0][["days_silent"]], panel[1]
    skops.io.dump(
        make_pipeline(FunctionTransformer(shouting), LogisticRegression()).fit(X, y), folder / "model.skops"
    )
    description = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(
        description.replace("skops_trusted_types:", f"skops_trusted_types:\n    - {__name__}.shouting")
    )
    with pytest.raises(ChurnRiskError, match=r"does not trust: .*shouting"):
        project.load("candidate")


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.mark,))


def test_a_pickled_model_is_refused_before_it_is_opened(
    project: Tracking, make_record: Callable[..., TrainingRecord], tmp_path: Path
) -> None:
    folder = registered_folder(project, make_record())
    (folder / "model.skops").write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    description = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(
        description.replace("serialization_format: skops", "serialization_format: cloudpickle")
    )
    with pytest.raises(ChurnRiskError, match="found cloudpickle"):
        project.load("candidate")
    (folder / "MLmodel").write_text(description)
    with pytest.raises(ChurnRiskError, match="cannot be read"):
        project.load("candidate")
    assert not (tmp_path / "mark").exists()


def test_a_damaged_document_is_one_clear_error(
    project: Tracking, make_record: Callable[..., TrainingRecord]
) -> None:
    folder = registered_folder(project, make_record())
    (folder / "churnrisk" / "policy.json").write_text("{")
    with pytest.raises(ChurnRiskError, match="damaged"):
        project.load("candidate")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(None, "one that cannot be read"), (b"no array", "cannot be rebuilt with the installed versions")],
    ids=["lost", "garbled"],
)
def test_a_model_file_with_a_spoiled_part_is_one_clear_error(
    spoil: bytes | None, message: str, panel: Panel, tmp_path: Path
) -> None:
    model = LogisticRegression().fit(panel[0][["days_silent"]], panel[1])
    skops.io.dump(model, tmp_path / "whole.skops")
    with ZipFile(tmp_path / "whole.skops") as whole, ZipFile(tmp_path / "spoiled.skops", "w") as spoiled:
        for name in whole.namelist():
            part = whole.read(name) if name == "schema.json" else spoil
            if part is not None:
                spoiled.writestr(name, part)
    with pytest.raises(ChurnRiskError, match=rf"{message}.* Run `churnrisk train` again"):
        load_trusted(tmp_path / "spoiled.skops")
