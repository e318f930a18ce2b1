import numpy as np
import pandas as pd
import pytest

from churnrisk.decision import DEFAULT_RULES, Promise, colour_evidence, rule_evidence
from churnrisk.errors import UsageError
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
    assert promise.kept(60, 100) is True
    assert promise.kept(45, 100) is None
    assert promise.kept(10, 100) is False


def test_an_account_counts_once():
    evidence = colour_evidence(["green"] * 8, [0] * 8, ["a"] * 4 + ["b"] * 4)
    assert evidence[0].accounts <= 2


def test_grey_is_listed_when_it_is_there():
    assert [e.colour for e in colour_evidence(["grey", "red"], [0, 1])] == ["green", "amber", "red", "grey"]


def test_rows_without_a_mature_label_are_not_counted():
    assert colour_evidence(["green", "green"], [0, np.nan])[0].accounts == 1


def test_as_many_labels_as_colours_are_needed():
    with pytest.raises(UsageError, match="one label per colour"):
        colour_evidence(["green"], [0, 1])


def test_each_rule_is_measured_by_itself():
    X = pd.DataFrame({"detractor": [1, 1, 0, 1], "silent_30d": [0, 0, 1, 0]})
    found = rule_evidence(X, [1, 0, 1, 1], None, ["green", "green", "green", "red"], DEFAULT_RULES)
    by_name = {e.rule: e for e in found}
    detractor = by_name["stated dissatisfaction"]
    assert (detractor.accounts, detractor.churned, detractor.moved, detractor.moved_churned) == (3, 2, 2, 1)
    assert by_name["30 days of silence"].moved == 1
    assert by_name["open complaint"].note == "not measured: no feature open_complaints"
