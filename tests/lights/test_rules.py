import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig
from churnrisk.lights import DEFAULT_RULES, Rule, apply_rules
from churnrisk.snapshots import ChurnConfig
from tests.features.computing import compute
from tests.world import World, at, row

SEVERITY = {"green": 0, "amber": 1, "red": 2}


def frame(**columns):
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("features", "colour", "rule"),
    [
        ({"worst_open_severity": [4.0], "open_complaints": [1.0]}, "red", "critical complaint"),
        ({"worst_open_severity": [3.0], "open_complaints": [1.0]}, "amber", "open complaint"),
        ({"detractor": [1.0]}, "amber", "stated dissatisfaction"),
        ({"silent_30d": [1], "active_days_365": [1]}, "amber", "30 days of silence"),
        ({"silent_30d": [1], "active_days_365": [0]}, "amber", "30 days of silence"),
        ({"silent_30d": [np.nan], "active_days_365": [1], "detractor": [0.0]}, "green", None),
    ],
)
def test_the_shipped_rules_follow_the_practice(features, colour, rule):
    decided = apply_rules(frame(**features), ["green"], DEFAULT_RULES).iloc[0]
    assert (decided["colour"], decided["rule"]) == (colour, rule)
    assert decided["decided_by"] == ("rule" if rule else "model")


def test_who_is_no_longer_green_and_says_so_is_red():
    decided = apply_rules(frame(detractor=[1.0]), ["amber"], DEFAULT_RULES).iloc[0]
    assert (decided["colour"], decided["rule"]) == ("red", "stated dissatisfaction")


@pytest.mark.parametrize(
    ("gap", "days", "rule"),
    [
        (1, 14, None),  # a daily user back from a fortnight's holiday
        (1, 15, "unusual silence"),
        (7, 20, None),
        (7, 21, "unusual silence"),
        (30, 45, None),  # a monthly buyer, late
        (90, 100, None),  # a quarterly shop, on schedule
        (90, 270, "unusual silence"),
        (90, 366, "30 days of silence"),  # the year before knows no rhythm
        (0, 30, None),  # used once
        (0, 31, "30 days of silence"),
    ],
)
def test_silence_is_judged_by_the_accounts_own_gap(gap, days, rule):
    active = [at(600 - days - gap * visit) for visit in range(4 if gap else 1)]
    events = [row("events", account_id="A", occurred_at=moment) for moment in active]
    world = World({"accounts": [row("accounts", account_id="A", signed_up_at=at(0))], "events": events})
    X = compute(world, [at(600)], config=FeatureConfig(), churn=ChurnConfig()).X
    assert apply_rules(X, ["green"], DEFAULT_RULES)["rule"].tolist() == [rule]


def test_a_colour_the_model_found_itself_stays_the_models():
    decided = apply_rules(frame(detractor=[1]), ["red"], DEFAULT_RULES).iloc[0]
    assert (decided["decided_by"], decided["rule"]) == ("model", None)


def test_absent_features_are_named_and_change_nothing():
    decided = apply_rules(frame(silent_30d=[0], active_days_365=[3]), ["green"], DEFAULT_RULES)
    assert list(decided["colour"]) == ["green"]
    assert decided.attrs["notes"] == (
        "rule 'critical complaint' is not applicable: no feature worst_open_severity",
        "rule 'stated dissatisfaction' is not applicable: no feature detractor",
        "rule 'open complaint' is not applicable: no feature open_complaints",
        "rule 'unusual silence' is not applicable: no feature overdue_ratio, days_since_last_event",
        "rule 'wave of newcomers' is not applicable: no feature newcomer_wave",
    )


def test_all_conditions_must_hold():
    rule = Rule("quiet and narrow", "active_days_30d < 3 and features_90d <= 2", "amber")
    X = frame(active_days_30d=[1, 1, 9], features_90d=[2, 3, 1])
    assert list(apply_rules(X, ["green"] * 3, [rule])["colour"]) == ["amber", "green", "green"]
    assert rule.requires == ("active_days_30d", "features_90d")


def test_an_improving_rule_yields_to_a_worsening_one():
    trusted = Rule("trusted", "seats > 100", "green", may_improve=True)
    X = frame(seats=[500, 500, 5], detractor=[0, 1, 0])
    decided = apply_rules(X, ["red", "amber", "red"], [*DEFAULT_RULES, trusted])
    assert list(decided["colour"]) == ["green", "red", "red"]
    assert list(decided["rule"]) == ["trusted", "stated dissatisfaction", None]


def test_grey_stays_grey():
    assert list(apply_rules(frame(detractor=[1]), ["grey"], DEFAULT_RULES)["colour"]) == ["grey"]


def test_a_rule_switched_off_does_nothing():
    off = Rule("off", "detractor >= 1", "red", enabled=False)
    assert list(apply_rules(frame(detractor=[1]), ["green"], [off])["colour"]) == ["green"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["green", "amber", "red"]),
            st.sampled_from([np.nan, 0.0, 1.0]),
            st.sampled_from([np.nan, 1.0, 4.0]),
        ),
        min_size=1,
    )
)
def test_rules_that_may_not_improve_only_ever_worsen(rows):
    colours = [row[0] for row in rows]
    X = frame(detractor=[row[1] for row in rows], worst_open_severity=[row[2] for row in rows])
    decided = apply_rules(X, colours, DEFAULT_RULES)
    for before, after, by in zip(colours, decided["colour"], decided["decided_by"], strict=True):
        assert SEVERITY[after] >= SEVERITY[before]
        assert (by == "rule") == (after != before)


@pytest.mark.parametrize(
    "when", ["__import__('os')", "detractor", "a >= b", "", "a >= 1 or b >= 2", "a >= 1 and"]
)
def test_conditions_that_cannot_be_read_are_refused(when):
    with pytest.raises(UsageError, match="expected 'feature >= number'"):
        Rule("mine", when, "red")


def test_a_rule_that_never_has_an_effect_is_refused():
    with pytest.raises(UsageError, match="may_improve"):
        Rule("mine", "seats > 1", "green")


def test_an_unknown_colour_is_refused():
    with pytest.raises(UsageError, match="green, amber or red"):
        Rule("mine", "seats > 1", "pink")


def test_steps_limit_how_far_a_rule_worsens_the_models_colour():
    X = pd.DataFrame({"detractor": [1.0, 1.0, 1.0, 0.0], "open_complaints": [1.0, 0.0, 0.0, 0.0]})
    one = Rule("unhappy", "detractor >= 1", "red", steps=1)
    decided = apply_rules(X, ["green", "amber", "red", "green"], [Rule("open", "open_complaints >= 1"), one])
    assert list(decided["colour"]) == ["amber", "red", "red", "green"]
    assert list(decided["rule"]) == ["open", "unhappy", None, None]
    with pytest.raises(UsageError, match="expected steps 1 or 2, found 3"):
        Rule("unhappy", "detractor >= 1", "red", steps=3)
