import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from churnrisk.present import WIDTH, bars


def pieces(bar):
    """Return class, place and width of each painted piece; the hatching over amber is none."""
    return [
        (one.get("class"), float(one.get("x")), float(one.get("width")))
        for one in ElementTree.fromstring(str(bar)).iter("rect")
        if one.get("class")
    ]


def test_the_longest_bar_fills_the_width_and_the_others_keep_the_scale():
    longest, half = bars([(60.0, 40.0), (50.0, 0.0)])
    assert pieces(longest) == [("is-red", 0.0, 120.0), ("is-amber", 120.0, 80.0)]
    assert pieces(half) == [("is-red", 0.0, WIDTH / 2)]


def test_what_is_little_is_still_seen_and_nothing_is_not():
    _, small, nothing = bars([(1e9, 0.0), (1.0, 0.0), (0.0, 0.0)])
    assert [width for _, _, width in pieces(small)] == [1.0]
    assert pieces(nothing) == []


def test_a_little_red_is_not_painted_over_by_much_amber_nor_the_other_way_round():
    much_amber, much_red = bars([(1.0, 1000.0), (1000.0, 1.0)])
    assert pieces(much_amber) == [("is-red", 0.0, 1.0), ("is-amber", 1.0, WIDTH - 1.0)]
    assert pieces(much_red) == [("is-red", 0.0, WIDTH - 1.0), ("is-amber", WIDTH - 1.0, 1.0)]


def test_amber_is_hatched_and_red_is_not():
    (both,) = bars([(1.0, 1.0)])
    assert len(re.findall(r"url\(#hatch\)", both)) == 1


amount = st.floats(0, 1e12)


@given(st.lists(st.tuples(amount, amount), min_size=1, max_size=9))
def test_bars_stay_in_their_place(amounts):
    for bar in bars(amounts):
        for _, x, width in pieces(bar):
            assert x >= 0
            assert x + width <= WIDTH + 1 + 1e-6


def test_without_groups_there_are_no_bars():
    assert bars([]) == []
