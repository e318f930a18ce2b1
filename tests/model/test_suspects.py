"""Columns that tell the outcome are named; honest ones, however strong, are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.model import find_suspects
from churnrisk.records import Feature, Suspect

ACCOUNTS = 400
DATES = pd.date_range("2025-01-01", periods=10, freq="30D")


def declared(X: pd.DataFrame, family: str = "attributes") -> list[Feature]:
    return [Feature(str(name), family, "", "", str(name), "") for name in X]  # type: ignore[arg-type]


def suspects(X: pd.DataFrame, y: np.ndarray, **more: object) -> dict[str, Suspect]:
    accounts = X.index.get_level_values("account_id")
    return {one.feature: one for one in find_suspects(X, y, accounts, declared(X), **more)}  # type: ignore[arg-type]


def flat(seed: int = 0, share: float = 0.25) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = [f"a{number}" for number in range(ACCOUNTS)]
    index = pd.MultiIndex.from_arrays([ids, [DATES[0]] * ACCOUNTS], names=["account_id", "as_of"])
    return pd.DataFrame(index=index), rng.random(ACCOUNTS) < share


@pytest.fixture
def leaky() -> tuple[pd.DataFrame, np.ndarray]:
    X, y = flat()
    rng = np.random.default_rng(1)
    few = rng.random(ACCOUNTS)
    X["score"] = 30 * y + rng.normal(10, 5, ACCOUNTS)
    X["health"] = -X["score"]
    X["code in the middle"] = np.where(y, 3, rng.choice([1, 2, 4, 5], ACCOUNTS)).astype(float)
    X["state"] = pd.Categorical(np.where(y, rng.choice(["lost", "closed"], ACCOUNTS), "active"))
    X["reason of some"] = pd.Categorical(np.where(y & (few < 0.3), "price", None))
    X["renewal gone for some"] = np.where(y & (few < 0.4), np.nan, few)
    X["one value of most"] = pd.Categorical(np.where(y & (few < 0.6), "x", rng.choice(["b", "c"], ACCOUNTS)))
    return X, y


def test_whatever_gives_the_outcome_away_is_named_and_left_out(leaky):
    found = suspects(*leaky)
    assert set(found) == set(leaky[0])
    assert all(one.left_out and "vouch for it: trust = [" in one.text for one in found.values())
    assert found["score"].auc.low > 0.95
    assert "AUC 0.9" in found["health"].why or "AUC 1.0" in found["health"].why
    assert "of those who leave have a value, of those who stay 0%" in found["reason of some"].why
    assert "of those who leave have no value" in found["renewal gone for some"].why
    assert "the value x" in found["one value of most"].why


def test_who_vouches_for_a_column_keeps_it(leaky):
    X, y = leaky
    assert set(suspects(X, y, trust=("score", "state"))) == set(X) - {"score", "state"}


def test_a_signal_of_the_catalogue_is_named_and_stays(leaky):
    X, y = leaky
    (found,) = find_suspects(X[["score"]], y, np.arange(len(y)), declared(X[["score"]], "recency"))
    assert not found.left_out
    assert 'exclude = ["score"] under [features]' in found.text


def test_strong_and_honest_columns_are_no_suspects():
    X, y = flat()
    rng = np.random.default_rng(2)
    X["strong"] = y * 1.8 + rng.normal(size=ACCOUNTS)  # AUC 0.9
    X["seldom filled"] = np.where(rng.random(ACCOUNTS) < 0.02, y, np.nan)
    X["every account its own"] = pd.Categorical([f"level {number}" for number in range(ACCOUNTS)])
    X["contract"] = pd.Categorical(
        np.where(rng.random(ACCOUNTS) < np.where(y, 0.9, 0.3), "monthly", "yearly")
    )
    X["rare and lost"] = pd.Categorical(np.where(y & (rng.random(ACCOUNTS) < 0.2), "rare", "usual"))
    X["constant"], X["empty"] = 1.0, np.nan
    assert suspects(X, y) == {}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 0.5, 0.9]))
def test_noise_is_no_suspect(seed: int, share: float):
    X, y = flat(seed, share)
    rng = np.random.default_rng(seed + 1)
    X["number"], X["few"] = rng.normal(size=ACCOUNTS), rng.integers(0, 5, ACCOUNTS).astype(float)
    X["gaps"] = np.where(rng.random(ACCOUNTS) < 0.5, np.nan, X["number"])
    X["many"] = pd.Categorical([f"level {number}" for number in rng.integers(0, 200, ACCOUNTS)])
    assert suspects(X, y) == {}


@pytest.fixture(scope="module")
def history() -> tuple[pd.DataFrame, np.ndarray]:
    """Ten snapshots of accounts of two kinds, one of which leaves six times as often, and what is said of them."""
    rng = np.random.default_rng(3)
    risky = rng.random(4 * ACCOUNTS) < 0.5
    monthly = np.where(risky, 0.12, 0.02)
    began = rng.integers(-30, 6, len(risky))
    left = began + rng.geometric(monthly)
    rows = [(a, t) for t in range(10) for a in np.flatnonzero((began <= t) & (left > t))]
    account, date = (np.array(part) for part in zip(*rows, strict=True))
    gone = left <= 10
    index = pd.MultiIndex.from_arrays([account.astype(str), DATES[date]], names=["account_id", "as_of"])
    X = pd.DataFrame({"tenure_days": 30.0 * (date - began[account])}, index=index)
    X["kind"] = pd.Categorical(np.where(risky, "monthly", "yearly")[account])
    X["country"] = pd.Categorical(rng.choice(["DE", "FR"], len(risky))[account])
    X["state today"] = pd.Categorical(np.where(gone, "former", "active")[account])
    X["reason"] = pd.Categorical(np.where(gone & (rng.random(len(risky)) < 0.3), "price", None)[account])
    X["score today"] = (np.where(gone, 40, 60) + rng.normal(0, 14, len(risky)))[account]
    X["score of a newcomer"] = (np.where(risky, 40, 60) + rng.normal(0, 20, len(risky)))[account]
    X["paid so far"] = ((np.minimum(left, 11) - began) * rng.uniform(90, 110, len(risky)))[account]
    return X, left[account] <= date + 1


def test_values_set_after_the_loss_are_found_although_they_are_dated_back(history):
    X, y = history
    columns = [str(name) for name in X if name != "tenure_days"]
    found = suspects(X, y, lasting=columns)
    assert set(found) == {"state today", "reason", "score today", "paid so far"}
    assert "who is lost after the horizon" in found["score today"].why
    assert "when accounts of the same age leave" in found["paid so far"].why
    # as facts that change with time they would be believed
    assert "score today" not in suspects(X, y)


def test_the_length_of_a_contract_may_tell_when_an_account_leaves():
    rng = np.random.default_rng(5)
    terms = rng.choice([6, 12, 24], 3 * ACCOUNTS)
    began = rng.integers(-24, 6, len(terms))
    # at the end of a term a third of the accounts leave
    left = began + terms * rng.geometric(1 / 3, len(terms))
    rows = [(a, t) for t in range(10) for a in np.flatnonzero((began <= t) & (left > t))]
    account, date = (np.array(part) for part in zip(*rows, strict=True))
    index = pd.MultiIndex.from_arrays([account.astype(str), DATES[date]], names=["account_id", "as_of"])
    X = pd.DataFrame(
        {"tenure_days": 30.0 * (date - began[account]), "term": terms[account] * 1.0}, index=index
    )
    y = left[account] <= date + 1
    assert find_suspects(X, y, account, declared(X[["term"]]), lasting=["term"]) == []
