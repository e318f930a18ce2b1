"""The team lead's page over a real history."""

from datetime import date, datetime, timedelta

import pandas as pd
import pytest

from churnrisk.errors import UsageError
from churnrisk.records import NONE
from churnrisk.store import HistoryStore, NewRun, hand_out, read_saved, undo
from churnrisk.team import Change, monday, review, view_account
from churnrisk.web import environment, team_view

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
    assert [one.account_id for one in monday(store, now=NOW).saved.accounts] == ["c", "b"]
    undo(store, author="Ada", via="web", now=NOW, review_id=made.review_id)
    found = monday(store, now=NOW)
    assert ([one.account_id for one in found.saved.accounts], found.saved.annual_value) == (["b"], 200.0)


def test_an_account_that_is_saved_twice_is_worth_its_value_once(store):
    for day in (2, 4, 6):
        say(store, Change("saved", note=f"Call {day}."), "b", now=datetime(2026, 7, day))
    found = monday(store, now=NOW)
    assert [(one.account_id, one.at.day) for one in found.saved.accounts] == [("b", 6)]
    assert (found.saved.count, found.saved.annual_value) == (1, 200.0)


def test_within_a_scope_there_is_one_owner_only(store):
    say(store, Change("saved"), "b", "d")
    found = monday(store, now=NOW, scope="LEE")
    assert [one.owner for one in found.load] == ["Lee"]
    assert [one.account_id for one in found.saved.accounts] == ["d"]
    assert [(one.red, one.newly_red) for one in found.over_time] == [(2, None), (1, 0)]
    nobody = monday(store, now=NOW, scope="Nobody")
    assert (nobody.load, nobody.saved.count, nobody.by_segment) == ((), 0, ())


def test_an_account_that_churned_after_all_was_not_saved(store):
    say(store, Change("saved"), "b", "c")
    say(store, Change("churned"), "b")
    found = monday(store, now=NOW).saved
    assert [one.account_id for one in found.accounts] == ["c"]
    assert (found.count, found.annual_value) == (1, 400.0)
    undo(store, author="Ada", via="web", now=NOW)
    assert monday(store, now=NOW).saved.count == 2


def test_of_many_saved_accounts_all_are_counted_though_the_last_ones_are_listed(store):
    say(store, Change("saved"), "a", "b", "c")
    with store.database.reading() as connection:
        found = read_saved(connection, since=datetime(2026, 7, 1), owners=None, limit=2)
    assert (len(found.accounts), found.count, found.annual_value) == (2, 3, 700.0)


def test_at_the_first_run_nothing_is_newly_red(sqlite_store):
    frame = pd.DataFrame({"account_id": ["a"], "owner": ["Kim"], "colour": ["red"], "decided_by": ["model"]})
    sqlite_store.publish(NewRun(datetime(2026, 7, 6), datetime(2026, 7, 6), "i", "m", "p"), frame)
    found = monday(sqlite_store, now=NOW)
    assert (found.newly_red, [one.newly_red for one in found.load]) == (None, [None])
    first, *_ = environment().get_template("tiles.html").render(team_view(found, scope=None)).split("</div>")
    assert '<dt>Newly red</dt><dd class="value">–</dd>' in first
    assert "first run" in first


@pytest.mark.parametrize("day", range(5, 20))
def test_overdue_is_the_same_here_and_on_the_page_of_each_account(store, day):
    now = datetime(2026, 7, day, 9)
    deadlines = {"visit": 5}
    handed = {"account_id": ["a"], "play": ["call"], "reason": ["x"], "channel": ["phone"], "colour": ["red"]}
    due = pd.DataFrame(handed | {"due_at": pd.to_datetime(["2026-07-12"]).astype("datetime64[us]")})
    latest = store.latest_run().run_id
    hand_out(
        store, latest, due, choose=lambda fresh, _: [True] * len(fresh), deliver=lambda _: None,
        at=datetime(2026, 7, 6, 12), within=timedelta(days=30),
    )  # fmt: skip
    say(store, Change("snoozed", until=date(2026, 7, 10), reason="x"), "b", now=datetime(2026, 5, 2))
    say(store, Change("contacted"), "d", now=datetime(2026, 7, 5))
    pages = [view_account(store, account, now=now, deadlines=deadlines) for account in ACCOUNTS]
    counted = sum(one.overdue for one in monday(store, now=now, deadlines=deadlines).load)
    assert counted == sum(page.overdue for page in pages)


def test_before_the_first_run_the_command_is_named(sqlite_store):
    with pytest.raises(UsageError, match="churnrisk score"):
        monday(sqlite_store, now=NOW)


@pytest.fixture
def sqlite_store(tmp_path):
    with HistoryStore(f"sqlite:///{tmp_path / 'empty.db'}") as opened:
        yield opened
