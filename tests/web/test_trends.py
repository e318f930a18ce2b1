from datetime import datetime, timedelta
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from churnrisk.web.charts import column_chart, nice_top


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


@given(st.floats(0, 1e15))
def test_the_axis_ends_at_or_above_the_highest_amount_and_not_far_above(highest):
    top = nice_top(highest)
    assert highest <= top * (1 + 1e-9)
    assert top <= max(4.0, 2.0 * highest)
