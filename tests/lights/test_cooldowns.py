"""Cooldowns and channel limits hold whatever sequence of runs comes."""

from datetime import datetime, timedelta
from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.lights import may_go_out

START = datetime(2026, 1, 1)
CHANNEL = {"call": "phone", "rescue": "phone", "guide": "mail", "offer": "mail", "visit": "meeting"}
COOLDOWNS = {"call": 7, "rescue": 2, "guide": 30, "offer": 10}
CHANNELS = {"phone": 1, "mail": 5, "meeting": 0}
DEFAULT = 4
COLUMNS = ["account_id", "play", "channel", "handed_out_at"]

cases = st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(CHANNEL)))
runs = st.lists(st.tuples(st.integers(0, 60 * 24), st.lists(cases, max_size=8)), max_size=12)


def hand_out(past, plays, now):
    candidates = pd.DataFrame(plays, columns=["account_id", "play"])
    candidates["channel"] = candidates["play"].map(CHANNEL)
    goes = may_go_out(
        candidates, past, now=now, cooldowns=COOLDOWNS, channels=CHANNELS, default_cooldown=DEFAULT
    )
    out = candidates[goes].assign(handed_out_at=now)
    return pd.concat([past, out], ignore_index=True) if len(past) else out.reset_index(drop=True)


def nothing():
    return pd.DataFrame(columns=COLUMNS).astype({"handed_out_at": "datetime64[us]"})


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(runs)
def test_no_two_actions_come_closer_than_cooldown_and_channel_allow(sequence):
    past = nothing()
    for hours, plays in sequence:
        past = hand_out(past, plays, START + timedelta(hours=hours))
    for one, other in combinations(past.itertuples(), 2):
        apart = abs(one.handed_out_at - other.handed_out_at)
        if one.account_id == other.account_id and one.play == other.play:
            assert apart >= timedelta(days=COOLDOWNS.get(one.play, DEFAULT))
            assert apart > timedelta(0)
        if one.account_id == other.account_id and one.channel == other.channel:
            assert apart >= timedelta(days=CHANNELS[one.channel])


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(runs)
def test_what_nothing_forbids_goes_out(sequence):
    past = nothing()
    for hours, plays in sequence:
        now = START + timedelta(hours=hours)
        before = len(past)
        past = hand_out(past, plays, now)
        fresh = {account for account, _ in plays} - set(past["account_id"][:before])
        assert fresh <= set(past["account_id"][before:])


def test_a_play_is_free_again_on_the_day_its_cooldown_ends():
    past = hand_out(nothing(), [("a", "call")], START)
    assert len(hand_out(past, [("a", "call")], START + timedelta(days=7, seconds=-1))) == 1
    assert len(hand_out(past, [("a", "call")], START + timedelta(days=7))) == 2


def test_a_channel_of_its_own_is_not_blocked():
    past = hand_out(nothing(), [("a", "guide")], START)
    assert len(hand_out(past, [("a", "offer"), ("a", "call"), ("b", "offer")], START)) == 3
