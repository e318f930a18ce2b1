import numpy as np
import pandas as pd
import pytest

from churnrisk.errors import UsageError
from churnrisk.lights import DEFAULT_RULES, Promise, colour_evidence, rule_evidence
from churnrisk.records import Colour


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
