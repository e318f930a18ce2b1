"""Accounts are the units: the promise of the colours and the bounds, by repeated simulation."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.lights import (
    TrafficLight,
    churn_levels,
    colour_evidence,
    lower_bound,
    tally,
    tally_of,
    upper_bound,
)

pytestmark = pytest.mark.slow

REPETITIONS = 400
# 5 % and three standard errors of a share over 400 repetitions.
TOLERATED = 0.05 + 3 * np.sqrt(0.05 * 0.95 / REPETITIONS)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def rows_of(present, risk, churned, score):
    """The rows of accounts × snapshots where they are present: accounts, scores, labels, true risks."""
    account, snapshot = np.nonzero(present)
    at = account, snapshot
    return account, sigmoid(score[at]), churned[at].astype(int), risk[at]


def independent(rng, accounts):
    z = -2.5 + 1.5 * rng.standard_normal((accounts, 1))
    return rows_of(np.ones_like(z, bool), sigmoid(z), rng.random(z.shape) < sigmoid(z), z)


def frailty(rng, accounts):
    """Four snapshots of accounts that differ much: each either churns in all of its windows or in none."""
    z = np.repeat(-3 + 2.5 * rng.standard_normal((accounts, 1)), 4, axis=1)
    churned = np.repeat(rng.random((accounts, 1)) < sigmoid(z[:, :1]), 4, axis=1)
    return rows_of(np.ones_like(churned), sigmoid(z), churned, z + 0.3 * rng.standard_normal(z.shape))


def contract(snapshots):
    """Churn ends the account's rows, and accounts join at any snapshot."""

    def draw(rng, accounts):
        steps = 0.5 * np.cumsum(rng.standard_normal((accounts, snapshots)), axis=1)
        z = -3 + 1.5 * rng.standard_normal((accounts, 1)) + steps
        joined = np.arange(snapshots) >= rng.integers(1 - snapshots, snapshots, accounts)[:, None]
        churned = joined & (rng.random(z.shape) < sigmoid(z))
        there = joined & (np.cumsum(churned, axis=1) - churned == 0)
        return rows_of(there, sigmoid(z), churned, z)

    return draw


def overlapping(rng, accounts):
    """Five snapshots, each label window covers three steps: one leaving churns up to three rows."""
    z = -4.2 + 1.2 * rng.standard_normal((accounts, 1)) + 0.3 * rng.standard_normal((accounts, 8))
    left = rng.random(z.shape) < sigmoid(z)
    churned = np.stack([left[:, k : k + 3].any(axis=1) for k in range(5)], axis=1)
    there = (np.cumsum(left, axis=1) - left)[:, :5] == 0
    return rows_of(there, churned.astype(float), churned, z[:, :5])


def seldom_twice(rng, accounts):
    """One churned account in twelve churns again: easily missed in a block."""
    z = np.repeat(-2.5 + rng.standard_normal((accounts, 1)), 3, axis=1)
    churned = np.zeros(z.shape, bool)
    leaves, when = rng.random(accounts) < sigmoid(z[:, 0]), rng.integers(0, 3, accounts)
    churned[np.arange(accounts), when] = leaves
    churned[np.arange(accounts), (when + 1) % 3] |= leaves & (rng.random(accounts) < 1 / 12)
    return rows_of(np.ones_like(churned), churned.astype(float), churned, z)


CONTRACT_OF_3, CONTRACT_OF_6 = contract(3), contract(6)
WORLDS = [independent, frailty, CONTRACT_OF_3, CONTRACT_OF_6, overlapping, seldom_twice]
NAMES = ["independent", "frailty", "contract of 3", "contract of 6", "overlapping", "seldom twice"]


@cache
def truth_of(draw):
    return Truth(draw)


class Truth:
    """True churn rates per row below and above any score, from a large draw."""

    def __init__(self, draw, accounts=300_000):
        _, p, _, risk = draw(np.random.default_rng(1), accounts)
        order = np.argsort(p)
        self.p, self.churn = p[order], np.concatenate([[0.0], np.cumsum(risk[order])])
        self.rate = risk.mean()

    def below(self, threshold):
        count = np.searchsorted(self.p, threshold)
        return self.churn[count] / count if count else 0.0

    def from_on(self, threshold):
        count = np.searchsorted(self.p, threshold)
        rest = len(self.p) - count
        return (self.churn[-1] - self.churn[count]) / rest if rest else 1.0


