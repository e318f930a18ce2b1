"""Charts of the pages: nothing leaves its frame, and everything drawn is said in words too."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.web import (
    RANGE_WIDTH,
    Occasion,
    column_chart,
    history_chart,
    history_rows,
    nice_top,
    range_mark,
    rate_mark,
    shares,
)


def shape_of(kind, mark):
    """The shape of one class in a mark."""
    tree = ElementTree.fromstring(str(getattr(mark, "drawn", mark)))
    (found,) = [one for one in tree.iter() if one.get("class") == kind]
    return found


def x_of(kind, mark):
    shape = shape_of(kind, mark)
    return float(shape.get("x") or shape.get("d").removeprefix("M").split()[0])


def width_of(kind, mark):
    return float(shape_of(kind, mark).get("width"))


def test_a_value_beside_the_usual_range_says_on_which_side():
    above = range_mark(353.0, 7.0, 297.0)
    below = range_mark(1.0, 7.0, 297.0)
    assert above is not None
    assert below is not None
    assert (above.says, below.says) == ("above the usual range", "below the usual range")
    assert x_of("here", above) > x_of("usual", above) + width_of("usual", above)
    assert x_of("here", below) < x_of("usual", below)


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
    for kind in ("usual", "here"):
        assert -0.1 <= x_of(kind, mark) <= RANGE_WIDTH + 0.1


def test_contributions_share_one_scale_and_have_a_side():
    raises, lowers = shares([2.0, -1.0])
    assert (x_of("raises", raises), width_of("raises", raises), raises.says) == (
        50.0,
        48.0,
        "speaks for churn",
    )
    assert (x_of("lowers", lowers), width_of("lowers", lowers), lowers.says) == (26.0, 24.0, "speaks against")


rates = st.floats(0, 1)


@given(rates, rates, rates, st.one_of(st.none(), rates), st.floats(0.01, 1))
def test_rates_stay_on_their_track(one, two, three, limit, top):
    low, rate, high = sorted((one, two, three))
    mark = rate_mark(rate, low, high, limit, top=top)
    assert 0 <= x_of("bounds", mark) <= x_of("here", mark) <= RANGE_WIDTH
    assert x_of("bounds", mark) + width_of("bounds", mark) <= RANGE_WIDTH + 1
    assert ('class="limit"' in mark) == (limit is not None)


def amounts(*given):
    return [(datetime(2026, 1, 5) + timedelta(days=7 * i), amount) for i, amount in enumerate(given)]


def columns(chart):
    tree = ElementTree.fromstring(str(chart))
    return [one for one in tree.iter("rect") if one.get("class") == "column"]


def test_without_runs_there_is_no_chart():
    assert column_chart([], "Events") is None


def test_columns_stand_on_the_axis_and_keep_the_scale():
    drawn = columns(column_chart(amounts(50.0, 100.0, 0.0), "Events"))
    half, whole, nothing = (float(one.get("height")) for one in drawn)
    assert half * 2 == whole
    assert nothing == 0
    assert {round(float(one.get("y")) + float(one.get("height")), 1) for one in drawn} == {192.0}
    assert drawn[1].find("title").text == "2026-01-12: 100"


def test_of_many_dates_a_few_are_written_and_the_last_among_them():
    tree = ElementTree.fromstring(str(column_chart(amounts(*[1.0] * 60), "Events")))
    dates = [one.text for one in tree.iter("text") if one.get("text-anchor") == "middle"]
    assert len(dates) <= 8
    assert dates[-1] == "2027-02-22"


def figures(chart):
    tree = ElementTree.fromstring(str(chart))
    return [one.text for one in tree.iter("text") if one.get("text-anchor") == "end"]


def test_figures_of_the_axis_are_short_and_even():
    assert figures(column_chart(amounts(37.0), "Events")) == ["0", "10", "20", "30", "40"]
    assert figures(column_chart(amounts(9_970_174.0), "Revenue")) == ["0", "2.5 M", "5 M", "7.5 M", "10 M"]
    assert figures(column_chart(amounts(799_000.0), "Revenue"))[-1] == "800,000"


@given(st.floats(0, 1e15))
def test_no_figure_is_wider_than_its_place(highest):
    assert max(map(len, figures(column_chart(amounts(highest), "Revenue")))) <= 8


@given(st.floats(0, 1e15))
def test_the_axis_ends_at_or_above_the_highest_amount_and_not_far_above(highest):
    top = nice_top(highest)
    assert highest <= top * (1 + 1e-9)
    assert top <= max(4.0, 2.0 * highest)


EVIL = "<script>alert('x')</script> & co"


@dataclass(frozen=True)
class Score:
    as_of: datetime
    colour: str
    churn_probability: float | None
    decided_by: str = "model"
    rule: str | None = None


def past(*probabilities, colour="amber"):
    start = datetime(2026, 1, 1)
    return [Score(start + timedelta(days=30 * i), colour, p) for i, p in enumerate(probabilities)]


def drawn(scores, occasions=()):
    """Return every element of the drawing by its class; what is not well-formed fails here."""
    tree = ElementTree.fromstring(str(history_chart(scores, occasions).drawn))
    found = {}
    for element in tree.iter():
        found.setdefault(element.get("class", element.tag).split()[0], []).append(element)
    return found


def place(dot):
    """Return where a point stands: its path begins there."""
    x, _, rest = dot.get("d").removeprefix("M").partition(" ")
    return float(x), float(rest.partition("m")[0])


@pytest.mark.parametrize("scores", [[], past(None, None)])
def test_without_any_probability_there_is_no_chart(scores):
    assert history_chart(scores) is None


def test_one_run_is_a_point_without_a_line():
    elements = drawn(past(0.3))
    assert len(elements["dot"]) == 1
    assert "line" not in elements


def test_a_run_without_a_probability_interrupts_the_line():
    elements = drawn(past(0.1, 0.2, None, 0.3, 0.2))
    assert [len(line.get("points").split()) for line in elements["line"]] == [2, 2]
    assert len(elements["dot"]) == 4


def test_a_band_lasts_as_long_as_its_colour_and_they_leave_no_gap():
    colours = ("green", "green", "red", "green")
    scores = [Score(datetime(2026, month, 1), c, 0.1) for month, c in enumerate(colours, 1)]
    bands = drawn(scores)["band"]
    assert [band.get("class") for band in bands] == ["band is-green", "band is-red", "band is-green"]
    ends = [float(band.get("x")) + float(band.get("width")) for band in bands]
    assert ends[:-1] == pytest.approx([float(band.get("x")) for band in bands[1:]], abs=0.11)


def test_higher_risk_is_higher_up_and_later_is_further_right():
    (x, y), (later_x, higher_y) = map(place, drawn(past(0.1, 0.6))["dot"])
    assert higher_y < y
    assert later_x > x


def test_colours_have_shapes_of_their_own():
    shapes = {
        drawn(past(0.1, colour=colour))["dot"][0].get("d").partition("m")[2]
        for colour in ("red", "amber", "green")
    }
    assert len(shapes) == 3


def test_every_point_says_its_day_colour_and_probability():
    (dot,) = drawn(past(0.123, colour="red"))["dot"]
    assert dot.find("title").text == "2026-01-01: red, 12.3%"


def test_occasions_lie_between_the_axes_and_later_ones_widen_the_chart():
    occasions = [
        Occasion(datetime(2026, 1, 15), "complaint", "outage"),
        Occasion(datetime(2026, 4, 1), "review", "contacted by rex"),
    ]
    chart = history_chart(past(0.1, 0.2), occasions)
    assert chart.marks == ("2026-01-15: outage", "2026-04-01: contacted by rex")
    marks = [float(mark.get("x1")) for mark in drawn(past(0.1, 0.2), occasions)["event"]]
    assert 44.0 <= marks[0] < marks[1] <= 724.0


def test_many_runs_get_few_dates_and_the_last_is_among_them():
    dates = [text.text for text in drawn(past(*[0.1] * 52))["text"] if text.get("text-anchor") == "middle"]
    assert len(dates) <= 8
    assert dates[-1] == "2030-03-11"


def test_what_people_wrote_is_text_and_nothing_else():
    occasions = [Occasion(datetime(2026, 1, 15), "review", EVIL)]
    (mark,) = (group.find("title") for group in drawn(past(0.1), occasions)["g"])
    assert mark.text == f"2026-01-15: {EVIL}"
    rows = history_rows([Score(datetime(2026, 1, 1), "red", 0.1, "rule", EVIL)])
    assert "by the rule &lt;script&gt;" in rows
    assert "<script>" not in rows


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=20).filter(any))
def test_every_point_lies_within_the_chart(probabilities):
    dots = drawn(past(*probabilities))["dot"]
    assert len(dots) == sum(p is not None for p in probabilities)
    for x, y in map(place, dots):
        assert 44.0 <= x <= 724.0
        assert 30.0 <= y <= 220.0
