import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from churnrisk.model import ChurnClassifier, FrameEncoder, LevelRates
from churnrisk.tracking import distrusted

WIDE = np.array([True])


def named(n):
    return np.array([f"a{i}" for i in range(n)])


def test_levels_that_differ_keep_their_rate_and_rare_ones_are_pulled_to_the_overall_one():
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.repeat(np.arange(20.0), 200), [20.0, 20.0]])
    truth = np.where(codes % 2 == 0, 0.6, 0.1)
    churned = rng.random(len(codes)) < truth
    churned[-2:] = True
    rates, _ = LevelRates.learn(codes[:, None], churned, WIDE, named(len(codes)))
    found = expit(rates.tables[0])
    assert found[:20] == pytest.approx(np.where(np.arange(20) % 2 == 0, 0.6, 0.1), abs=0.12)
    assert found[20] < 0.85


def test_levels_that_differ_by_chance_alone_get_nearly_the_overall_rate():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 300, 6000).astype(float)
    churned = rng.random(6000) < 0.3
    rates, _ = LevelRates.learn(codes[:, None], churned, WIDE, named(6000))
    assert np.ptp(expit(rates.tables[0])) < 0.15


def test_an_unseen_level_gets_the_overall_rate_and_missing_stays_missing():
    codes = np.repeat(np.arange(12.0), 50)
    churned = np.arange(600) % 3 == 0
    rates, _ = LevelRates.learn(codes[:, None], churned, WIDE, named(600))
    found = rates.apply(np.array([[99.0], [np.nan]]))[:, 0]
    assert expit(found[0]) == pytest.approx(churned.mean(), abs=0.01)
    assert np.isnan(found[1])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), rows_each=st.integers(1, 4))
def test_no_row_is_encoded_with_the_outcome_of_its_own_account(seed, rows_each):
    rng = np.random.default_rng(seed)
    accounts = np.repeat(named(60), rows_each)
    codes = rng.integers(0, 12, len(accounts)).astype(float)[:, None]
    churned = rng.random(len(accounts)) < 0.4
    mine = accounts == "a7"
    other = np.where(mine, ~churned, churned)
    one, two = (LevelRates.learn(codes, y, WIDE, accounts)[1] for y in (churned, other))
    assert np.array_equal(one[mine], two[mine])


def test_a_column_of_many_levels_is_wide_and_one_of_few_is_not():
    X = pd.DataFrame({"city": [f"c{i % 40}" for i in range(400)], "plan": ["a", "b"] * 200})
    encoder = FrameEncoder().fit(X)
    assert encoder.wide_.tolist() == [True, False]
    assert encoder.categorical_.tolist() == [False, True]


@pytest.fixture(scope="module")
def cities():
    rng = np.random.default_rng(3)
    n = 4000
    effect = rng.normal(0, 1.0, 80)
    city = rng.integers(0, 80, n)
    silence = rng.exponential(20, n)
    churned = rng.random(n) < expit(-1.5 + 0.03 * silence + effect[city])
    index = pd.MultiIndex.from_product(
        [named(n), pd.to_datetime(["2024-01-01"])], names=["account_id", "as_of"]
    )
    X = pd.DataFrame({"silence": silence, "city": pd.Categorical([f"city {i}" for i in city])}, index=index)
    # A different city for every account says nothing, however well it tells the learning rows apart.
    return X.assign(street=[f"street {i // 2}" for i in range(n)]), churned.astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("candidate", ["logistic", "additive", "full"])
def test_a_wide_column_is_learned_and_its_share_stays_with_it(cities, candidate):
    X, y = cities
    learn, later = slice(0, 3000), slice(3000, 4000)
    model = ChurnClassifier(candidates=(candidate,), max_iter=60).fit(X[learn], y[learn])
    shares = model.contributions(X[later], calibrated=False)
    total = model.raw_baseline_ + shares.sum(axis=1)
    assert list(shares.columns) == ["silence", "city", "street"]
    assert np.allclose(total, model.raw_log_odds(X[later]), atol=1e-9)
    assert roc_auc_score(y[later], model.predict_proba(X[later])[:, 1]) > 0.7
    assert shares["street"].abs().mean() < 0.25 * shares["city"].abs().mean()


def test_a_stored_model_with_a_wide_column_predicts_the_same(cities):
    X, y = cities
    model = ChurnClassifier(candidates=("logistic",)).fit(X, y)
    stored = skops.io.dumps(model)
    found = skops.io.get_untrusted_types(data=stored)
    assert not distrusted(found)
    assert np.array_equal(skops.io.loads(stored, trusted=found).predict_proba(X), model.predict_proba(X))
