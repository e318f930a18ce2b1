"""Laws of useful lights: colours in order around the base rate, a ladder of promises, caps, what is empty and why."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from churnrisk.errors import UsageError
from churnrisk.lights import TrafficLight, lower_bound, upper_bound
from churnrisk.records import Colour

_FACTORS = (4.0, 3.0, 2.0, 1.5)


def world(seed, accounts, base, spread, *, segments=1, miscalibrated=0.0):
    """Log-odds of any spread around a base rate, rows of up to three snapshots, scores that may be wrong."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 4, accounts)
    groups = np.repeat(np.arange(accounts), rows)
    segment = rng.integers(0, segments, accounts)[groups]
    z = logit(base) + spread * rng.standard_normal(accounts)[groups] + 0.7 * segment
    y = (rng.random(len(z)) < expit(z)).astype(int)
    p = expit(z * (1 + miscalibrated) + miscalibrated)
    return p, y, groups, np.array([f"s{k}" for k in segment], dtype=object)


worlds = st.builds(
    world,
    seed=st.integers(0, 10_000),
    accounts=st.integers(40, 3000),
    base=st.floats(0.005, 0.95),
    spread=st.floats(0.0, 8.0),
    segments=st.integers(1, 3),
    miscalibrated=st.floats(-0.6, 2.0),
)


def fitted(p, y, groups, segments):
    if y.min() == y.max():
        y = y.copy()
        y[0] = 1 - y[0]
    return TrafficLight().fit(p, y, groups=groups, segments=segments), y


@settings(max_examples=25, deadline=None)
@given(worlds)
def test_no_account_above_the_base_rate_is_green_and_none_below_it_is_red(drawn):
    p, _, _, segments = drawn
    light, _ = fitted(*drawn)
    colours = light.predict(p, segments=segments)
    assert (p[colours == "green"] <= light.base_rate_).all()
    assert (p[colours == "red"] >= light.base_rate_).all()
    means = [p[colours == colour].mean() for colour in ("green", "amber", "red") if (colours == colour).any()]
    assert means == sorted(means)


@settings(max_examples=25, deadline=None)
@given(worlds)
def test_a_colour_gets_worse_with_p_within_a_segment(drawn):
    p, _, _, segments = drawn
    light, _ = fitted(*drawn)
    codes = pd.Series(light.predict(p, segments=segments)).map({"green": 0, "amber": 1, "red": 2}).to_numpy()
    for segment in set(segments):
        inside = segments == segment
        assert (np.diff(codes[inside][np.argsort(p[inside])]) >= 0).all()


@settings(max_examples=25, deadline=None)
@given(worlds)
def test_words_keep_their_meaning_and_promises_are_rungs_of_the_ladder(drawn):
    light, _ = fitted(*drawn)
    odds = light.base_rate_ / (1 - light.base_rate_)
    rungs = [odds / factor / (1 + odds / factor) for factor in _FACTORS]
    assert light.green_max_churn_ <= 0.20
    assert light.red_min_churn_ <= 0.80
    assert any(np.isclose(light.green_max_churn_, min(rung, 0.20)) for rung in rungs)
    for colour, better in ((Colour.GREEN, 1), (Colour.RED, -1)):
        rates = [promise.at_most if better > 0 else promise.at_least for promise in light.rungs_[colour]]
        assert rates == sorted(rates, reverse=better < 0)
        assert light.rungs_[colour][0] in light.promises_


@settings(max_examples=25, deadline=None)
@given(worlds)
def test_the_tenth_next_to_a_threshold_does_not_contradict_the_base_rate(drawn):
    p, _, groups, segments = drawn
    light, y = fitted(*drawn)
    if len(light.parts_) > 1:
        return
    colours, rows_an_account = light.predict(p, segments=segments), len(p) / (groups.max() + 1)
    for colour, sign, bound in (("green", 1, lower_bound), ("red", -1, upper_bound)):
        inside = np.flatnonzero(colours == colour)
        if len(inside) < 50:
            continue
        edge = np.quantile(sign * p[inside], 0.9)
        tail = inside[sign * p[inside] >= edge]
        # the grid's cells keep together what this edge may part, so a wider bound than the light's own
        found = bound(y[tail].sum() / rows_an_account, len(tail) / rows_an_account, 0.999)
        assert sign * (found - light.base_rate_) <= 0


@settings(max_examples=20, deadline=None)
@given(worlds, st.integers(0, 100))
def test_the_order_of_the_rows_does_not_matter(drawn, seed):
    p, _, groups, segments = drawn
    _, y = fitted(*drawn)
    p = np.round(p, 2)  # many ties
    turn = np.random.default_rng(seed).permutation(len(p))
    one = TrafficLight().fit(p, y, groups=groups, segments=segments)
    other = TrafficLight().fit(p[turn], y[turn], groups=groups[turn], segments=segments[turn])
    assert (one.amber_from_, one.red_from_) == (other.amber_from_, other.red_from_)


