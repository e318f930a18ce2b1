import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.web.charts import RANGE_WIDTH, range_mark, rate_mark, shares


def test_a_value_beside_the_usual_range_says_on_which_side():
    above = range_mark(353.0, 7.0, 297.0)
    below = range_mark(1.0, 7.0, 297.0)
    assert above is not None
    assert below is not None
    assert (above.says, below.says) == ("above the usual range", "below the usual range")
    assert above.value_x > above.usual_x + above.usual_width
    assert below.value_x < below.usual_x


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(None, 1.0, 2.0), ("basic", 1.0, 2.0), (1.0, None, 2.0), (float("nan"), 1.0, 2.0), (True, 0.0, 1.0)],
)
def test_what_is_no_number_is_not_drawn(value, low, high):
    assert range_mark(value, low, high) is None


finite = st.floats(-1e12, 1e12)


@given(finite, finite, finite)
def test_range_marks_stay_on_their_track(value, one, other):
    mark = range_mark(value, min(one, other), max(one, other))
    assert mark is not None
    for x in (mark.usual_x, mark.value_x):
        assert -0.1 <= x <= RANGE_WIDTH + 0.1


def test_contributions_share_one_scale_and_have_a_side():
    raises, lowers = shares([2.0, -1.0])
    assert (raises.x, raises.width, raises.raises) == (50.0, 48.0, True)
    assert (lowers.x, lowers.width, lowers.raises) == (26.0, 24.0, False)


rates = st.floats(0, 1)


@given(rates, rates, rates, st.one_of(st.none(), rates), st.floats(0.01, 1))
def test_rates_stay_on_their_track(one, two, three, limit, top):
    low, rate, high = sorted((one, two, three))
    mark = rate_mark(rate, low, high, limit, top=top)
    assert 0 <= mark.low_x <= mark.rate_x <= RANGE_WIDTH
    assert mark.low_x + mark.width <= RANGE_WIDTH + 1
    assert (mark.limit_x is None) == (limit is None)
    assert ('class="limit"' in mark.drawn) == (limit is not None)
