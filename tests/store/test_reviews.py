"""Reviews on a real history: nothing lost, nothing overwritten unseen, everything taken back exactly."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.errors import NotFoundError, UsageError
from churnrisk.store import (
    FIELDS,
    ConflictError,
    HistoryStore,
    NewRun,
    active_overrides,
    all_overrides,
    read_states,
    stored,
    trail,
    undo,
)
from churnrisk.team import END, OPEN, Change, review

NOW = datetime(2026, 7, 7, 9)
LATER = date(2026, 9, 1)
ACCOUNTS = ("a0", "a1", "a2")
PEOPLE = ("Ada", "Bob")
SNOOZE = Change("snoozed", until=LATER, reason="on holiday")


def publish(
    store, colours=("red", "red", "amber"), *, as_of=datetime(2026, 7, 6), owners=("Kim", "Kim", "Lee")
):
    frame = pd.DataFrame(
        {
            "account_id": ACCOUNTS,
            "colour": colours,
            "decided_by": "model",
            "owner": owners,
            "probability": 0.5,
        }
    )
    return store.publish(NewRun(as_of, as_of, "i", "m", "p"), frame).run


@pytest.fixture
def history(store):
    publish(store)
    return store


def states(store, *, now=NOW):
    """What undoing must restore: the account state without its version, and the overrides in force."""
    with store.database.reading() as connection:
        found = read_states(connection, ACCOUNTS, now=now)
    in_force = active_overrides(store, at=now)["colour"].to_dict()
    return {
        name: (
            *(getattr(state, field) for field in state.__slots__ if field != "version"),
            in_force.get(name),
        )
        for name, state in found.items()
    }


def say(store, change, *accounts, author="Ada", **more):
    versions = dict.fromkeys(accounts or ("a0",), None)
    return review(store, versions, change, **({"author": author, "via": "cli", "now": NOW} | more))


def take_back(store, author="Ada", **more):
    return undo(store, **({"author": author, "via": "cli", "now": NOW} | more))


CHANGES = st.one_of(
    st.sampled_from(["contacted", "saved", "false_alarm", "churned", OPEN]).map(Change),
    st.integers(1, 90).map(
        lambda days: Change("snoozed", until=LATER + timedelta(days=days), reason="later")
    ),
    st.sampled_from(["call again", "Ünïcode – 'quoted' \"text\"", "<script>"]).map(
        lambda text: Change(note=text)
    ),
    st.sampled_from(["", "Kim", "Lee"]).map(lambda name: Change(assignee=name)),
    st.sampled_from(["green", "amber", "red"]).map(
        lambda colour: Change(override=colour, until=LATER, reason="I know them")
    ),
    st.just(Change(override=END)),
    st.just(Change("contacted", note="and a note", assignee="Lee")),
)
STEPS = st.tuples(
    st.sampled_from(PEOPLE),
    st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=3, unique=True),
    st.one_of(CHANGES, st.just("undo")),
)


def walk(store, steps):
    """Make the steps that can be made."""
    for author, accounts, step in steps:
        try:
            take_back(store, author) if step == "undo" else say(store, step, *accounts, author=author)
        except UsageError:
            continue  # nothing to end or to take back, or a newer change stands in the way


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=8), accounts=st.sets(st.sampled_from(ACCOUNTS), min_size=1), last=CHANGES
)
def test_undo_after_any_changes_restores_exactly_what_was_before(fresh_url, steps, accounts, last):
    with HistoryStore(fresh_url()) as store:
        publish(store)
        walk(store, steps)
        before = states(store)
        try:
            made = say(store, last, *sorted(accounts), author="Zoe")
        except UsageError:  # there is no override to end
            assert states(store) == before
            return
        take_back(store, "Zoe", review_id=made.review_id)
        assert states(store) == before


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_the_audit_trail_replayed_gives_the_present_state(fresh_url, steps):
    with HistoryStore(fresh_url()) as store:
        publish(store)
        walk(store, steps)
        replayed = defaultdict(lambda: dict.fromkeys(FIELDS))
        versions = defaultdict(int)
        for entry in reversed(trail(store, limit=1_000)):
            assert entry.version in (versions[entry.account_id], versions[entry.account_id] + 1)
            versions[entry.account_id] = entry.version
            if entry.field in FIELDS:
                assert stored(entry.field, entry.before) == replayed[entry.account_id][entry.field]
                replayed[entry.account_id][entry.field] = stored(entry.field, entry.after)
        with store.database.reading() as connection:
            found = read_states(connection, ACCOUNTS, now=NOW)
        for account, state in found.items():
            assert state.version == versions[account]
            assert {field: getattr(state, field) for field in FIELDS} == replayed[account]


@pytest.mark.parametrize("people", [2, 8])
def test_of_several_people_with_the_same_version_exactly_one_wins(url, people):
    with HistoryStore(url, pooled=True, busy_seconds=30) as store:
        publish(store)

        def write(number):
            try:
                review(
                    store,
                    {"a0": 0, "a1": 0},
                    Change(note=f"from {number}"),
                    author=f"P{number}",
                    via="web",
                    now=NOW,
                )
            except ConflictError as clash:
                return clash
            return None

        with ThreadPoolExecutor(people) as pool:
            clashes = list(pool.map(write, range(people)))
        assert clashes.count(None) == 1
        winner = clashes.index(None)
        assert {entry.author for entry in trail(store)} == {f"P{winner}"}
        for clash in filter(None, clashes):
            assert clash.versions == {"a0": 1, "a1": 1}
            assert {(entry.author, entry.after) for entry in clash.entries} == {
                (f"P{winner}", f"from {winner}")
            }


def test_nobody_loses_a_change_when_many_write_at_once(url):
    with HistoryStore(url, pooled=True, busy_seconds=30) as store:
        publish(store)

        def write(number):
            return say(
                store, Change(note=f"note {number}"), ACCOUNTS[number % 3], author=f"P{number}"
            ).review_id

        with ThreadPoolExecutor(6) as pool:
            ids = list(pool.map(write, range(18)))
        assert len(set(ids)) == 18
        assert {entry.after for entry in trail(store)} == {f"note {number}" for number in range(18)}
        with store.database.reading() as connection:
            assert [state.version for state in read_states(connection, ACCOUNTS, now=NOW).values()] == [
                6,
                6,
                6,
            ]


def test_a_stale_change_says_who_did_what_and_writes_nothing(history):
    say(history, Change("contacted", note="promised a call"), author="Bob")
    before = states(history)
    with pytest.raises(ConflictError, match=r"Bob set .* of a0 to .* on 2026-07-07 at 09:00") as caught:
        review(history, {"a1": 0, "a0": 0}, SNOOZE, author="Ada", via="web", now=NOW)
    assert {(entry.author, entry.field, entry.after) for entry in caught.value.entries} == {
        ("Bob", "disposition", "contacted"),
        ("Bob", "note", "promised a call"),
    }
    assert states(history) == before
    review(history, caught.value.versions, SNOOZE, author="Ada", via="web", now=NOW)
    assert [states(history)[account][0] for account in ("a0", "a1")] == ["snoozed", "snoozed"]


def test_nothing_is_lost_to_a_later_scoring_run(history):
    say(history, Change("contacted", note="call on Friday", assignee="Lee"))
    before = states(history)
    publish(history, ("green", "grey", "red"), as_of=datetime(2026, 7, 13), owners=("Max", "Max", "Max"))
    assert states(history) == before


def test_a_snooze_ends_by_itself_when_its_day_begins(history):
    say(history, SNOOZE)
    with history.database.reading() as connection:
        (still,) = read_states(connection, ["a0"], now=datetime(2026, 8, 31, 23, 59)).values()
        (over,) = read_states(connection, ["a0"], now=datetime(2026, 9, 1)).values()
    assert (still.disposition, still.snooze_reason) == ("snoozed", "on holiday")
    assert (over.disposition, over.snoozed_until) == (None, datetime(2026, 9, 1))


def test_a_change_on_top_has_to_be_taken_back_first(history):
    first = say(history, Change("contacted"), "a0", "a1")
    say(history, Change("saved"), "a1", author="Bob")
    with pytest.raises(ConflictError, match="Bob set disposition of a1 to saved"):
        take_back(history)
    take_back(history, "Bob")
    assert take_back(history).what == "undid: contacted"
    assert {entry.undone_by for entry in trail(history) if entry.review_id == first.review_id} == {4}
    with pytest.raises(NotFoundError):
        take_back(history)


def test_what_others_did_is_taken_back_by_an_admin_only(history):
    made = say(history, Change("contacted"), author="Bob").review_id
    with pytest.raises(NotFoundError):
        take_back(history, review_id=made)
    take_back(history, review_id=made, anybodys=True)
    (entry, *_) = trail(history)
    assert (entry.author, entry.undoes, entry.after) == ("Ada", made, None)


def test_an_override_taken_back_gives_way_to_the_one_before(history):
    say(history, Change(override="green", until=LATER, reason="first"))
    say(history, Change(override="red", until=LATER, reason="second"))
    assert active_overrides(history, at=NOW)["colour"].to_dict() == {"a0": "red"}
    take_back(history)
    assert active_overrides(history, at=NOW)["colour"].to_dict() == {"a0": "green"}
    say(history, Change(override=END))
    assert active_overrides(history, at=NOW).empty
    take_back(history)
    assert active_overrides(history, at=NOW)["colour"].to_dict() == {"a0": "green"}
    assert len(all_overrides(history)) == 2
    assert [entry.after for entry in trail(history) if entry.undoes is None and entry.undone_by is None] == [
        "green until 2026-09-01: first"
    ]


def test_a_dry_run_says_what_would_be_and_writes_nothing(history):
    planned = say(history, Change("saved"), dry_run=True)
    assert (planned.review_id, planned.states["a0"].disposition) == (None, "saved")
    assert trail(history) == ()
    say(history, Change("saved"))
    assert take_back(history, dry_run=True).review_id is None
    assert states(history)["a0"][0] == "saved"


@pytest.mark.parametrize("account", ["nobody", "a2", "a\x00", "' or 1=1 --"])
def test_an_account_outside_the_scope_looks_like_one_that_is_not_there(history, account):
    with pytest.raises(NotFoundError, match="no published run holds account"):
        say(history, Change("saved"), "a0", account, scope="kim")
    with pytest.raises(NotFoundError, match="no published run holds account"):
        trail(history, account_id=account, scope="kim")
    assert trail(history) == ()


def test_within_a_scope_the_trail_shows_its_accounts_only(history):
    say(history, Change("saved"), *ACCOUNTS)
    assert {entry.account_id for entry in trail(history, scope="KIM")} == {"a0", "a1"}
    made = say(history, Change("contacted"), "a2")
    with pytest.raises(NotFoundError):
        take_back(history, review_id=made.review_id, scope="Kim")


def test_the_trail_is_read_page_by_page(history):
    for number in range(5):
        say(history, Change(note=f"{number}"))
    first = trail(history, limit=2)
    second = trail(history, limit=2, before=first[-1].audit_id)
    assert [entry.after for entry in (*first, *second)] == ["4", "3", "2", "1"]
    assert trail(history, author="Bob") == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "found none"),
        ({"note": "  "}, "found none"),
        ({"disposition": "snoozed"}, "a snooze expects an end date and a reason"),
        ({"disposition": "snoozed", "until": LATER, "reason": " "}, "a snooze expects"),
        ({"override": "red", "until": LATER}, "an override expects an end date and a reason"),
        ({"override": "grey", "until": LATER, "reason": "x"}, "an override expects green"),
        ({"disposition": "gone"}, "a disposition is one of contacted"),
        ({"disposition": "saved", "until": LATER}, "belong to a snooze"),
        ({"disposition": "snoozed", "override": "red", "until": LATER, "reason": "x"}, "one after the other"),
        ({"note": "x" * 10_001}, "more than 10,000 characters"),
    ],
)
def test_a_change_that_says_too_little_or_too_much_is_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        Change(**fields)


@pytest.mark.parametrize(
    ("accounts", "more", "message"),
    [
        ((), {}, "1 to 1,000 accounts, found 0"),
        (("a0",), {"author": " "}, "expects an author"),
        (("a0",), {"now": datetime(2026, 9, 1)}, "has passed"),
    ],
)
def test_a_review_that_cannot_be_is_refused(history, accounts, more, message):
    given = {"author": "Ada", "via": "cli", "now": NOW} | more
    with pytest.raises(UsageError, match=message):
        review(history, dict.fromkeys(accounts), SNOOZE, **given)


def test_text_that_no_database_takes_is_cleaned(history):
    say(history, Change(note="a\x00b \ud800 c"))
    assert trail(history)[0].after == "ab ? c"
