from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from churnrisk.errors import UsageError
from churnrisk.lights import DecisionConfig, Rule, TrafficLight, decide, policy_version

ORDER = {"green": 0, "amber": 1, "red": 2}
LIGHT = TrafficLight("fixed", amber_from=0.1, red_from=0.5).fit([0.1, 0.9], [0, 1])


def decided(p, *, features=None, previous=None, **settings):
    ids = pd.Index([f"a{i}" for i in range(len(p))], name="account_id")
    X = pd.DataFrame(features or {}, index=ids)
    if previous is not None:
        previous = pd.DataFrame(previous, columns=["colour", "raw_colour"], index=ids)
    return decide(p, X, light=LIGHT, previous=previous, **settings)


def test_the_model_decides_where_nothing_else_does():
    result = decided([0.05, 0.2, 0.9])
    assert list(result["colour"]) == ["green", "amber", "red"]
    assert set(result["decided_by"]) == {"model"}


def test_a_rule_decides_over_the_model_and_both_colours_are_kept():
    result = decided([0.05], features={"worst_open_severity": [4]})
    assert result.iloc[0].to_dict() == {
        "colour": "red",
        "raw_colour": "red",
        "model_colour": "green",
        "decided_by": "rule",
        "rule": "critical complaint",
    }


def test_a_colour_worsens_at_once():
    assert list(decided([0.9], previous=[("green", "green")])["colour"]) == ["red"]


def test_a_colour_does_not_improve_by_a_hair():
    row = decided([0.49], previous=[("red", "red")]).iloc[0]
    assert (row["colour"], row["raw_colour"], row["decided_by"]) == ("red", "amber", "hysteresis")


def test_a_colour_improves_after_clearing_the_threshold_by_the_margin():
    row = decided([0.3], previous=[("red", "red")]).iloc[0]
    assert (row["colour"], row["decided_by"]) == ("amber", "model")


def test_a_colour_improves_when_two_runs_in_a_row_say_so():
    assert list(decided([0.49], previous=[("red", "amber")])["colour"]) == ["amber"]


def test_a_colour_improves_by_as_many_steps_as_are_supported():
    assert list(decided([0.099], previous=[("red", "red")])["colour"]) == ["amber"]


def test_a_margin_of_zero_switches_hysteresis_off():
    assert list(decided([0.49], previous=[("red", "red")], margin=0.0)["colour"]) == ["amber"]


def test_an_account_without_a_past_takes_its_colour_at_once():
    assert list(decided([0.49, 0.49], previous=[(None, None), ("grey", "grey")])["colour"]) == ["amber"] * 2


def test_hysteresis_never_improves_on_this_run_and_never_worsens_the_last():
    p = np.linspace(0.001, 0.999, 333)
    for shown in ORDER:
        for raw in ORDER:
            result = decided(p, previous=[(shown, raw)] * len(p))
            final, now = result["colour"].map(ORDER), result["raw_colour"].map(ORDER)
            assert (final >= now).all()
            assert (final <= np.maximum(now, ORDER[shown])).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.001, 0.999), min_size=3, max_size=3), st.sampled_from([0.0, 0.3, 1.2, 5.0]))
def test_no_colour_is_held_for_more_than_one_run(probabilities, margin):
    """Every sequence of three runs: a probability, a rule, no eligibility, an override or no score at each."""
    plain = [(p, 0.0, None, None) for p in (*probabilities, 0.05, 0.099, 0.49)]
    others = [(0.05, 1.0, None, None), (0.05, 0.0, "no activity", None)]
    at_a_run = [*plain, *others, *((0.099, 0.0, None, colour) for colour in ORDER), None]
    before, raw_before = None, np.nan
    for run in zip(*product(at_a_run, repeat=3), strict=True):
        scored = pd.DataFrame(
            {i: of for i, of in enumerate(run) if of}, index=["p", "detractor", "grey", "set"]
        ).T
        now = decide(
            scored["p"].astype(float),
            scored[["detractor"]].astype(float).rename_axis("account_id"),
            light=LIGHT,
            previous=before,
            overrides=scored["set"].dropna(),
            grey=scored["grey"],
            margin=margin,
        )
        final, raw = (now[name].map(ORDER).reindex(range(len(run))) for name in ("colour", "raw_colour"))
        # never worse than the worse of the last two raw colours, so the same one twice is the final colour
        free = ~now["decided_by"].eq("override").reindex(range(len(run)), fill_value=True)
        assert (final <= np.fmax(raw, raw_before))[free & final.notna()].all()
        before, raw_before = now, raw


def test_an_override_has_the_last_word():
    row = decided([0.9], overrides=pd.Series({"a0": "green", "stranger": "red"})).iloc[0]
    assert (row["colour"], row["raw_colour"], row["decided_by"]) == ("green", "red", "override")


