import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from churnrisk.errors import UsageError
from churnrisk.lights import (
    DEFAULT_RULES,
    Promise,
    Rule,
    colour_evidence,
    efficiency,
    light_verdict,
    rule_evidence,
)
from churnrisk.records import Colour, Interval


def test_each_colour_is_counted_with_exact_bounds():
    colours = ["green"] * 100 + ["red"] * 10
    churned = [0] * 99 + [1] + [1] * 6 + [0] * 4
    green, amber, red = colour_evidence(colours, churned)
    assert (green.accounts, green.churned, green.churn_rate) == (100, 1, 0.01)
    # Clopper-Pearson for 1 of 100, as in printed tables.
    assert (green.churn_low, green.churn_high) == pytest.approx((0.000253, 0.054459), abs=1e-6)
    assert (amber.accounts, amber.churn_low, amber.churn_high) == (0, 0.0, 1.0)
    assert np.isnan(amber.churn_rate)
    assert (red.accounts, red.churned) == (10, 6)


@pytest.mark.parametrize(("churned", "kept"), [(0, True), (2, True), (3, None), (20, False)])
def test_a_promise_is_kept_broken_or_undecided(churned, kept):
    colours, labels = ["green"] * 100, [1] * churned + [0] * (100 - churned)
    green = colour_evidence(colours, labels, promises=[Promise(Colour.GREEN, at_most=0.02)])[0]
    assert green.kept is kept
    assert green.promise == "churn of at most 2.00%"


def test_red_promises_at_least():
    promise = Promise(Colour.RED, at_least=0.5)
    assert promise.kept(0.6, 0.5, 0.7) is True
    assert promise.kept(0.45, 0.36, 0.54) is None
    assert promise.kept(0.1, 0.05, 0.17) is False
    assert promise.kept(float("nan"), 0.0, 1.0) is None


def test_rows_and_accounts_are_counted_apart():
    accounts = np.repeat(np.arange(100), 3)
    churned = (np.arange(300) % 3 == 2) & (accounts < 40)
    green = colour_evidence(["green"] * 300, churned, accounts)[0]
    assert (green.rows, green.accounts, green.churned) == (300, 100, 40)
    assert green.churn_rate == pytest.approx(40 / 300)
    # Nobody churns twice: the exact bounds of 40 of 100, over 3 rows each.
    assert (green.churn_low, green.churn_high) == pytest.approx((0.303295 / 3, 0.502791 / 3), abs=1e-6)


def test_an_account_in_two_colours_counts_in_both():
    green, _, red = colour_evidence(["green", "red"] * 50, [0, 1] * 50, np.repeat(np.arange(50), 2))
    assert (green.accounts, green.churned, red.accounts, red.churned) == (50, 0, 50, 50)


def test_grey_is_listed_when_it_is_there():
    assert [e.colour for e in colour_evidence(["grey", "red"], [0, 1])] == ["green", "amber", "red", "grey"]


def test_rows_without_a_mature_label_are_not_counted():
    assert colour_evidence(["green", "green"], [0, np.nan])[0].accounts == 1


def test_as_many_labels_as_colours_are_needed():
    with pytest.raises(UsageError, match="one label per colour"):
        colour_evidence(["green"], [0, 1])


def test_each_rule_is_measured_by_itself():
    X = pd.DataFrame({"detractor": [1, 1, 0, 1], "silent_30d": [0, 0, 1, 0], "active_days_365": 1})
    found = rule_evidence(X, [1, 0, 1, 1], None, ["green", "green", "green", "red"], DEFAULT_RULES)
    by_name = {e.rule: e for e in found}
    detractor = by_name["stated dissatisfaction"]
    assert (detractor.accounts, detractor.churned, detractor.moved, detractor.moved_churned) == (3, 2, 2, 1)
    assert by_name["30 days of silence"].moved == 1
    assert by_name["open complaint"].note == "not measured: no feature open_complaints"


