import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import ContractError, UsageError
from churnrisk.plots import plot_cost

from .reading import labels

TERMS = {"cost_per_contact": 10.0, "save_rate": 0.5}
ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.01, 0.1, 0.2, 0.35, 0.6, 0.9]), st.integers(1, 2000)),
    min_size=2,
    max_size=25,
).filter(lambda rows: 0 < sum(row[0] for row in rows) < len(rows))


def by_hand(y, called, value, *, cost_per_contact, save_rate):
    """The mean cost, row by row."""
    costs = [
        contacted * cost_per_contact + churned * worth * (1 - save_rate * contacted)
        for churned, contacted, worth in zip(y, called, value, strict=True)
    ]
    return sum(costs) / len(costs)


def star(axes):
    """Where the cheapest threshold is marked."""
    ((x, cost),) = [item.get_xydata()[0] for item in axes.lines if item.get_marker() == "*"]
    return x, cost


@pytest.mark.slow
@given(ROWS, st.booleans(), st.integers(1, 200), st.sampled_from([0.1, 0.5, 1.0]))
def test_every_threshold_costs_what_it_costs_by_hand(rows, weighted, cost_per_contact, save_rate):
    y, p, value = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    terms = {"cost_per_contact": cost_per_contact, "save_rate": save_rate}
    axes = plot_cost(y, p, value=value, weighted=weighted, **terms)
    thresholds, costs = axes.lines[0].get_data()
    score = np.maximum(p * value / np.median(value) if weighted else p, 1e-4)
    assert costs == pytest.approx([by_hand(y, score >= at, value, **terms) for at in thresholds])
    assert set(thresholds[:-1]) == set(score)
    assert costs[-1] == pytest.approx((y * value).mean())
    assert star(axes)[1] == pytest.approx(costs.min())


def test_thresholds_in_use_are_marked_with_what_they_cost():
    y, p = [1, 0, 0, 1], [0.8, 0.4, 0.2, 0.1]
    thresholds = {"amber from": 0.15, "red from": 0.5, "none from": 2.0, "all from": 0.0}
    axes = plot_cost(y, p, value=100, thresholds=thresholds, **TERMS)
    # 200 are lost when nobody is contacted, a contact of the first or of the last account keeps 50
    assert {
        "amber from 15.0%, 45.00",
        "red from 50.0%, 40.00",
        "none from 200.0%, 50.00",
        "all from 0.0%, 35.00",
    } <= set(labels(axes))
    assert star(axes) == (pytest.approx(0.1), pytest.approx(35.0))


def test_an_account_of_unknown_value_counts_as_a_typical_one():
    y, p = [1, 0, 0, 1], [0.8, 0.4, 0.2, 0.1]
    missing = plot_cost(y, p, value=[np.nan, 100, 300, 200], **TERMS).lines[0].get_ydata()
    assert missing == pytest.approx(plot_cost(y, p, value=[200, 100, 300, 200], **TERMS).lines[0].get_ydata())


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"cost_per_contact": 0.0, "save_rate": 0.5, "value": 1}, "cost_per_contact=0.0"),
        ({"cost_per_contact": 1.0, "save_rate": 1.5, "value": 1}, "save_rate=1.5"),
        ({**TERMS, "value": [np.nan, np.nan]}, "annual value of at least one account"),
    ],
)
def test_terms_that_make_no_sense_are_refused(terms, message):
    with pytest.raises(UsageError, match=message):
        plot_cost([1, 0], [0.5, 0.2], **terms)


def test_values_of_other_rows_are_told():
    with pytest.raises(ContractError, match="one annual value per row"):
        plot_cost([1, 0], [0.5, 0.2], value=[1, 2, 3], **TERMS)