def test_an_ineligible_account_is_grey_with_its_reason_even_when_overridden():
    row = decided(
        [0.9], overrides=pd.Series({"a0": "green"}), grey=pd.Series({"a0": "signed up 3 days ago"})
    ).iloc[0]
    assert row.tolist() == ["grey", "grey", "grey", "eligibility", "signed up 3 days ago"]


def test_a_missing_probability_is_grey():
    row = decided([np.nan], features={"detractor": [1]}).iloc[0]
    assert (row["colour"], row["rule"]) == ("grey", "no probability")


def test_an_account_twice_is_refused():
    X = pd.DataFrame(index=pd.Index(["a", "a"], name="account_id"))
    with pytest.raises(UsageError, match="one row per account"):
        decide([0.1, 0.2], X, light=LIGHT)


def test_as_many_probabilities_as_accounts_are_needed():
    with pytest.raises(UsageError, match="one probability per row"):
        decided([0.1], features={"x": [1]}).pipe(
            lambda _: decide([0.1, 0.2], pd.DataFrame(index=["a"]), light=LIGHT)
        )


def test_an_index_of_account_and_as_of_is_kept():
    index = pd.MultiIndex.from_tuples([("a", pd.Timestamp("2026-01-01"))], names=["account_id", "as_of"])
    result = decide([0.9], pd.DataFrame(index=index), light=LIGHT, overrides=pd.Series({"a": "amber"}))
    assert list(result["colour"]) == ["amber"]
    assert result.index.equals(index)


def test_the_policy_version_changes_with_thresholds_rules_and_margin_only():
    rules = DecisionConfig().active_rules()
    version = policy_version(LIGHT, rules, 0.3)
    again = TrafficLight.from_dict(LIGHT.to_dict())
    other = TrafficLight("fixed", amber_from=0.1, red_from=0.51).fit([0.1], [0])
    assert version == policy_version(again, rules, 0.3)
    assert (
        len(
            {
                version,
                policy_version(other, rules),
                policy_version(LIGHT, rules[1:]),
                policy_version(LIGHT, rules, 0.4),
            }
        )
        == 4
    )


def test_settings_from_toml_build_the_config():
    config = TypeAdapter(DecisionConfig).validate_python(
        {
            "policy": "fixed",
            "amber_from": 0.1,
            "red_from": 0.5,
            "rules_off": ["open complaint"],
            "rules": [{"name": "quiet", "when": "active_days_30d < 1", "colour": "amber"}],
        }
    )
    names = [rule.name for rule in config.active_rules()]
    assert names == [
        "critical complaint",
        "stated dissatisfaction",
        "unusual silence",
        "30 days of silence",
        "wave of newcomers",
        "quiet",
    ]
    assert config.light_settings()["red_from"] == 0.5


def test_a_rule_of_a_shipped_name_replaces_it():
    config = DecisionConfig(rules=(Rule("open complaint", "open_complaints >= 3", "amber"),))
    assert [rule.when for rule in config.active_rules() if rule.name == "open complaint"] == [
        "open_complaints >= 3"
    ]


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="Unexpected keyword"):
        TypeAdapter(DecisionConfig).validate_python({"polisy": "fixed"})


@pytest.mark.parametrize(
    "settings",
    [
        {"policy": "fixed"},
        {"rules_off": ("no such rule",)},
        {"rules": (Rule("a", "x > 1"), Rule("a", "y > 1"))},
        {"hysteresis_margin": -1.0},
        {"capacity": 0},
        {"max_colour_jump": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(UsageError):
        DecisionConfig(**settings)


def test_without_a_model_the_rules_colour_and_what_none_speaks_of_is_grey():
    accounts = ["critical", "unhappy", "silent", "calm", "set", "left"]
    X = pd.DataFrame(
        {"worst_open_severity": [4, 0, 0, 0, 0, 4], "detractor": [0, 1, 0, 0, 0, 0],
         "silent_30d": [0, 0, 1, 0, 0, 0], "active_days_365": [9, 9, 1, 9, 9, 9]}, index=accounts,
    )  # fmt: skip
    found = decide(
        np.full(len(X), np.nan),
        X,
        light=TrafficLight().blank(),
        overrides=pd.Series({"set": "green"}),
        grey=pd.Series([None] * 5 + ["no subscription"], index=accounts),
    )
    assert list(found["colour"]) == ["red", "amber", "amber", "grey", "green", "grey"]
    assert list(found["decided_by"]) == ["rule", "rule", "rule", "eligibility", "override", "eligibility"]
    assert list(found["rule"].fillna("none"))[3:] == ["no model yet", "none", "no subscription"]
    assert set(found["model_colour"]) == {"grey"}
