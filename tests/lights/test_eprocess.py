"""An anytime-valid test of a promise: a bet that nobody expects to win while the promise holds."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from churnrisk.lights import (
    ALPHA,
    LabelWindow,
    Promise,
    e_values,
    promise_in_force,
    separate,
    weigh,
)
from churnrisk.records import Colour

START = datetime(2026, 1, 1)
LIMITS = st.floats(0.005, 0.9)
SIZES = st.integers(1, 400)


def bound(colour, limit):
    return {"at_most": limit, "at_least": None} if colour == "green" else {"at_most": None, "at_least": limit}


def window(day, accounts=400, churned=8, days=30):
    as_of = START + timedelta(days=day)
    return LabelWindow(as_of, days, as_of + timedelta(days=days), accounts, churned)


@pytest.mark.parametrize("colour", ["green", "red"])
@given(limit=LIMITS, accounts=SIZES)
def test_one_window_is_worth_at_most_1_on_average_when_the_promise_just_holds(colour, limit, accounts):
    counts = np.arange(accounts + 1)
    worth = e_values(counts[:, None], np.full((accounts + 1, 1), accounts), **bound(colour, limit))[:, 0]
    assert worth @ binom.pmf(counts, accounts, limit) <= 1.0 + 1e-9


@pytest.mark.parametrize("colour", ["green", "red"])
@given(
    limit=st.floats(0.02, 0.9), spread=st.floats(0, 1), accounts=st.integers(2, 60), seed=st.integers(0, 99)
)
def test_accounts_may_differ_in_their_risk(colour, limit, spread, accounts, seed):
    risk = np.random.default_rng(seed).random(accounts)
    risk = limit + spread * min(limit, 1 - limit) * (risk - risk.mean())
    exact = np.ones(1)  # distribution of the number of churners
    for p in risk:
        exact = np.convolve(exact, [1 - p, p])
    counts = np.arange(accounts + 1)
    worth = e_values(counts[:, None], np.full((accounts + 1, 1), accounts), **bound(colour, limit))[:, 0]
    assert worth @ exact <= 1.0 + 1e-9


@pytest.mark.parametrize(("colour", "limit", "accounts"), [("green", 0.02, 500), ("red", 0.4, 80)])
def test_a_promise_that_just_holds_is_hardly_ever_withdrawn_however_often_one_looks(colour, limit, accounts):
    churned = np.random.default_rng(5).binomial(accounts, limit, size=(4_000, 60))
    worth = e_values(churned, np.full_like(churned, accounts), **bound(colour, limit))
    assert (worth[:, :3].mean(axis=0) < 1.1).all()
    ever = (worth >= 1 / ALPHA).any(axis=1).mean()
    assert ever <= ALPHA
    # a test of 5 % at every look is wrong about one promise in three
    naive = (
        binom.sf(churned - 1, accounts, limit) if colour == "green" else binom.cdf(churned, accounts, limit)
    )
    assert (naive < 0.05).any(axis=1).mean() > 0.3


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=8), LIMITS, st.data()
)
def test_more_churners_speak_against_green_and_for_red(pairs, limit, data):
    accounts = np.array([n for n, _ in pairs])
    churned = np.minimum([k for _, k in pairs], accounts)
    more = churned.copy()
    place = data.draw(st.integers(0, len(pairs) - 1))
    more[place] = data.draw(st.integers(int(churned[place]), int(accounts[place])))
    green, red = (
        [e_values(k, accounts, **bound(colour, limit)) for k in (churned, more)]
        for colour in ("green", "red")
    )
    assert (green[1] >= green[0] * (1 - 1e-9)).all()
    assert (red[1] <= red[0] * (1 + 1e-9)).all()


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=2, max_size=8), LIMITS)
def test_the_order_of_the_windows_does_not_matter(pairs, limit):
    accounts = np.array([n for n, _ in pairs])
    churned = np.minimum([k for _, k in pairs], accounts)
    there = e_values(churned, accounts, at_most=limit, at_least=None)[-1]
    back = e_values(churned[::-1], accounts[::-1], at_most=limit, at_least=None)[-1]
    assert back == pytest.approx(there)


def test_no_single_window_breaks_a_promise_and_two_terrible_ones_do():
    promise = Promise(Colour.GREEN, at_most=0.02)
    terrible = [window(day, accounts=10_000, churned=9_000) for day in (0, 30, 60)]
    assert not weigh(promise, terrible[:1]).is_broken
    found = weigh(promise, terrible)
    assert found.is_broken
    assert (len(found.windows), found.rows, found.churned) == (2, 20_000, 18_000)


def test_nightly_runs_are_counted_once_per_horizon():
    nights = [window(day) for day in range(95)]
    assert [(one.as_of - START).days for one in separate(reversed(nights))] == [0, 30, 60, 90]
    assert weigh(Promise(Colour.GREEN, at_most=0.03), nights).rows == 4 * 400


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 90)), max_size=30))
def test_separate_windows_never_overlap(pairs):
    every = [window(day, days=days) for day, days in pairs]
    chosen = separate(every)
    for one, following in pairwise(chosen):
        assert following.as_of >= one.as_of + timedelta(days=one.horizon_days)
    assert bool(chosen) == bool(every)


def test_a_colour_without_accounts_says_nothing():
    found = weigh(Promise(Colour.RED, at_least=0.4), [window(0, accounts=0, churned=0)])
    assert (found.windows, found.e_value, found.is_broken) == ((), 1.0, False)


def test_a_hundred_years_of_churn_are_still_a_number():
    counts = np.full(1_200, 400)
    assert np.isfinite(e_values(counts, counts, at_most=0.02, at_least=None)).all()


def test_the_next_certified_promise_takes_the_place_of_a_withdrawn_one():
    green = tuple(Promise(Colour.GREEN, at_most=rate) for rate in (0.01, 0.02, 0.04))
    in_force = [promise_in_force(green, set(green[:gone]), colour=Colour.GREEN) for gone in range(4)]
    assert in_force == [*green, Promise(Colour.GREEN)]
    assert in_force[-1].text == ""