def test_the_accounts_a_rule_moves_are_counted_once():
    X = pd.DataFrame({"detractor": [1, 1, 1]})
    found = rule_evidence(X, [0, 1, 0], ["a", "a", "b"], ["green"] * 3, DEFAULT_RULES)
    detractor = next(e for e in found if e.rule == "stated dissatisfaction")
    assert (detractor.rows, detractor.accounts, detractor.moved, detractor.moved_churned) == (3, 2, 2, 1)


def test_shares_and_recalls_of_the_colours_add_up():
    green, amber, red = colour_evidence(["green"] * 6 + ["red"] * 4, [0, 0, 0, 0, 0, 1, 1, 1, 1, 0])
    assert (green.share, amber.share, red.share) == (0.6, 0.0, 0.4)
    assert (green.recall, amber.recall, red.recall) == (0.25, 0.0, 0.75)
    assert np.isnan(colour_evidence(["green"], [0])[0].recall)
    # An account that churns at both of its snapshots is one account and two churned rows.
    green, _, red = colour_evidence(["green", "red", "red"], [1, 1, 1], ["a", "b", "b"])
    assert (red.churned, red.churned_rows, red.recall) == (1, 2, 2 / 3)
    assert green.recall + red.recall == 1.0


def world(rows, *, intercept=-1.0, slope=1.5, seed=0):
    """Probabilities that are true, and what happened."""
    rng = np.random.default_rng(seed)
    p = expit(intercept + slope * rng.normal(size=rows))
    return p, (rng.random(rows) < p).astype(int)


def cut(p, *edges):
    return np.array(["green", "amber", "red"], dtype=object)[np.searchsorted(edges, p)]


def test_efficiency_is_the_ratio_of_the_mutual_informations():
    # Twenty probabilities of 1,000 rows each, churning exactly as often: the bins are these, without any noise.
    rates = np.arange(20) / 20
    p, y = (
        np.repeat(rates, 1000),
        np.concatenate([np.arange(1000) < 1000 * rate for rate in rates]).astype(int),
    )
    colours = np.where(p < 0.5, "green", "red")

    def entropy(rate):
        inside = (rate > 0) & (rate < 1)
        rate = np.where(inside, rate, 0.5)
        return np.where(inside, -rate * np.log(rate) - (1 - rate) * np.log(1 - rate), 0.0)

    whole = entropy(np.array(rates.mean()))
    told = whole - entropy(rates).mean()
    passed_on = whole - entropy(np.array([rates[:10].mean(), rates[10:].mean()])).mean()
    assert efficiency(colours, p, y) == pytest.approx(passed_on / told, abs=0.003)


@given(st.integers(0, 10_000), st.floats(-4.0, 1.0), st.floats(1.0, 4.0))
@settings(max_examples=25, deadline=None)
def test_colours_tell_no_more_than_the_probability_and_one_colour_nothing(seed, intercept, slope):
    p, y = world(4000, intercept=intercept, slope=slope, seed=seed)
    low, high = np.quantile(p, [0.5, 0.9])
    found = efficiency(cut(p, low, high), p, y)
    assert 0.0 < found < 1.1  # above 1 by chance only
    assert efficiency(np.full(len(p), "amber", dtype=object), p, y) == 0.0
    # Neither the order of the rows nor a calibration of the probability matters.
    order = np.random.default_rng(seed).permutation(len(p))
    assert efficiency(cut(p, low, high)[order], np.sqrt(p[order]), y[order]) == pytest.approx(found)


def test_colours_that_know_nothing_have_next_to_no_efficiency():
    p, y = world(5000)
    colours = np.random.default_rng(1).choice(["green", "amber", "red"], size=len(p))
    assert abs(efficiency(colours, p, y)) < 0.02


@pytest.mark.parametrize("rows", [500, 2000])
def test_small_blocks_do_not_make_a_light_look_worse_than_it_is(rows):
    cuts = (0.15, 0.5)
    p, y = world(400_000)
    truth = efficiency(cut(p, *cuts), p, y)
    found = [efficiency(cut(p, *cuts), p, y) for p, y in (world(rows, seed=seed) for seed in range(100))]
    assert np.median(found) == pytest.approx(truth, abs=0.06)


