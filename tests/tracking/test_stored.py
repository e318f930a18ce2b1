"""The documents of a stored model become typed values, once and in one place."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib.metadata import version as installed

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.features import CATALOGUE
from churnrisk.lights import DEFAULT_RULES, TrafficLight
from churnrisk.model import ReasonProfile
from churnrisk.tracking import StoredModel

LIGHT = TrafficLight(policy="fixed", amber_from=0.1, red_from=0.3).fit(
    np.array([0.05, 0.2, 0.4]), np.array([0, 0, 1])
)
PROFILE = ReasonProfile({"mrr": 1.0}, {"mrr": 2.0}, {"mrr": 3.0})


@pytest.fixture(scope="module")
def stored() -> StoredModel:
    documents = {
        "policy.json": {"light": LIGHT.to_dict(), "rules": [asdict(rule) for rule in DEFAULT_RULES]},
        "profile.json": PROFILE.to_dict(),
        "features.json": [asdict(feature) for feature in CATALOGUE[:3]],
    }
    return StoredModel(
        model=skops.io.dumps(LogisticRegression().fit([[0.0], [1.0]], [0, 1])),
        documents=json.loads(json.dumps(documents)),
        texts={},
        versions={"scikit-learn": installed("scikit-learn")},
        version=1,
        run_id="",
        tags={},
    )


def test_thresholds_rules_profile_and_features_come_back_as_they_were(stored: StoredModel) -> None:
    model = stored.built()
    assert model.thresholds.to_dict() == LIGHT.to_dict()
    assert model.rules == tuple(DEFAULT_RULES)
    assert model.profile == PROFILE
    assert model.features == CATALOGUE[:3]
    assert model.columns == [feature.name for feature in CATALOGUE[:3]]


def test_a_classifier_without_thresholds_says_so_when_colours_are_needed(stored: StoredModel) -> None:
    model = replace(stored, documents={"policy.json": {}}).built()
    assert (model.light, model.rules, model.features) == (None, (), ())
    with pytest.raises(UsageError, match="stored without thresholds"):
        model.predict([[1.0]])


@pytest.mark.parametrize("name", ["policy.json", "profile.json", "features.json"])
def test_documents_of_something_else_are_one_clear_error(stored: StoredModel, name: str) -> None:
    other = {"policy.json": stored.documents["policy.json"] | {"rules": [{"rule": 1}]}}.get(name, [{}])
    with pytest.raises(ChurnRiskError, match="found documents that are not"):
        replace(stored, documents={**stored.documents, name: other}).built()
