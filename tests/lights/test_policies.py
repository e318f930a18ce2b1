"""The policies that fit a workload or a cost, and the veto of single snapshots over certified thresholds."""

import json

import numpy as np
import pandas as pd
import pytest

from churnrisk.errors import ContractError, UsageError
from churnrisk.lights import (
    NO_GREEN,
    NO_RED,
    DecisionConfig,
    TrafficLight,
    decide,
    lower_bound,
    policy_version,
    upper_bound,
)

COST = {"policy": "cost", "save_rate": 0.2, "cost_per_contact": 50.0}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def snapshots(rng, *, dates=5, accounts=800, shift=0.0):
    """Draw independent rows; on the last date everybody's log-odds are higher by ``shift``."""
    block = np.repeat(np.arange(dates), accounts)
    z = -2.5 + 1.5 * rng.standard_normal(len(block))
    churned = rng.random(len(block)) < sigmoid(z + shift * (block == dates - 1))
    return sigmoid(z), churned.astype(int), pd.to_datetime("2026-01-01") + pd.to_timedelta(30 * block, "D")


def shares(colours):
    return pd.Series(colours).value_counts()


# -- capacity


@pytest.mark.parametrize("capacity", [1, 37, 200])
def test_red_holds_the_capacity_per_snapshot_and_amber_the_next_ones(capacity):
    p, churned, dates = snapshots(np.random.default_rng(1))
    light = TrafficLight("capacity", capacity=capacity, amber_times=2).fit(p, churned, blocks=dates)
    counts = shares(light.predict(p))
    assert counts["red"] == 5 * capacity
    assert counts["amber"] == 10 * capacity
    assert light.promises_ == ()
    assert [row.accounts for row in light.evidence_] == [counts["green"], counts["amber"], counts["red"]]


def test_rows_of_equal_scores_are_red_together_or_not_at_all():
    p = np.repeat([0.9, 0.5, 0.1], [10, 20, 70])
    light = TrafficLight("capacity", capacity=15, amber_times=1).fit(p, np.arange(100) % 2)
    assert shares(light.predict(p)).to_dict() == {"red": 10, "amber": 20, "green": 70}
    tied = TrafficLight("capacity", capacity=5, amber_times=1).fit(p, np.arange(100) % 2)
    assert tied.red_from_ == NO_RED
    assert "share the highest probability" in tied.notes_[0]


def test_a_capacity_for_everybody_makes_all_red_and_says_so():
    light = TrafficLight("capacity", capacity=50).fit([0.1, 0.2], [0, 1])
    assert list(light.predict([0.05])) == ["red"]
    assert light.notes_ == ("the capacity of 50 covers every account, so all are red",)


def test_held_out_accounts_stand_for_all():
    p, churned, dates = snapshots(np.random.default_rng(2))
    light = TrafficLight("capacity", capacity=100).fit(p, churned, blocks=dates, share=0.2)
    assert shares(light.predict(p))["red"] == 5 * 100 * 0.2


def test_capacity_needs_no_churner():
    assert TrafficLight("capacity", capacity=1).fit([0.1, 0.2, 0.3], [0, 0, 0]).predict([0.3]) == ["red"]


# -- cost


def test_red_is_whom_to_contact_pays_and_amber_who_is_near():
    light = TrafficLight(**COST).fit([0.1, 0.2], [0, 1], [1000.0, 1000.0])
    p, value = [0.25, 0.2499, 0.125, 0.1249, 0.01, 0.9], [1000, 1000, 1000, 1000, 25_000, 100]
    assert list(light.predict(p, value)) == ["red", "amber", "amber", "green", "red", "green"]


def test_without_a_value_an_account_counts_as_typical():
    light = TrafficLight(**COST).fit([0.1, 0.2, 0.3, 0.3], [0, 1, 0, 0], [500.0, 1000.0, 8000.0, np.nan])
    assert light.value_ == 1000.0
    assert list(light.predict([0.3, 0.2, 0.1])) == ["red", "amber", "green"]
    assert list(light.predict([0.3, 0.3], [np.nan, 100])) == ["red", "green"]


