"""The promise of the colours, by repeated simulation against the true rates."""

import json

import numpy as np
import pytest

from churnrisk.errors import ContractError, UsageError
from churnrisk.lights import NO_GREEN, NO_RED, TrafficLight
from churnrisk.records import Colour

REPETITIONS = 400
# 5 % and three standard errors of a share over 400 repetitions.
TOLERATED = 0.05 + 3 * np.sqrt(0.05 * 0.95 / REPETITIONS)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def calibrated(z):
    return sigmoid(z)


def overconfident(z):
    return sigmoid(3 * z + 2)


def underconfident(z):
    return sigmoid(0.3 * z - 3)


def not_monotone(z):
    return sigmoid(np.sin(3 * z) - 0.5 * z)


def worst_in_front(z):
    """The lowest scores belong to the riskiest accounts."""
    return sigmoid(np.where(z > -1, -6.0, z))


class Truth:
    """A population in which the true churn rate below and above any score is known."""

    def __init__(self, score, rng, accounts=400_000):
        z = -2.5 + 1.5 * rng.standard_normal(accounts)
        order = np.argsort(score(z))
        self.p = score(z)[order]
        self.churn = np.concatenate([[0.0], np.cumsum(sigmoid(z)[order])])

    def below(self, threshold):
        count = np.searchsorted(self.p, threshold)
        return self.churn[count] / count if count else 0.0

    def from_on(self, threshold):
        count = np.searchsorted(self.p, threshold)
        rest = len(self.p) - count
        return (self.churn[-1] - self.churn[count]) / rest if rest else 1.0


EXPLICIT = {"green_max_churn": 0.05, "red_min_churn": 0.3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("score", "promises"),
    [
        (calibrated, {}),
        (overconfident, EXPLICIT),
        (underconfident, {}),
        (not_monotone, EXPLICIT),
        (worst_in_front, {}),
    ],
)
def test_the_promises_break_in_at_most_five_percent_of_repetitions(score, promises):
    rng = np.random.default_rng(20261122)
    truth = Truth(score, rng)
    green_broken = red_broken = 0
    for _ in range(REPETITIONS):
        z = -2.5 + 1.5 * rng.standard_normal(1500)
        churned = rng.random(1500) < sigmoid(z)
        light = TrafficLight(**promises).fit(score(z), churned)
        green_broken += truth.below(light.amber_from_) > light.green_max_churn_
        red_broken += truth.from_on(light.red_from_) < light.red_min_churn_
    assert green_broken / REPETITIONS <= TOLERATED
    assert red_broken / REPETITIONS <= TOLERATED


def broken_with_repeated_rows(*, by_account):
    """Share of repetitions that break green's promise when each account gives four equal rows."""
    rng = np.random.default_rng(5)
    truth = Truth(calibrated, rng)
    broken = 0
    for _ in range(REPETITIONS):
        z = -2.5 + 1.5 * rng.standard_normal(400)
        churned = rng.random(400) < sigmoid(z)
        groups = np.repeat(np.arange(400), 4) if by_account else None
        light = TrafficLight(green_max_churn=0.02)
        light.fit(calibrated(np.repeat(z, 4)), np.repeat(churned, 4), groups=groups)
        broken += truth.below(light.amber_from_) > 0.02
    return broken / REPETITIONS


@pytest.mark.slow
def test_repeated_rows_of_an_account_do_not_break_the_promise():
    assert broken_with_repeated_rows(by_account=True) <= TOLERATED


@pytest.mark.slow
def test_counting_repeated_rows_as_independent_would_break_the_promise():
    assert broken_with_repeated_rows(by_account=False) > TOLERATED


@pytest.fixture(scope="module")
def block():
    rng = np.random.default_rng(3)
    z = -2.5 + 1.5 * rng.standard_normal(6000)
    return sigmoid(z), (rng.random(6000) < sigmoid(z)).astype(int)


def test_enough_accounts_give_all_three_colours(block):
    light = TrafficLight().fit(*block)
    assert set(light.predict(block[0])) == {"green", "amber", "red"}
    assert light.notes_ == ()


def test_a_stricter_promise_never_gives_a_larger_green(block):
    strict = TrafficLight(green_max_churn=0.02, red_min_churn=0.5).fit(*block)
    loose = TrafficLight(green_max_churn=0.04, red_min_churn=0.5).fit(*block)
    assert strict.amber_from_ <= loose.amber_from_


def test_a_useless_score_leaves_green_and_red_empty_and_says_so(block):
    p = np.random.default_rng(0).random(6000)
    light = TrafficLight().fit(p, block[1])
    assert (light.amber_from_, light.red_from_) == (NO_GREEN, NO_RED)
    assert set(light.predict(p)) == {"amber"}
    assert light.notes_[0].startswith("green is empty: a churn rate of at most")
    assert light.notes_[1].startswith("red is empty: a churn rate of at least")


def test_too_few_accounts_leave_the_colours_empty():
    light = TrafficLight().fit(np.linspace(0.01, 0.9, 20), [0] * 15 + [1] * 5)
    assert (light.amber_from_, light.red_from_) == (NO_GREEN, NO_RED)


