import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from churnrisk.errors import ContractError
from churnrisk.model import RecencyRule, evaluate

from .conftest import make_panel

WEIGHTY = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=4, max_size=60)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=WEIGHTY)
def test_figures_equal_those_of_scikit_learn_with_ties(rows):
    y = np.array([churned for churned, _ in rows])
    p = np.array([(score + 0.5) / 10 for _, score in rows])
    if y.all() or not y.any():
        return
    found = evaluate(y, p, np.arange(len(y)), n_boot=3).figures["model"]
    assert found["auc"].value == pytest.approx(roc_auc_score(y, p))
    assert found["average_precision"].value == pytest.approx(average_precision_score(y, p))
    assert found["log_loss"].value == pytest.approx(log_loss(y, p))
    assert found["brier"].value == pytest.approx(brier_score_loss(y, p))


@pytest.fixture(scope="module")
def scored():
    X, y, z = make_panel(accounts=300, dates=4)
    return X, y, 1 / (1 + np.exp(-z))


def test_true_probabilities_beat_recency_and_are_calibrated(scored):
    X, y, p = scored
    account = X.index.get_level_values("account_id")
    rule = RecencyRule().fit(X, y)
    found = evaluate(y, p, account, baselines={"recency rule": rule.predict_proba(X)[:, 1]}, seed=1)
    assert found.beats("recency rule")
    assert found.beats("recency rule", "log_loss")
    assert found.figures["model"]["calibration_error"].value < 0.05
    assert found.figures["base rate"]["auc"].value == pytest.approx(0.5)
    assert found.figures["base rate"]["lift_top_10"].value == pytest.approx(1.0)


def test_a_model_does_not_beat_itself(scored):
    X, y, p = scored
    found = evaluate(y, p, X.index.get_level_values(0), baselines={"champion": p})
    assert found.differences["champion"]["auc"].low == 0 == found.differences["champion"]["auc"].high
    assert not found.beats("champion")


def test_intervals_widen_when_the_rows_of_an_account_repeat(scored):
    _, y, p = scored
    alone = evaluate(np.tile(y, 4), np.tile(p, 4), np.arange(4 * len(y)), n_boot=200)
    together = evaluate(np.tile(y, 4), np.tile(p, 4), np.tile(np.arange(len(y)), 4), n_boot=200)
    width = [e.figures["model"]["auc"].high - e.figures["model"]["auc"].low for e in (alone, together)]
    assert width[1] > 1.5 * width[0]


def test_ranks_outside_zero_and_one_get_no_proper_scores(scored):
    X, y, p = scored
    found = evaluate(y, p, X.index.get_level_values(0), baselines={"days": X["days_since_last_event"]})
    assert set(found.figures["days"]) == {"auc", "average_precision", "lift_top_10", "recall_at_capacity"}


def test_recall_at_capacity_counts_the_top_rows():
    y = np.array([1, 0, 1, 0, 0, 0, 1, 0])
    found = evaluate(y, np.linspace(0.9, 0.1, 8), np.arange(8), capacity=3, n_boot=5)
    assert found.figures["model"]["recall_at_capacity"].value == pytest.approx(2 / 3)


def test_an_evaluation_becomes_json(scored):
    X, y, p = scored
    found = evaluate(y, p, X.index.get_level_values(0), n_boot=20)
    assert json.loads(json.dumps(found.to_dict()))["figures"]["model"]["auc"]["value"] > 0.6


def test_a_block_of_one_class_is_refused():
    with pytest.raises(ContractError, match="both churned and retained"):
        evaluate(np.zeros(5), np.full(5, 0.1), np.arange(5))


def test_never_active_ranks_worst_in_the_recency_rule(scored):
    X, y, _ = scored
    rule = RecencyRule().fit(X, y)
    rows = pd.DataFrame({"days_since_last_event": [1.0, 90.0, np.nan]})
    assert (np.diff(rule.predict_proba(rows)[:, 1]) > 0).all()


def test_without_the_column_there_is_no_recency_rule(scored):
    X, y, _ = scored
    bare = X.drop(columns="days_since_last_event")
    assert not RecencyRule.applies_to(bare)
    with pytest.raises(ContractError, match="no recency rule to compare with"):
        RecencyRule().fit(bare, y)