def test_where_the_probability_tells_nothing_there_is_nothing_to_pass_on():
    rng = np.random.default_rng(3)
    found = [efficiency(cut(p, 0.3, 0.7), p, rng.integers(0, 2, 1000)) for p in rng.random((40, 1000))]
    assert np.isnan(found).mean() >= 0.85  # a test at 5 %
    same = np.full(100, 0.3)
    assert np.isnan(efficiency(["green"] * 100, same, [0, 1] * 50))
    assert np.isnan(efficiency([], [], []))


def test_grey_rows_and_rows_without_a_label_are_left_out():
    p, y = world(2000)
    colours, known = cut(p, 0.2, 0.6), np.arange(2000) % 3 > 0
    grey = np.where(known, colours, "grey")
    assert efficiency(grey, np.where(known, p, np.nan), y) == efficiency(colours[known], p[known], y[known])
    assert efficiency(colours, p, np.where(known, y, np.nan)) == efficiency(
        colours[known], p[known], y[known]
    )


def test_a_rule_that_moves_the_wrong_accounts_lowers_the_efficiency_and_says_so():
    p, y = world(4000, intercept=-2.0, slope=2.0)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"noise": (rng.random(4000) < 0.3) * 1.0, "left": y * (rng.random(4000) < 0.5) * 1.0})
    rules = (
        Rule("noise", "noise >= 1", "red"),
        Rule("knows more", "left >= 1", "red"),
        Rule("never", "noise >= 9", "red"),
    )
    noise, knows, never = rule_evidence(X, y, None, cut(p, 0.1, 0.5), rules, p)
    assert noise.efficiency_change < -0.2
    assert noise.misplaced
    assert knows.efficiency_change > 0.1
    assert not knows.misplaced
    assert (never.efficiency_change, never.misplaced, never.moved) == (0.0, False, 0)
    assert np.isnan(rule_evidence(X, y, None, cut(p, 0.1, 0.5), rules)[0].efficiency_change)


def judge(colours, efficiency, auc=(0.8, 0.75, 0.85), advice=(), promises=()):
    churned = [colour == "red" or (colour != "green" and place % 2) for place, colour in enumerate(colours)]
    evidence, auc = colour_evidence(colours, churned, promises=promises), Interval(*auc)
    return light_verdict(evidence, auc=auc, efficiency=efficiency, model_efficiency=efficiency, advice=advice)


def judged(*found, **more):
    return judge(*found, **more).verdict


def test_a_light_that_is_not_useful_always_says_what_would_help():
    three = ["green", "green", "amber", "amber", "red", "red"]
    assert judge(three, 0.8).advice == ()
    assert judge(three, 0.5, advice=["more history"]).advice == ("more history",)
    (advice,) = judge(["amber"] * 4, 0.0).advice
    assert advice.startswith("amber holds 100% of all rows: more accounts")


def test_the_verdict_asks_for_efficiency_both_colours_and_a_model_that_knows_something():
    three = ["green", "green", "amber", "amber", "red", "red"]
    assert judged(three, 0.8) == "useful"
    assert judged(three, 0.59) == "weak"
    assert judged(three, 0.24) == "useless"
    assert judged(["green", "green", "amber", "amber"], 0.8) == "weak"
    assert judged(["amber", "amber", "red", "red"], 0.8) == "weak"
    assert judged(three, 0.8, auc=(0.52, 0.48, 0.56)) == "useless"
    # Too few rows to measure it: not useful, and useless where everybody has one colour.
    assert judged(three, float("nan")) == "weak"
    assert judged(["amber", "amber", "grey", "grey"], float("nan")) == "useless"


def test_colours_upside_down_are_useless_and_a_broken_promise_is_weak_and_named():
    evidence = colour_evidence(["green"] * 50 + ["red"] * 50, [1] * 50 + [0] * 50)
    found = light_verdict(evidence, auc=Interval(0.8, 0.75, 0.85), efficiency=0.9, model_efficiency=0.9)
    assert found.verdict == "useless"
    broken = judge(["green"] * 50 + ["red"] * 50, 0.9, promises=[Promise(Colour.RED, at_most=0.5)])
    assert broken.verdict == "weak"
    assert broken.advice[0].startswith("red breaks its promise on the test block: churn 100.0%")
