import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import ContractError, UsageError
from churnrisk.lights import (
    REST,
    TrafficLight,
    accounts_needed,
    decide,
    part_segments,
    policy_version,
    segments_of,
    upper_bound,
)


def two_kinds(seed=0, *, accounts=6000, share=0.5):
    """Established accounts churn as the score says, new ones at 1.8 times the odds."""
    rng = np.random.default_rng(seed)
    segments = np.where(rng.random(accounts) < share, "new", "established").astype(object)
    p = 1 / (1 + np.exp(-rng.normal(-2.0, 1.5, accounts)))
    odds = p / (1 - p) * np.where(segments == "new", 1.8, 1.0)
    truth = odds / (1 + odds)
    return p, (rng.random(accounts) < truth).astype(int), segments, truth


def test_each_segment_keeps_the_promise_by_itself():
    p, y, segments, truth = two_kinds()
    light = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y, segments=segments)
    assert {part.name for part in light.parts_} == {"new", "established"}
    colours = light.predict(p, segments=segments)
    for segment in ("new", "established"):
        green = (colours == "green") & (segments == segment)
        assert green.sum() > 100
        assert truth[green].mean() <= 0.10


def test_one_pair_of_thresholds_for_all_breaks_the_promise_in_the_worse_segment():
    p, y, segments, truth = two_kinds(share=0.2)
    colours = TrafficLight(green_max_churn=0.05, red_min_churn=0.4).fit(p, y).predict(p)
    assert truth[(colours == "green") & (segments == "new")].mean() > 0.05


def test_a_change_of_mix_does_not_break_the_promise_of_segments():
    p, y, segments, _ = two_kinds(share=0.3)
    light = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y, segments=segments)
    later, _, kinds, truth = two_kinds(1, share=0.9)
    assert truth[light.predict(later, segments=kinds) == "green"].mean() <= 0.10


def test_segments_without_enough_accounts_share_thresholds_and_the_notes_say_so():
    p, y, segments, _ = two_kinds(accounts=150)
    light = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y, segments=segments)
    alone = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y)
    assert len(light.parts_) == 1
    assert (light.amber_from_, light.red_from_) == (alone.amber_from_, alone.red_from_)
    assert any("one pair of thresholds for all segments" in note for note in light.notes_)


def test_an_unknown_segment_gets_the_most_cautious_thresholds():
    p, y, segments, _ = two_kinds()
    light = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y, segments=segments)
    colours = light.predict(p, segments=np.full(len(p), "never seen", dtype=object))
    by_each = [
        light.predict(p, segments=np.full(len(p), name, dtype=object)) for name in ("new", "established")
    ]
    for colour in ("green", "red"):
        assert ((colours == colour) == ((by_each[0] == colour) & (by_each[1] == colour))).all()


def test_a_light_with_segments_survives_saving():
    p, y, segments, _ = two_kinds()
    light = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y, segments=segments)
    again = TrafficLight.from_dict(light.to_dict())
    assert again.parts_ == light.parts_
    assert (again.predict(p, segments=segments) == light.predict(p, segments=segments)).all()
    assert policy_version(again, ()) == policy_version(light, ())


def test_thresholds_of_a_segment_are_part_of_the_policy_version():
    p, y, segments, _ = two_kinds()
    light = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y, segments=segments)
    saved = light.to_dict()
    saved["fitted"]["parts_"][0]["red_from"] += 0.01
    assert policy_version(TrafficLight.from_dict(saved), ()) != policy_version(light, ())


def test_decide_reads_the_segment_from_the_tenure():
    p, y, segments, _ = two_kinds()
    light = TrafficLight(green_max_churn=0.10, red_min_churn=0.4).fit(p, y, segments=segments)
    X = pd.DataFrame(
        {"tenure_days": np.where(segments == "new", 20.0, 400.0)}, index=np.arange(len(p)).astype(str)
    )
    decided = decide(p, X, light=light, rules=())
    assert (decided["model_colour"].to_numpy() == light.predict(p, segments=segments)).all()


def test_segments_of_says_what_there_is_to_choose_from():
    X = pd.DataFrame({"plan": pd.Categorical(["a", None]), "tenure_days": [10.0, np.nan]})
    assert list(segments_of(X, "tenure")) == ["new", "established"]
    assert list(segments_of(X, "plan")) == ["a", "unknown"]
    assert segments_of(X, "nothing") is None
    with pytest.raises(UsageError, match=r"found 'region'.*plan"):
        segments_of(X, "region")


def test_one_segment_per_row_is_expected():
    with pytest.raises(ContractError, match="one segment per row, found 1 for 2 rows"):
        TrafficLight("fixed", amber_from=0.1, red_from=0.2).fit([0.1, 0.2], [0, 1], segments=["a"])


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1),
    needed=st.integers(2, 80),
)
def test_every_part_has_enough_accounts_and_every_segment_has_a_part(sizes, needed):
    segments = np.repeat(np.array(list(sizes), dtype=object), list(sizes.values()))
    parts = part_segments(segments, np.arange(len(segments)), needed)
    if parts:
        assert set(parts) == set(sizes)
        assert len(set(parts.values())) > 1
        totals = pd.Series(sizes).groupby(pd.Series(parts)).sum()
        assert (totals >= needed).all()
        assert set(parts.values()) <= {*sizes, REST}


@pytest.mark.parametrize("green_max", [0.01, 0.05, 0.3])
def test_needed_accounts_certify_a_green_of_half_the_odds(green_max):
    needed = accounts_needed(green_max, 0.6, 0.95, 30)
    third = needed // 3
    half = green_max / (1 - green_max) / 2
    assert upper_bound(np.ceil(third * half / (1 + half)), third, 0.95) <= green_max
    assert accounts_needed(green_max / 2, 0.6, 0.95, 30) > needed
