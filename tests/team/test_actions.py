"""Actions over a sequence of published runs, on a real history."""

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.errors import UsageError
from churnrisk.lights import load_playbook
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore, NewRun, read_actions
from churnrisk.team import ActionFilter, hand_out_actions

START = datetime(2026, 1, 1, 7)
PLAYS = ["silence call", "silence nudge", "renewal follow-up", "single contact", "unused seats", None]
REASONS = (
    '[{{"feature": "{0}", "family": "recency", "text": "{0} says so", "value": 1.0, "contribution": 0.5}}]'
)


def make_project(folder):
    (Path(folder) / "churnrisk.toml").write_text("")
    return load_project(Path(folder))


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def publish(project, day, rows):
    """Publish a run of rows (account, colour, play, reason)."""
    frame = pd.DataFrame(rows, columns=["account_id", "colour", "play", "reason"])
    frame["reasons"] = [REASONS.format(reason) for reason in frame.pop("reason")]
    frame = frame.assign(decided_by="model", probability=0.5, owner="Ada", next_step="Do it.")
    moment = START + timedelta(days=day)
    run = NewRun(moment.replace(hour=0), moment, f"i{day}", "m1", "p1")
    with HistoryStore(project.store_url) as store:
        store.publish(run, frame)


def hand(project, day, *, record=True, deliver=lambda made: None, **wanted):
    return hand_out_actions(
        project,
        now=START + timedelta(days=day),
        query=ActionFilter(**wanted),
        deliver=deliver,
        record=record,
    )


def accounts(handed):
    return [action.account_id for action in handed.actions]


def test_an_action_says_who_does_what_by_when_and_why(project):
    publish(project, 0, [("a", "red", "silence call", "silent_30d")])
    (action,) = hand(project, 0).actions
    assert (action.play, action.reason, action.channel, action.role) == (
        "silence call",
        "silent_30d",
        "phone",
        "account owner",
    )
    assert action.why == "silent_30d says so"
    assert action.due_at == datetime(2026, 1, 3)


def test_the_same_run_is_handed_out_once_and_what_waits_is_counted(project):
    publish(project, 0, [("a", "red", "silence call", "x"), ("b", "amber", "silence nudge", "x")])
    assert len(hand(project, 0, owner="ADA").actions) == 2
    assert hand(project, 0).actions == ()
    publish(project, 1, [("a", "red", "silence call", "x"), ("c", "red", "silence call", "x")])
    later = hand(project, 1)
    assert accounts(later) == ["c"]
    assert later.waiting == 1


def test_the_key_of_a_case_is_the_same_in_every_run(project):
    publish(project, 0, [("a", "red", "silence call", "x")])
    (first,) = hand(project, 0).actions
    publish(project, 40, [("a", "red", "silence call", "x")])
    (second,) = hand(project, 40).actions
    assert first.key == second.key


def test_alerts_come_on_transitions_to_a_worse_colour_only(project):
    publish(project, 0, [("a", "amber", None, "x"), ("b", "red", None, "x"), ("c", "green", None, "x")])
    publish(
        project,
        1,
        [
            ("a", "red", None, "x"),
            ("b", "red", None, "x"),
            ("c", "amber", None, "x"),
            ("d", "red", None, "x"),
        ],
    )
    assert accounts(hand(project, 1, newly=True)) == ["a", "d", "c"]


def test_red_and_amber_without_a_play_fall_back_and_green_without_one_needs_nothing(project):
    publish(project, 0, [(c, c, None, "x") for c in ("red", "amber", "green", "grey")])
    made = hand(project, 0).actions
    assert [(action.colour, action.play, action.channel) for action in made] == [
        ("red", "fallback", "phone"),
        ("amber", "fallback", "mail"),
    ]
    assert all(action.next_step == "Do it." for action in made)


def test_a_dry_run_and_a_failed_delivery_leave_everything_to_be_handed_out(project):
    def fail(made):
        raise UsageError("no such folder")

    publish(project, 0, [("a", "red", "silence call", "x")])
    assert len(hand(project, 0, record=False).actions) == 1
    with pytest.raises(UsageError, match="no such folder"):
        hand(project, 0, deliver=fail)
    assert len(hand(project, 0).actions) == 1


def test_filters_are_applied_before_anything_is_recorded(project):
    publish(project, 0, [("a", "red", "silence call", "x"), ("b", "amber", "silence nudge", "x")])
    assert accounts(hand(project, 0, colours=("red",))) == ["a"]
    assert hand(project, 0, owner="Bob").actions == ()
    assert accounts(hand(project, 0)) == ["b"]


def test_an_unknown_colour_is_refused():
    with pytest.raises(UsageError, match="is no colour"):
        ActionFilter(("pink",))


def test_before_the_first_run_the_command_to_run_is_named(project):
    with pytest.raises(UsageError, match="churnrisk score"):
        hand(project, 0)


row = st.tuples(
    st.sampled_from("ab"), st.sampled_from(["red", "amber", "green"]), st.sampled_from(PLAYS), st.just("x")
)
rows = st.lists(row, min_size=1, max_size=2, unique_by=lambda row: row[0])


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), rows), min_size=1, max_size=8))
def test_cooldowns_and_channel_limits_hold_over_any_sequence_of_runs(sequence):
    playbook = load_playbook()
    cooldowns = {play.name: play.cooldown_days for play in playbook.plays} | {"fallback": 14}
    by_play, by_channel = defaultdict(list), defaultdict(list)
    with TemporaryDirectory() as folder:
        project, day = make_project(folder), 0
        for wait, published in sequence:
            day += wait
            publish(project, day, published)
            for action in hand(project, day).actions:
                by_play[action.account_id, action.play].append(day)
                by_channel[action.account_id, action.channel].append(day)
    for (_, play), days in by_play.items():
        assert all(after - before >= cooldowns[play] for before, after in pairwise(days))
    for (_, channel), days in by_channel.items():
        assert all(after - before >= playbook.channels[channel] for before, after in pairwise(days))


def test_pages_of_actions_are_all_of_them_in_the_same_order(project):
    publish(project, 0, [(name, "red", "silence call", "silent_30d") for name in "cab"])
    whole = hand(project, 0, record=False)
    first = hand(project, 0, record=False, limit=2)
    last = hand(project, 0, record=False, limit=2, offset=2)
    assert accounts(first) + accounts(last) == accounts(whole) == ["a", "b", "c"]
    assert (whole.more, first.more, last.more) == (False, True, False)


def test_an_open_history_is_used_and_left_open(project):
    publish(project, 0, [("a", "red", "silence call", "silent_30d")])
    with HistoryStore(project.store_url, pooled=True) as store:
        handed = hand_out_actions(
            project, now=START, query=ActionFilter(), deliver=lambda made: None, record=True, store=store
        )
        assert accounts(handed) == ["a"]
        with store.database.reading() as connection:
            assert len(read_actions(connection, "a")) == 1
