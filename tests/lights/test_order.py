"""Laws of useful lights: colours in order around the base rate, a ladder of promises, caps, what is empty and why."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from churnrisk.lights import TrafficLight
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


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_no_account_above_the_base_rate_is_green_and_none_below_it_is_red(drawn):
    p, _, _, segments = drawn
    light, _ = fitted(*drawn)
    colours = light.predict(p, segments=segments)
    assert (p[colours == "green"] <= light.base_rate_).all()
    assert (p[colours == "red"] >= light.base_rate_).all()
    means = [p[colours == colour].mean() for colour in ("green", "amber", "red") if (colours == colour).any()]
    assert means == sorted(means)


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_a_colour_gets_worse_with_p_within_a_segment(drawn):
    p, _, _, segments = drawn
    light, _ = fitted(*drawn)
    codes = pd.Series(light.predict(p, segments=segments)).map({"green": 0, "amber": 1, "red": 2}).to_numpy()
    for segment in set(segments):
        inside = segments == segment
        assert (np.diff(codes[inside][np.argsort(p[inside])]) >= 0).all()


@settings(max_examples=60, deadline=None)
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


@settings(max_examples=30, deadline=None)
@given(worlds)
def test_the_riskiest_tenth_of_green_does_not_contradict_the_base_rate(drawn):
    p, _, _, segments = drawn
    light, y = fitted(*drawn)
    if len(light.parts_) > 1:
        return
    green = np.flatnonzero(light.predict(p, segments=segments) == "green")
    tenth = green[np.argsort(p[green])][-max(len(green) // 20, 1) :]
    if len(tenth) < 100:
        return
    assert y[tenth].mean() < light.base_rate_ + 3 * np.sqrt(0.25 / len(tenth))


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
    for name in ("green_rungs_", "red_rungs_"):
        del saved["fitted"][name]
    for name in ("ladder", "green_cap", "red_cap"):
        del saved["params"][name]
    old = TrafficLight.from_dict(saved)
    assert old.promises_ == light.promises_
    assert {colour: promises[0] for colour, promises in old.rungs_.items()} == {
        colour: promises[0] for colour, promises in light.rungs_.items()
    }
