"""What one signal is worth alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from churnrisk.model import univariate_aucs

ROWS = 3_000


@pytest.fixture(scope="module")
def panel() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    accounts = np.array([f"a{i // 3}" for i in range(ROWS)])
    risk = np.repeat(rng.normal(size=ROWS // 3), 3)
    y = (rng.random(ROWS) < 1 / (1 + np.exp(2 - risk))).astype(int)
    X = pd.DataFrame({"risk": risk, "safety": -risk, "noise": rng.normal(size=ROWS), "gaps": risk})
    X.loc[rng.random(ROWS) < 0.4, "gaps"] = np.nan
    X["plan"] = pd.Categorical(np.where(risk > 0.5, "poor", "good"))
    X["many"] = pd.Categorical([f"level {i}" for i in rng.integers(0, 700, ROWS)])
    X["empty"] = np.nan
    return X, y, accounts


@pytest.fixture(scope="module")
def found(panel):
    X, y, accounts = panel
    return dict(univariate_aucs(X, y, accounts, n_boot=200, seed=0))


def test_the_auc_is_scikit_learns(panel, found):
    X, y, _ = panel
    known = X["gaps"].notna()
    assert found["risk"].value == pytest.approx(roc_auc_score(y, X["risk"]))
    assert found["gaps"].value == pytest.approx(roc_auc_score(y[known], X["gaps"][known]))


def test_a_signal_turned_round_has_the_mirrored_auc(found):
    assert found["safety"].value == pytest.approx(1 - found["risk"].value)
    assert found["safety"].low == pytest.approx(1 - found["risk"].high)


def test_noise_is_chance_within_its_interval(found):
    assert found["noise"].low < 0.5 < found["noise"].high


def test_a_name_that_tells_is_worth_something_and_one_of_many_levels_does_not_give_itself_away(found):
    assert found["plan"].low > 0.55
    assert found["many"].low < 0.52


def test_a_column_without_values_has_no_auc(found):
    assert found["empty"] is None


def test_accounts_and_not_rows_are_drawn(panel):
    X, y, accounts = panel
    tripled = pd.concat([X[["risk"]]] * 3, ignore_index=True)
    wide = dict(univariate_aucs(tripled, np.tile(y, 3), np.tile(accounts, 3), n_boot=200, seed=0))["risk"]
    narrow = dict(univariate_aucs(X[["risk"]], y, accounts, n_boot=200, seed=0))["risk"]
    assert wide.high - wide.low == pytest.approx(narrow.high - narrow.low, rel=0.02)


def test_a_name_whose_level_only_one_half_knows_is_ranked_all_the_same():
    X = pd.DataFrame({"plan": pd.Categorical(["a", "b", "c", "d"])})
    ((_, auc),) = univariate_aucs(X, [0, 1, 0, 1], ["1", "2", "3", "4"], n_boot=20, seed=0)
    assert 0 <= auc.value <= 1