@pytest.mark.parametrize("draw", WORLDS, ids=NAMES)
def test_a_score_without_information_gets_a_colour_in_at_most_five_percent(draw):
    """The hardest case: every threshold has the same rate, just on the wrong side of both promises."""
    rate = truth_of(draw).rate
    rng = np.random.default_rng(20261122)
    green = red = 0
    for _ in range(REPETITIONS):
        account, p, churned, _ = draw(rng, 500)
        light = TrafficLight(green_max_churn=rate * 0.999, red_min_churn=rate * 1.001)
        light.fit(rng.random(len(p)), churned, groups=account)
        green += light.amber_from_ > 0
        red += light.red_from_ <= 1
    assert green / REPETITIONS <= TOLERATED
    assert red / REPETITIONS <= TOLERATED


@pytest.mark.parametrize(
    ("draw", "slope"),
    [(CONTRACT_OF_3, 1.0), (CONTRACT_OF_3, 3.0), (CONTRACT_OF_6, 1.0), (frailty, 1.0), (overlapping, 3.0)],
    ids=["contract", "overconfident, contract", "contract of 6", "frailty", "overconfident, overlapping"],
)
def test_the_promises_break_in_at_most_five_percent_of_repetitions(draw, slope):
    truth = truth_of(draw)
    rng = np.random.default_rng(7)
    broken_green = broken_red = 0
    for _ in range(REPETITIONS):
        account, p, churned, _ = draw(rng, 500)
        light = TrafficLight(green_max_churn=truth.rate / 2, red_min_churn=truth.rate * 2)
        odds = (p / (1 - p)) ** slope
        light.fit(
            odds / (1 + odds),
            churned,
            groups=account,
            calibrate=lambda p: sigmoid(np.log(p / (1 - p)) / slope),
        )
        broken_green += truth.below(light.amber_from_) > light.green_max_churn_
        broken_red += truth.from_on(light.red_from_) < light.red_min_churn_
    assert broken_green / REPETITIONS <= TOLERATED
    assert broken_red / REPETITIONS <= TOLERATED


@pytest.mark.parametrize("draw", WORLDS, ids=NAMES)
def test_the_evidence_bounds_hold_the_true_rate(draw):
    """Each of the two bounds may miss in 2.5 %: exact, or with the spread of exposures counted in."""
    truth = truth_of(draw)
    threshold = truth.p[len(truth.p) // 2]
    rng = np.random.default_rng(3)
    missed = np.zeros(4)
    for _ in range(REPETITIONS):
        account, p, churned, _ = draw(rng, 500)
        green, _, red = colour_evidence(np.where(p < threshold, "green", "red"), churned, account)
        missed += [
            green.churn_high < truth.below(threshold),
            green.churn_low > truth.below(threshold),
            red.churn_high < truth.from_on(threshold),
            red.churn_low > truth.from_on(threshold),
        ]
    assert (missed / REPETITIONS <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / REPETITIONS)).all()


def one_row_per_account(rng, account):
    """Thinning: every account draws one of as many slots as there are snapshots."""
    order = np.arange(len(account)) - np.searchsorted(account, account)
    slots = order.max() + 1
    return rng.integers(0, slots, account.max() + 1)[account] == order


