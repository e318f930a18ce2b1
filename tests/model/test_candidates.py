"""A further model candidate takes a candidate object and an entry of the registry, nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from churnrisk.errors import ContractError, UsageError
from churnrisk.model import CANDIDATES, Candidate, ChurnClassifier, SklearnClassifier, WrappedEstimator
from churnrisk.settings import ModelConfig
from churnrisk.tracking import load_trusted, trusted_types_of


@pytest.fixture(scope="module")
def panel():
    """Churn depends on whether two numbers have the same sign, which no additive model can learn."""
    rng = np.random.default_rng(0)
    accounts, dates = [f"a{i}" for i in range(250)], pd.date_range("2026-01-01", periods=5, freq="30D")
    index = pd.MultiIndex.from_product([accounts, dates], names=["account_id", "as_of"])
    X = pd.DataFrame(rng.normal(size=(len(index), 2)), columns=["logins", "seats"], index=index)
    same = (X["logins"] > 0) == (X["seats"] > 0)
    return X, (rng.random(len(X)) < np.where(same, 0.9, 0.05)).astype(int)


class Forest(Candidate):
    """The first of the two places: what is tried, and how it is built."""

    settings = ({"n_estimators": 30}, {"n_estimators": 60})

    def build(self, setting, task):
        return WrappedEstimator(
            estimator=RandomForestClassifier(random_state=task.seed, **setting), names=task.names
        )


def test_a_candidate_of_the_registry_is_cross_validated_and_chosen(panel, monkeypatch):
    X, y = panel
    monkeypatch.setitem(CANDIDATES, "forest", Forest())  # the second place
    model = ChurnClassifier(candidates=("additive", "forest"), max_iter=20, n_models=1).fit(X, y)
    tried = [(result["candidate"], result["setting"].get("n_estimators")) for result in model.cv_results_]
    assert ("forest", 30) in tried
    assert model.chosen_ == "forest"
    assert "forest beats additive" in model.why_chosen_
    assert isinstance(model.model_.fitted_, RandomForestClassifier)
    total = model.raw_baseline_ + model.contributions(X, calibrated=False).sum(axis=1)
    assert np.allclose(total, model.raw_log_odds(X))


def test_any_scikit_learn_classifier_is_a_candidate_with_settings_of_its_own(panel, monkeypatch):
    X, y = panel
    settings = ({"n_estimators": 20, "min_samples_leaf": 5},)
    extra = SklearnClassifier("sklearn.ensemble.ExtraTreesClassifier", settings)
    monkeypatch.setitem(CANDIDATES, "extra trees", extra)
    model = ChurnClassifier(candidates=("logistic", "extra trees")).fit(X, y)
    assert model.chosen_ == "extra trees"
    assert model.model_.fitted_.get_params()["min_samples_leaf"] == 5


def test_a_dotted_name_needs_no_registry_and_survives_storage(panel, tmp_path):
    import skops.io

    X, y = panel
    model = ChurnClassifier(candidates=("sklearn.ensemble.ExtraTreesClassifier",))
    model.fit_and_calibrate(X, y, X.index.get_level_values("as_of") >= "2026-04-01")
    assert isinstance(model.model_.fitted_, ExtraTreesClassifier)
    trusted_types_of(model)
    skops.io.dump(model, tmp_path / "model.skops")
    assert np.array_equal(load_trusted(tmp_path / "model.skops").predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "name", ["sklearn.ensemble.NoSuchForest", "sklearn.linear_model.Ridge", "sklearn.nowhere.Thing", "forest"]
)
def test_a_name_of_no_classifier_is_refused_with_what_is_known(panel, name):
    with pytest.raises(
        ContractError, match=r"'logistic', 'additive', 'full'.*found .*" + name.split(".")[-1]
    ):
        ChurnClassifier(candidates=(name,)).fit(*panel)


def test_the_settings_take_registered_and_dotted_names(monkeypatch):
    with pytest.raises(UsageError, match=r"\[model\] candidates: .*'additive'.*found \['forest'\]"):
        ModelConfig(candidates=("forest",))
    monkeypatch.setitem(CANDIDATES, "forest", Forest())
    dotted = "sklearn.neighbors.KNeighborsClassifier"
    assert ModelConfig(candidates=("forest", dotted)).candidates == ("forest", dotted)
