from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from churnrisk.web.trends import RATE_WIDTH, column_chart, nice_top, rate_mark


def amounts(*given):
    return [(datetime(2026, 1, 5) + timedelta(days=7 * i), amount) for i, amount in enumerate(given)]


def test_without_runs_there_is_no_chart():
    assert column_chart([]) is None


def test_columns_stand_on_the_axis_and_keep_the_scale():
    chart = column_chart(amounts(50.0, 100.0, 0.0))
    half, whole, nothing = chart.columns
    assert half.height * 2 == whole.height
    assert nothing.height == 0
    assert {round(column.y + column.height, 1) for column in chart.columns} == {chart.bottom}
    assert whole.says == "2026-01-12: 100"


def test_of_many_dates_a_few_are_written_and_the_last_among_them():
    chart = column_chart(amounts(*[1.0] * 60))
    assert len(chart.across) <= 8
    assert chart.across[-1].text == "2027-02-22"


@given(st.floats(0, 1e15))
def test_the_axis_ends_at_or_above_the_highest_amount_and_not_far_above(highest):
    top = nice_top(highest)
    assert highest <= top * (1 + 1e-9)
    assert top <= max(4.0, 2.0 * highest)


shares = st.floats(0, 1)


@given(shares, shares, shares, st.one_of(st.none(), shares), st.floats(0.01, 1))
def test_rates_stay_on_their_track(one, two, three, limit, top):
    low, rate, high = sorted((one, two, three))
    mark = rate_mark(rate, low, high, limit, top=top)
    assert 0 <= mark.low_x <= mark.rate_x <= RATE_WIDTH
    assert mark.low_x + mark.width <= RATE_WIDTH + 1
    assert (mark.limit_x is None) == (limit is None)