@pytest.mark.parametrize("draw", [CONTRACT_OF_3, CONTRACT_OF_6, overlapping], ids=["3", "6", "overlapping"])
def test_counting_every_row_certifies_more_often_than_one_row_per_account(draw):
    """Of 60 blocks of 1,000 accounts, every row against one row per account.

    =============  ========  ========
    world          green     red
    =============  ========  ========
    contract of 3  60 to 59  60 to 57
    contract of 6  60 to 57  60 to 57
    overlapping    21 to 14  56 to 49
    =============  ========  ========
    """
    rate = truth_of(draw).rate
    rng = np.random.default_rng(11)
    every, thinned = np.zeros(2), np.zeros(2)
    for _ in range(60):
        account, p, churned, _ = draw(rng, 1000)
        promises = {"green_max_churn": rate / 2, "red_min_churn": rate * 2.5}
        light = TrafficLight(**promises).fit(p, churned, groups=account)
        one_each = one_row_per_account(rng, account)
        thin = TrafficLight(**promises).fit(p[one_each], churned[one_each])
        every += [light.amber_from_ > 0, light.red_from_ <= 1]
        thinned += [thin.amber_from_ > 0, thin.red_from_ <= 1]
    assert (every >= thinned).all()
    assert every.sum() > thinned.sum()


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=60),
    st.integers(1, 4),
)
def test_nested_sets_are_counted_as_each_by_itself(rows, sets):
    account, y, enters = np.array(rows, dtype=np.int64).T
    levels = churn_levels(account, y)
    nested = tally(enters, account, y, sets=sets, levels=levels)
    for number in range(sets):
        inside = enters <= number
        counts = np.bincount(account[inside], minlength=7)
        churned = np.bincount(account[inside & (y == 1)], minlength=7)
        alone = tally_of(inside, account, y, levels=levels)
        assert nested.accounts[number] == alone.accounts[0] == (counts > 0).sum()
        assert nested.rows[number] == counts.sum()
        assert nested.rows_squared[number] == (counts**2).sum()
        assert nested.churned_exposure[number] == (counts * churned).sum()
        assert list(nested.churned[:, number]) == [(churned > level).sum() for level in range(levels)]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=80),
    st.sampled_from([0.8, 0.95, 0.975]),
)
def test_the_rate_lies_between_its_bounds(rows, confidence):
    account, y = np.array(rows, dtype=np.int64).T
    found = tally_of(np.ones(len(y), bool), account, y, levels=churn_levels(account, y))
    low, rate, high = found.lower(confidence)[0], found.rate[0], found.upper(confidence)[0]
    assert 0 <= low <= rate + 1e-9
    assert rate - 1e-9 <= high <= 1
    assert rate == pytest.approx(y.mean())


@given(st.integers(1, 300), st.integers(0, 300))
def test_one_row_per_account_gives_the_exact_bounds(accounts, churned):
    y = (np.arange(accounts) < churned).astype(np.int64)
    found = tally_of(np.ones(accounts, bool), np.arange(accounts), y, levels=1)
    assert found.upper(0.95)[0] == pytest.approx(float(upper_bound(y.sum(), accounts, 0.95)))
    assert found.lower(0.95)[0] == pytest.approx(float(lower_bound(y.sum(), accounts, 0.95)))


def test_rows_that_repeat_an_account_add_no_evidence():
    y = (np.arange(100) < 7).astype(np.int64)
    once = tally_of(np.ones(100, bool), np.arange(100), y, levels=1)
    copied = tally_of(np.ones(400, bool), np.repeat(np.arange(100), 4), np.repeat(y, 4), levels=4)
    assert copied.upper(0.95)[0] == pytest.approx(once.upper(0.95)[0])
    assert copied.lower(0.95)[0] == pytest.approx(once.lower(0.95)[0])


def test_the_names_and_the_order_of_accounts_do_not_matter():
    rng = np.random.default_rng(2)
    account, p, churned, _ = contract(4)(rng, 400)
    names, shuffled = np.array([f"customer {a * 7 % 401}" for a in account]), rng.permutation(len(p))
    plain = TrafficLight().fit(p, churned, groups=account)
    other = TrafficLight().fit(p[shuffled], churned[shuffled], groups=names[shuffled])
    assert (plain.amber_from_, plain.red_from_) == (other.amber_from_, other.red_from_)
    assert repr(plain.evidence_) == repr(other.evidence_)


@pytest.mark.parametrize(
    ("account", "y", "levels"),
    [
        (np.arange(60), np.ones(60), 1),
        (np.repeat(np.arange(60), 3), np.tile([0, 0, 1], 60), 1),
        (np.repeat(np.arange(60), 3), np.tile([0, 1, 1], 60), 2),
        (np.repeat(np.arange(20), 3), np.tile([0, 0, 1], 20), 3),
    ],
    ids=["one row each", "many churned once", "churned twice", "too few to tell"],
)
def test_how_often_an_account_can_churn_is_read_from_the_block(account, y, levels):
    assert churn_levels(account, y.astype(np.int64)) == levels


def test_an_empty_set_says_nothing():
    found = tally_of(np.zeros(4, bool), np.arange(4), np.ones(4, dtype=np.int64), levels=1)
    assert (found.lower(0.95)[0], found.upper(0.95)[0]) == (0.0, 1.0)
    assert np.isnan(found.rate[0])
