"""Figures of survival curves: by hand where few rows, by simulation where many."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from churnrisk.model import censoring_weights, evaluate_survival


def lives(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    rate = np.exp(rng.normal(0, 1, n)) / 200
    return rng.exponential(1 / rate), rate, rng


def test_without_censoring_they_are_the_usual_auc_and_brier_score():
    days, rate, _ = lives()
    at_days = [50.0, 100.0, 200.0]
    curves = np.exp(-rate[:, None] * at_days)
    found = evaluate_survival(days, np.ones(len(days), bool), curves, at_days, np.arange(len(days)), n_boot=5)
    for column, day in enumerate(at_days):
        assert found.auc[column].value == pytest.approx(roc_auc_score(days <= day, -curves[:, column]))
        usual = brier_score_loss(days > day, curves[:, column])
        assert found.brier[column].value == pytest.approx(usual)
    assert found.mean_auc.value == pytest.approx(np.mean([one.value for one in found.auc]))
    heights = [one.value for one in found.brier]
    area = ((heights[0] + heights[1]) / 2 * 50 + (heights[1] + heights[2]) / 2 * 100) / 150
    assert found.integrated_brier.value == pytest.approx(area)


def test_censoring_is_made_up_for():
    days, rate, rng = lives()
    ends = rng.uniform(20, 320, len(days))
    known, lost = np.minimum(days, ends), days <= ends
    at_days = [50.0, 100.0, 200.0]
    curves = np.exp(-rate[:, None] * at_days)
    accounts = np.arange(len(days))
    whole = evaluate_survival(days, np.ones(len(days), bool), curves, at_days, accounts, n_boot=20)
    cut = evaluate_survival(known, lost, curves, at_days, accounts, n_boot=20)
    naive = [brier_score_loss(~(lost & (known <= day)), curves[:, i]) for i, day in enumerate(at_days)]
    for i in range(3):
        assert cut.auc[i].value == pytest.approx(whole.auc[i].value, abs=0.02)
        assert cut.brier[i].value == pytest.approx(whole.brier[i].value, abs=0.012)
    assert abs(naive[2] - whole.brier[2].value) > 0.02, "taking the censored for survivors would not do"
    assert cut.brier[1].low < cut.brier[1].value < cut.brier[1].high


def test_each_row_stands_for_those_that_were_cut_off_before():
    known = np.array([10.0, 20.0, 20.0, 30.0, 30.0])
    lost = np.array([False, True, False, True, False])
    weights = censoring_weights(known, lost, day=30.0)
    # one of five is cut off on day 10, one of four (the loss of day 20 beside it) on day 20
    np.testing.assert_allclose(weights, [0, 1 / 0.8, 0, 1 / (0.8 * 0.75), 1 / (0.8 * 0.75)])
    assert censoring_weights(known, lost, day=20.0)[2] == pytest.approx(1 / 0.8), "known through its last day"


def test_accounts_are_the_units_of_the_intervals():
    days, rate, _ = lives(400)
    curves = np.exp(-rate[:, None] * [100.0])
    everyone = np.ones(len(days), bool)
    once = evaluate_survival(days, everyone, curves, [100.0], np.arange(len(days)))
    four = [np.tile(part, 4) for part in (days, everyone, np.arange(len(days)))]
    repeated = evaluate_survival(four[0], four[1], np.tile(curves, (4, 1)), [100.0], four[2])
    width = repeated.auc[0].high - repeated.auc[0].low
    assert width == pytest.approx(once.auc[0].high - once.auc[0].low, rel=0.2)


def test_a_day_with_nobody_on_one_side_is_refused():
    with pytest.raises(ValueError, match="one kind only"):
        evaluate_survival([10.0, 20.0], [True, True], [[0.1], [0.2]], [5.0], [1, 2])
    with pytest.raises(ValueError, match="a curve per row"):
        evaluate_survival([10.0, 20.0], [True, True], [[0.1, 0.2]], [5.0], [1, 2])
