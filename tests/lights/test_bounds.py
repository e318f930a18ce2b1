import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from churnrisk.lights import lower_bound, upper_bound


@given(st.integers(1, 300), st.integers(0, 300), st.sampled_from([0.9, 0.95, 0.975]))
def test_the_upper_bound_is_where_so_few_churners_become_unlikely(accounts, churned, confidence):
    churned = min(churned, accounts)
    bound = float(upper_bound(churned, accounts, confidence))
    if churned == accounts:
        assert bound == 1
    else:
        assert binom.cdf(churned, accounts, bound) == pytest.approx(1 - confidence)


@given(st.integers(1, 300), st.integers(0, 300))
def test_the_rate_lies_between_its_bounds(accounts, churned):
    churned = min(churned, accounts)
    assert lower_bound(churned, accounts, 0.95) <= churned / accounts <= upper_bound(churned, accounts, 0.95)


def test_nothing_counted_says_nothing():
    assert (float(lower_bound(0, 0, 0.95)), float(upper_bound(0, 0, 0.95))) == (0.0, 1.0)


def test_bounds_are_taken_over_arrays():
    assert np.all(np.diff(upper_bound([0, 1, 2], 50, 0.95)) > 0)
