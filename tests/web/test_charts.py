from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.web.charts import (
    BAR_WIDTH,
    RANGE_WIDTH,
    Group,
    Occasion,
    bar_rows,
    history_chart,
    range_mark,
    shares,
)


@dataclass(frozen=True)
class Score:
    as_of: datetime
    colour: str
    probability: float | None


def past(*probabilities, colour="amber"):
    start = datetime(2026, 1, 1)
    return [Score(start + timedelta(days=30 * i), colour, p) for i, p in enumerate(probabilities)]


def test_the_longest_bar_fills_the_width_and_the_others_keep_the_scale():
    longest, half = bar_rows([Group("a", (60.0, 40.0)), Group("b", (50.0, 0.0))])
    assert [(piece.x, piece.width) for piece in longest.pieces] == [(0.0, 120.0), (120.0, 80.0)]
    assert [(piece.width, piece.colour) for piece in half.pieces] == [(BAR_WIDTH / 2, "red")]


def test_what_is_little_is_still_seen_and_nothing_is_not():
    _, small = bar_rows([Group("a", (1e9, 0.0)), Group("b", (1.0, 0.0))])
    assert [piece.width for piece in small.pieces] == [1.0]
    (nothing,) = bar_rows([Group("a", (0.0, 0.0))])
    assert nothing.pieces == ()


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


def test_an_account_without_a_past_has_no_chart():
    assert history_chart([]) is None


def test_one_run_is_a_point_without_a_line():
    chart = history_chart(past(0.3))
    assert chart is not None
    assert len(chart.points) == 1
    assert chart.lines == ()


def test_a_run_without_a_probability_interrupts_the_line():
    chart = history_chart(past(0.1, 0.2, None, 0.3, 0.2))
    assert chart is not None
    assert len(chart.lines) == 2
    assert len(chart.points) == 4
    assert len(chart.bands) == 5


def test_higher_risk_is_higher_up_and_later_is_further_right():
    chart = history_chart(past(0.1, 0.6))
    assert chart is not None
    low, high = chart.points
    assert high.y < low.y
    assert high.x > low.x


def test_colours_have_shapes_of_their_own():
    shapes = {
        colour: history_chart(past(0.1, colour=colour)).points[0].shape
        for colour in ("red", "amber", "green")
    }
    assert len({shape.count("L") for shape in shapes.values()}) == 3


def test_occasions_lie_between_the_axes_and_later_ones_widen_the_chart():
    occasions = [
        Occasion(datetime(2026, 1, 15), "complaint", "outage"),
        Occasion(datetime(2026, 4, 1), "review", "contacted by rex"),
    ]
    chart = history_chart(past(0.1, 0.2), occasions)
    assert chart is not None
    assert [mark.says for mark in chart.marks] == ["2026-01-15: outage", "2026-04-01: contacted by rex"]
    assert all(chart.left <= mark.x <= chart.right for mark in chart.marks)


def test_many_runs_get_few_dates_and_the_last_is_among_them():
    chart = history_chart(past(*[0.1] * 52))
    assert chart is not None
    assert len(chart.across) <= 8
    assert chart.across[-1].text == "2030-03-11"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=20))
def test_every_point_lies_within_the_chart(probabilities):
    chart = history_chart(past(*probabilities))
    assert chart is not None
    assert len(chart.points) == sum(p is not None for p in probabilities)
    for point in chart.points:
        assert chart.left <= point.x <= chart.right
        assert chart.top <= point.y <= chart.bottom