def test_green_and_red_never_overlap():
    rng = np.random.default_rng(1)
    p = rng.random(4000)
    churned = rng.random(4000) < np.where(p < 0.5, 0.01, 0.9)
    light = TrafficLight(green_max_churn=0.45, green_cap=0.45, red_min_churn=0.5).fit(p, churned)
    assert light.amber_from_ <= light.red_from_
    assert list(light.predict([0.01, 0.99])) == ["green", "red"]


def test_a_missing_probability_is_grey(block):
    assert TrafficLight().fit(*block).predict([np.nan]) == [Colour.GREY]


def test_fixed_thresholds_are_half_open():
    light = TrafficLight("fixed", amber_from=0.1, red_from=0.5).fit([0.2, 0.3], [0, 0])
    assert list(light.predict([0.0999, 0.1, 0.4999, 0.5])) == ["green", "amber", "amber", "red"]


def test_a_light_survives_json(block):
    for light in (
        TrafficLight().fit(*block),
        TrafficLight("fixed", amber_from=0.1, red_from=0.5).fit(*block),
    ):
        loaded = TrafficLight.from_dict(json.loads(json.dumps(light.to_dict())))
        assert (loaded.predict(block[0]) == light.predict(block[0])).all()
        assert loaded.promises_ == light.promises_


def test_a_broken_saved_light_is_refused():
    with pytest.raises(UsageError, match="Train again"):
        TrafficLight.from_dict({"params": {}, "fitted": {"amber_from_": 0.1}})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"policy": "guess"}, "expected policy"),
        ({"policy": "fixed"}, "expects 0 <= amber_from <= red_from"),
        ({"policy": "fixed", "amber_from": 0.6, "red_from": 0.5}, "expects 0 <= amber_from <= red_from"),
        ({"amber_from": 0.2}, "finds its thresholds itself"),
        ({"green_max_churn": 5.0}, "not a percentage"),
        ({"green_max_churn": 0.19, "red_min_churn": 0.1}, "green_max_churn < red_min_churn"),
        ({"green_max_churn": 0.9}, "expected green_max_churn <= green_cap, found 0.9 and 0.2"),
        ({"red_min_churn": 0.9}, "expected red_min_churn <= red_cap, found 0.9 and 0.8"),
        ({"green_cap": 0.9}, "0 < green_cap < red_cap < 1"),
        ({"ladder": (2.0, 3.0)}, "strictest first, found"),
        ({"ladder": (2.0, 1.0)}, "above 1"),
        ({"ladder": ()}, "expects factors of the base odds above 1"),
        ({"ladder": (float("nan"),)}, "expects factors of the base odds above 1"),
        ({"ladder": (float("inf"), 2.0)}, "expects factors of the base odds above 1"),
        ({"confidence": 1.0}, "confidence"),
        ({"min_accounts": 0}, "min_accounts"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(params, message, block):
    with pytest.raises(UsageError, match=message):
        TrafficLight(**params).fit(*block)


@pytest.mark.parametrize(
    ("p", "y"), [([0.1, 0.2], [0]), ([], []), ([0.1, 1.2], [0, 1]), ([0.1, 0.2], [0, np.nan])]
)
def test_scores_and_labels_that_do_not_fit_are_refused(p, y):
    with pytest.raises(ContractError, match="the lights expect"):
        TrafficLight().fit(p, y)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"groups": ["a", None]}, "one account id per row, found 2 for 2 rows, 1 missing"),
        ({"groups": ["a"]}, "one account id per row, found 1 for 2 rows"),
        ({"blocks": [1, 2, 3]}, "one as-of date per row, found 3 for 2 rows"),
    ],
)
def test_accounts_and_dates_that_do_not_fit_are_refused(more, message):
    with pytest.raises(ContractError, match=message):
        TrafficLight().fit([0.1, 0.2], [0, 1], **more)


def test_one_class_only_is_refused():
    with pytest.raises(ContractError, match="one kind only"):
        TrafficLight().fit([0.1, 0.2], [0, 0])


def test_a_map_moves_the_thresholds_to_the_probabilities_that_people_see(block):
    p, churned = block

    def smaller(p):
        return p * 0.9

    plain, mapped = TrafficLight().fit(p, churned), TrafficLight().fit(p, churned, calibrate=smaller)
    assert (mapped.predict(smaller(p)) == plain.predict(p)).mean() > 0.95
    assert mapped.red_from_ == pytest.approx(smaller(plain.red_from_), rel=0.2)


def test_a_map_leaves_empty_colours_empty_and_fixed_thresholds_fixed():
    few = TrafficLight().fit([0.1, 0.2], [0, 1], calibrate=np.sqrt)
    assert (few.amber_from_, few.red_from_) == (NO_GREEN, NO_RED)
    fixed = TrafficLight("fixed", amber_from=0.3, red_from=0.4).fit([0.04, 0.25], [0, 1], calibrate=np.sqrt)
    assert (fixed.amber_from_, fixed.red_from_) == (0.3, 0.4)
    assert [e.accounts for e in fixed.evidence_] == [1, 0, 1]