def test_hysteresis_holds_the_costly_account_at_its_own_threshold():
    light = TrafficLight(**COST).fit([0.1, 0.2], [0, 1], [1000.0, 1000.0])
    X = pd.DataFrame(index=pd.Index(["small", "large"], name="account_id"))
    before = pd.DataFrame({"colour": "red", "raw_colour": "red"}, index=X.index)
    decided = decide([0.24, 0.024], X, light=light, previous=before, value=[1000, 10_000])
    assert list(decided["colour"]) == ["red", "red"]
    assert list(decided["model_colour"]) == ["amber", "amber"]


def test_cost_without_any_value_says_what_to_map():
    for value in (None, [np.nan, np.nan], [0.0, 0.0]):
        with pytest.raises(UsageError, match="Map mrr"):
            TrafficLight(**COST).fit([0.1, 0.2], [0, 1], value)


def test_a_negative_value_counts_as_unknown():
    light = TrafficLight(**COST).fit([0.1, 0.2, 0.3], [0, 1, 0], [-5.0, 1000.0, 1000.0])
    assert light.value_ == 1000.0
    assert list(light.predict([0.3], [-5.0])) == ["red"]


def test_one_value_per_row_is_needed():
    with pytest.raises(ContractError, match="one annual value per row"):
        TrafficLight(**COST).fit([0.1, 0.2], [0, 1], [10.0])


# -- all of them


def lights():
    p, churned, dates = snapshots(np.random.default_rng(3), accounts=1500)
    return p, [
        TrafficLight().fit(p, churned, blocks=dates),
        TrafficLight("capacity").fit(p, churned, blocks=dates),
        TrafficLight(**COST).fit(p, churned, np.full(len(p), 900.0)),
        TrafficLight("fixed", amber_from=0.1, red_from=0.5).fit(p, churned),
    ]


def test_every_policy_survives_json_and_has_a_version_of_its_own():
    p, fitted = lights()
    versions = set()
    for light in fitted:
        loaded = TrafficLight.from_dict(json.loads(json.dumps(light.to_dict())))
        assert (loaded.predict(p, np.full(len(p), 333.0)) == light.predict(p, np.full(len(p), 333.0))).all()
        assert policy_version(loaded, ()) == policy_version(light, ())
        versions.add(policy_version(light, ()))
    assert len(versions) == 4


def test_the_version_of_cost_covers_what_an_account_is_worth():
    one = TrafficLight(**COST).fit([0.1, 0.2], [0, 1], [1000.0, 1000.0])
    # half the cost at half the typical value: the same thresholds on p, other thresholds on the stake
    other = TrafficLight(**COST | {"cost_per_contact": 25.0}).fit([0.1, 0.2], [0, 1], [500.0, 500.0])
    assert one.red_from_ == other.red_from_
    assert policy_version(one, ()) != policy_version(other, ())


def test_a_light_saved_before_there_were_more_policies_still_loads():
    saved = TrafficLight("fixed", amber_from=0.1, red_from=0.5).fit([0.2, 0.3], [0, 0]).to_dict()
    for name in ("last_blocks", "capacity", "amber_times", "save_rate", "cost_per_contact", "amber_factor"):
        del saved["params"][name]
    del saved["fitted"]["value_"]
    assert list(TrafficLight.from_dict(saved).predict([0.2])) == ["amber"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "cost"}, "expects 0 < save_rate <= 1 and cost_per_contact > 0"),
        ({"policy": "cost", "save_rate": 20, "cost_per_contact": 5}, "found save_rate=20"),
        ({"policy": "cost", "save_rate": 0.2, "cost_per_contact": 0}, "cost_per_contact=0"),
        ({"save_rate": 0.2}, "policy 'certified' finds its thresholds itself, found save_rate=0.2"),
        ({"policy": "capacity", "green_max_churn": 0.1}, "choose policy = 'certified'"),
        ({"policy": "capacity", "amber_from": 0.1, "red_from": 0.2}, "choose policy = 'fixed'"),
        ({"policy": "capacity", "capacity": 0}, "expected capacity >= 1"),
        ({"amber_times": -1}, "expected amber_times >= 0"),
        ({"amber_factor": 0.5}, "expected amber_factor >= 1"),
        ({"last_blocks": -1}, "expected last_blocks >= 0"),
    ],
)
def test_settings_that_contradict_the_policy_are_refused_with_the_mend(settings, message):
    with pytest.raises(UsageError, match=message):
        DecisionConfig(**settings)


