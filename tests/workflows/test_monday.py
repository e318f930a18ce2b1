"""The team lead's page over a real history."""

from datetime import date, datetime

import pandas as pd
import pytest

from churnrisk.errors import UsageError
from churnrisk.history import NONE, HistoryStore, NewRun
from churnrisk.workflows.monday import monday
from churnrisk.workflows.reviews import Change, review, undo

NOW = datetime(2026, 7, 7, 9)
ACCOUNTS = {
    # account: owner, segment, value, colour in June, colour in July
    "a": ("Kim", "Small", 100.0, "green", "red"),
    "b": ("Kim", "Small", 200.0, "red", "red"),
    "c": ("Kim", "Large", 400.0, "amber", "amber"),
    "d": ("Lee", "Large", None, "red", "red"),
    "e": (None, None, 800.0, "green", "amber"),
    "f": ("Lee", "Small", 50.0, "red", "green"),
}


@pytest.fixture(params=[False, True], ids=["plain", "pooled"])
def store(tmp_path, request):
    with HistoryStore(f"sqlite:///{tmp_path / 'history.db'}", pooled=request.param) as opened:
        for number, as_of in enumerate((datetime(2026, 6, 1), datetime(2026, 7, 6))):
            frame = pd.DataFrame(
                {
                    "account_id": list(ACCOUNTS),
                    "owner": [owner for owner, *_ in ACCOUNTS.values()],
                    "segment": [segment for _, segment, *_ in ACCOUNTS.values()],
                    "annual_value": [value for _, _, value, *_ in ACCOUNTS.values()],
                    "probability": 0.5,
                    "colour": [one[3 + number] for one in ACCOUNTS.values()],
                    "decided_by": "model",
                }
            )
            opened.publish(NewRun(as_of, as_of, "i", "m", "p"), frame)
        yield opened


def say(store, change, *accounts, now=NOW):
    return review(store, dict.fromkeys(accounts), change, author="Ada", via="web", now=now)


def load(store, **more):
    return {
        one.owner: (one.red, one.amber, one.newly_red, one.value, one.untouched, one.overdue)
        for one in monday(store, now=NOW, **more).load
    }


def test_each_owner_has_what_is_red_and_amber_and_what_nobody_has_touched(store):
    assert load(store) == {
        "Kim": (2, 1, 1, 700.0, 3, 2),
        "Lee": (1, 0, 0, 0.0, 1, 1),
        NONE: (0, 1, 0, 800.0, 1, 0),
    }


def test_what_is_touched_snoozed_or_churned_is_nobodys_open_work(store):
    say(store, Change("contacted"), "a")
    say(store, Change("churned"), "d")
    say(store, Change("snoozed", until=date(2026, 8, 1), reason="x"), "c")
    assert [load(store)[owner][4:] for owner in ("Kim", "Lee")] == [(1, 1), (0, 0)]


def test_a_touch_from_before_the_colour_does_not_count(store):
    say(store, Change(note="old"), "a", "b", now=datetime(2026, 6, 20))
    assert load(store)["Kim"][4:] == (2, 1)


def test_over_time_every_run_has_its_sums_and_the_first_has_nothing_new(store):
    found = monday(store, now=NOW)
    assert [
        (one.as_of.month, one.accounts, one.red, one.amber, one.newly_red, one.value)
        for one in found.over_time
    ] == [
        (6, 6, 3, 1, None, 650.0),
        (7, 6, 3, 2, 1, 1_500.0),
    ]
    assert found.newly_red == 1
    assert [(group.key, group.value) for group in found.by_segment] == [
        ("Large", 400.0),
        ("Small", 300.0),
        (NONE, 800.0),
    ]


def test_saved_accounts_are_listed_until_they_are_taken_back(store):
    say(store, Change("saved"), "b")
    say(store, Change("saved"), "a", now=datetime(2026, 5, 1))
    made = say(store, Change("saved"), "c")
    assert [one.account_id for one in monday(store, now=NOW).saved] == ["c", "b"]
    undo(store, author="Ada", via="web", now=NOW, review_id=made.review_id)
    found = monday(store, now=NOW)
    assert ([one.account_id for one in found.saved], found.saved_value) == (["b"], 200.0)


def test_an_account_that_is_saved_twice_is_worth_its_value_once(store):
    for day in (2, 4, 6):
        say(store, Change("saved", note=f"Call {day}."), "b", now=datetime(2026, 7, day))
    found = monday(store, now=NOW)
    assert [(one.account_id, one.at.day) for one in found.saved] == [("b", 6)]
    assert found.saved_value == 200.0


def test_within_a_scope_there_is_one_owner_only(store):
    say(store, Change("saved"), "b", "d")
    found = monday(store, now=NOW, scope="LEE")
    assert [one.owner for one in found.load] == ["Lee"]
    assert [one.account_id for one in found.saved] == ["d"]
    assert [(one.red, one.newly_red) for one in found.over_time] == [(2, None), (1, 0)]
    nobody = monday(store, now=NOW, scope="Nobody")
    assert (nobody.load, nobody.saved, nobody.by_segment) == ((), (), ())


def test_before_the_first_run_the_command_is_named(sqlite_store):
    with pytest.raises(UsageError, match="churnrisk score"):
        monday(sqlite_store, now=NOW)


@pytest.fixture
def sqlite_store(tmp_path):
    with HistoryStore(f"sqlite:///{tmp_path / 'empty.db'}") as opened:
        yield opened