@settings(max_examples=20, deadline=None)
@given(worlds, st.floats(-1.5, 1.5), st.floats(0.4, 2.0))
def test_order_holds_for_the_probabilities_that_people_see_and_for_unknown_segments(drawn, shift, slope):
    p, _, groups, segments = drawn
    _, y = fitted(*drawn)

    def shown(q):
        return expit(shift + slope * logit(np.clip(q, 1e-12, 1 - 1e-12)))

    light = TrafficLight().fit(p, y, groups=groups, segments=segments, calibrate=shown)
    for kinds in (segments, np.full(len(p), "never seen", dtype=object)):
        colours = light.predict(shown(p), segments=kinds)
        assert (shown(p)[colours == "green"] <= light.base_rate_).all()
        assert (shown(p)[colours == "red"] >= light.base_rate_).all()


def test_a_promise_that_was_given_leaves_out_the_rungs_on_its_wrong_side():
    p, y, groups, _ = world(3, 2500, 0.03, 1.5)
    light = TrafficLight(green_max_churn=0.055).fit(p, y, groups=groups)
    assert light.green_max_churn_ == 0.055
    assert min(light.red_rungs_) > 0.055
    with pytest.raises(UsageError, match="Change the one that you gave"):
        TrafficLight(green_max_churn=0.19, ladder=(2.0,)).fit(p, y, groups=groups)


def test_one_rung_is_not_taken_for_a_high_base_rate():
    p, y, _, _ = world(3, 2500, 0.14, 1.5)
    assert not any("base rate, and green" in note for note in TrafficLight(ladder=(4.0,)).fit(p, y).notes_)


def test_a_score_that_parts_nearly_everybody_gives_two_pure_colours():
    rng = np.random.default_rng(0)
    p = expit(-7.5 + 12 * rng.normal(size=4000))
    y = rng.random(4000) < p
    light = TrafficLight().fit(p, y)
    colours = light.predict(p)
    assert (colours == "green").mean() > 0.6
    assert y[colours == "green"].mean() < 0.03
    assert y[colours == "red"].mean() > 0.85
    assert y[colours == "red"].sum() / y.sum() > 0.8


def test_a_weaker_promise_is_taken_where_the_strict_one_leaves_too_little():
    rng = np.random.default_rng(2)
    z = -1.0 + 0.7 * rng.standard_normal(3000)
    y = rng.random(3000) < expit(z)
    light, strict = TrafficLight().fit(expit(z), y), TrafficLight(ladder=(4.0,)).fit(expit(z), y)
    assert light.green_max_churn_ > strict.green_max_churn_
    colours = light.predict(expit(z))
    assert (colours == "green").mean() > 0.1 > (strict.predict(expit(z)) == "green").mean()


def test_where_nearly_everybody_leaves_the_light_says_so():
    rng = np.random.default_rng(4)
    z = 1.6 + 1.5 * rng.standard_normal(3000)
    light = TrafficLight().fit(expit(z), rng.random(3000) < expit(z))
    expected = "red: 76% churn, so it promises at least 80%, hardly more than the base rate"
    assert light.notes_[0].startswith(expected)
    assert light.notes_on(Colour.RED) == light.notes_[:1]
    assert "policy = 'capacity'" in light.notes_[0]
    assert light.promises_[0].text == "churn of at most 20.00%"


def test_an_empty_colour_says_how_many_accounts_would_do_and_when():
    rng = np.random.default_rng(1)
    dates = pd.to_datetime(np.repeat(["2026-01-01", "2026-03-01", "2026-05-01"], [20, 40, 60]))
    z = -2.5 + 1.2 * rng.standard_normal(120)
    light = TrafficLight().fit(expit(z), rng.random(120) < expit(z), blocks=dates)
    notes = [note for note in light.notes_ if note.startswith("green is empty")]
    assert len(notes) == 1
    assert "would do if the scores are right, around" in notes[0]
    assert notes[0].endswith("at today's growth")


@pytest.mark.parametrize("value", [0.0, 0.1, 0.97, 1.0])
def test_equal_scores_give_an_empty_light(value):
    y = np.arange(200) % 7 == 0
    light = TrafficLight().fit(np.full(200, value), y)
    assert set(light.predict([0.0, value, 1.0])) == {"amber"}
    assert any(note.startswith("green is empty") for note in light.notes_)


def test_rungs_survive_saving_and_lights_of_earlier_versions_have_one():
    p, y, groups, _ = world(1, 2500, 0.06, 1.5)
    light = TrafficLight().fit(p, y, groups=groups)
    saved = json.loads(json.dumps(light.to_dict()))
    assert TrafficLight.from_dict(saved).rungs_ == light.rungs_
    assert TrafficLight.from_dict(saved).get_params() == light.get_params()
    for name, in_force in (("green_rungs_", "green_max_churn_"), ("red_rungs_", "red_min_churn_")):
        saved["fitted"][in_force] = saved["fitted"].pop(name)[0]
    for name in ("ladder", "green_cap", "red_cap"):
        del saved["params"][name]
    old = TrafficLight.from_dict(saved)
    assert old.promises_ == light.promises_
    assert {colour: promises[0] for colour, promises in old.rungs_.items()} == {
        colour: promises[0] for colour, promises in light.rungs_.items()
    }