# -- certified, and time


def test_a_snapshot_that_contradicts_green_vetoes_what_the_pool_would_take():
    p, churned, dates = snapshots(np.random.default_rng(4), accounts=1500, shift=1.5)
    pooled = TrafficLight(green_max_churn=0.04).fit(p, churned)
    watched = TrafficLight(green_max_churn=0.04).fit(p, churned, blocks=dates)
    last = dates == dates.max()
    assert churned[last & (p < pooled.amber_from_)].mean() > 0.05
    assert watched.amber_from_ < pooled.amber_from_


def test_an_old_snapshot_has_no_veto():
    p, churned, dates = snapshots(np.random.default_rng(4), accounts=1500, shift=1.5)
    reversed_time = pd.Timestamp("2027-01-01") - (dates - pd.Timestamp("2026-01-01"))
    pooled = TrafficLight(green_max_churn=0.04, last_blocks=0).fit(p, churned, blocks=dates)
    recent = TrafficLight(green_max_churn=0.04, last_blocks=3).fit(p, churned, blocks=reversed_time)
    every = TrafficLight(green_max_churn=0.04, last_blocks=5).fit(p, churned, blocks=reversed_time)
    assert recent.amber_from_ == pooled.amber_from_
    assert every.amber_from_ < pooled.amber_from_


def test_the_bound_holds_on_each_snapshot_where_they_are_large_enough():
    p, churned, dates = snapshots(np.random.default_rng(6), accounts=4000)
    light = TrafficLight(green_max_churn=0.05, red_min_churn=0.3).fit(p, churned, blocks=dates)
    assert not any("together" in note for note in light.notes_)
    for date in np.unique(dates)[-3:]:
        there = dates == date
        green, red = there & (p < light.amber_from_), there & (p >= light.red_from_)
        assert green.any()
        assert red.any()
        assert upper_bound(churned[green].sum(), green.sum(), 0.95) <= 0.05
        assert lower_bound(churned[red].sum(), red.sum(), 0.95) >= 0.3


def test_snapshots_too_small_for_a_bound_of_their_own_are_certified_together_and_the_notes_say_so():
    p, churned, dates = snapshots(np.random.default_rng(6), accounts=150)
    light = TrafficLight(green_max_churn=0.05).fit(p, churned, blocks=dates)
    assert light.amber_from_ > NO_GREEN
    notes = [
        note for note in light.notes_ if "green is certified on all snapshots together; the last 3" in note
    ]
    assert len(notes) == 1
    assert notes[0].startswith("green")


@pytest.mark.slow
def test_the_veto_never_widens_a_colour_and_rarely_costs_one_where_nothing_drifts():
    rng = np.random.default_rng(5)
    green = np.zeros((60, 2))
    for repetition in green:
        p, churned, dates = snapshots(rng, accounts=500)
        pooled, watched = TrafficLight().fit(p, churned), TrafficLight().fit(p, churned, blocks=dates)
        assert watched.amber_from_ <= pooled.amber_from_
        assert watched.red_from_ >= pooled.red_from_
        repetition[:] = pooled.amber_from_ > NO_GREEN, watched.amber_from_ > NO_GREEN
    assert green[:, 0].sum() - green[:, 1].sum() <= 3
