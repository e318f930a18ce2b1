import numpy as np
import pandas as pd
import pytest

from churnrisk.lights import (
    DEFAULT_RULES,
    Newcomers,
    TrafficLight,
    apply_rules,
    decide,
    mark_wave,
    policy_version,
)

DATES = pd.date_range("2026-01-01", periods=8, freq="14D")


def history(shares, accounts=1000):
    """Return tenure and as-of dates of snapshots with these shares of newcomers."""
    tenure = [np.where(np.arange(accounts) < share * accounts, 5.0, 200.0) for share in shares]
    dates = pd.Index(np.repeat(DATES[: len(shares)].to_numpy(), accounts), name="as_of")
    return pd.Series(np.concatenate(tenure)), dates


def usual():
    return Newcomers.learn(*history([0.20, 0.22, 0.19, 0.21, 0.20, 0.23]))


def snapshot(share, accounts=1000):
    tenure = np.where(np.arange(accounts) < share * accounts, 5.0, 200.0)
    return pd.DataFrame({"tenure_days": tenure}, index=np.arange(accounts).astype(str))


def test_newcomers_are_those_since_the_snapshot_before():
    assert usual().within_days == 14.0


def test_a_usual_share_is_no_wave_and_a_doubled_one_is():
    assert not usual().wave(snapshot(0.23), np.ones(1000, dtype=bool)).any()
    X = snapshot(0.45)
    assert (usual().wave(X, np.ones(1000, dtype=bool)) == (X["tenure_days"] < 14).to_numpy()).all()


def test_the_alarm_does_not_grow_with_the_number_of_accounts():
    shares = [0.20, 0.22, 0.19, 0.21, 0.20, 0.23]
    small, large = (Newcomers.learn(*history(shares, accounts)) for accounts in (200, 20_000))
    assert small.usual_share == pytest.approx(large.usual_share, abs=0.01)


def test_fewer_than_four_snapshots_tell_nothing():
    assert Newcomers.learn(*history([0.2, 0.2, 0.2])) is None


def test_grey_accounts_are_not_counted():
    X = snapshot(0.45)
    counted = (X["tenure_days"] > 14).to_numpy()
    assert not usual().wave(X, counted).any()


def test_snapshots_are_told_apart():
    frames = {DATES[0]: snapshot(0.2), DATES[1]: snapshot(0.5)}
    X = pd.concat(frames, names=["as_of", "account_id"])
    wave = pd.Series(usual().wave(X, np.ones(len(X), dtype=bool)), index=X.index)
    assert wave.groupby(level="as_of").sum().tolist() == [0, 500]


def test_a_wave_takes_newcomers_out_of_green_and_leaves_the_others():
    light = TrafficLight("fixed", amber_from=0.2, red_from=0.5).fit([0.1, 0.9], [0, 1])
    light.newcomers_ = usual()
    X = snapshot(0.45)
    decided = decide(np.full(1000, 0.1), X, light=light, rules=DEFAULT_RULES)
    new = (X["tenure_days"] < 14).to_numpy()
    assert set(decided["colour"][new]) == {"amber"}
    assert set(decided["rule"][new]) == {"wave of newcomers"}
    assert set(decided["colour"][~new]) == {"green"}
    assert set(decided["model_colour"]) == {"green"}


def test_without_a_history_the_rule_is_applicable_and_idle():
    X = mark_wave(snapshot(0.9), None, np.ones(1000, dtype=bool))
    decided = apply_rules(X, ["green"] * 1000, DEFAULT_RULES[-1:])
    assert set(decided["colour"]) == {"green"}
    assert decided.attrs["notes"] == ()


def test_only_a_light_that_promises_watches_and_saving_keeps_it():
    p, y = np.tile([0.05, 0.9], 400), np.tile([0, 1], 400)
    fixed = TrafficLight("fixed", amber_from=0.2, red_from=0.5).fit(p, y)
    assert fixed.watch_newcomers(*history([0.2] * 5)).newcomers_ is None
    light = TrafficLight(green_max_churn=0.2, red_min_churn=0.5).fit(p, y)
    before = policy_version(light, ())
    light.watch_newcomers(*history([0.2] * 5))
    assert TrafficLight.from_dict(light.to_dict()).newcomers_ == light.newcomers_
    assert policy_version(light, ()) != before
