"""What the team's capacity makes of the red list: work, beyond capacity, on watch, handled before."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from churnrisk.records import Places, RedListQuery
from churnrisk.store import HistoryStore
from churnrisk.team import Change, export, monday, read_red_list, review, view_account
from tests.store.test_worklist import ACCOUNTS, NOW, account, order, publish

EARLIER = datetime(2026, 6, 20)
EVERYTHING = RedListQuery(colours=("red", "amber", "green", "grey"), snoozed="all")
SAID = (
    None,
    None,
    Change("contacted"),
    Change("saved"),
    Change("false_alarm"),
    Change(note="no answer"),
    Change("churned"),
    Change("snoozed", until=date(2026, 8, 1), reason="x"),
)
TOUCHES = st.lists(st.tuples(st.sampled_from(range(len(SAID))), st.booleans()), min_size=14, max_size=14)


def record(store, accounts, touches):
    """Record what people said of accounts, some before the run and some after; return what stands."""
    stands = {}
    for one, (number, early) in zip(accounts, touches, strict=False):
        early = early and one["earlier"] is not None
        if SAID[number] is not None:
            at = EARLIER if early else NOW
            review(store, {one["account_id"]: None}, SAID[number], author="Ada", via="web", now=at)
            stands[one["account_id"]] = (SAID[number].disposition, early)
    return stands


def places_of(accounts, stands, capacity):
    """The law once more, in plain Python: place and rank of every account."""
    places, queue = {}, []
    for one in sorted(accounts, key=lambda one: order(one, RedListQuery())):
        said, early = stands.get(one["account_id"], (None, False))
        if one["colour"] not in ("red", "amber") or said in ("churned", "snoozed"):
            places[one["account_id"]] = (None, None)
        elif said is not None and early and one["colour"] == one["earlier"]:
            places[one["account_id"]] = ("handled", None)
        else:
            queue.append(one)
    for rank, one in enumerate(queue, 1):
        after = "beyond" if one["colour"] == "red" else "watch"
        places[one["account_id"]] = ("work", rank) if rank <= capacity else (after, None)
    return places


def counted(capacity, places):
    counts = Counter(place for place, _ in places)
    return Places(capacity, *(counts[name] for name in ("work", "beyond", "watch", "handled")))


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(drawn=ACCOUNTS, touches=TOUCHES, capacity=st.integers(1, 6), owner=st.sampled_from(["Kim", "(none)"]))
def test_the_list_is_cut_at_the_capacity_red_first_then_by_expected_loss(
    fresh_url, drawn, touches, capacity, owner
):
    accounts = [account(number, *parts) | {"said": 0} for number, parts in enumerate(drawn)]
    with HistoryStore(fresh_url()) as store:
        publish(store, accounts)
        expected = places_of(accounts, record(store, accounts, touches), capacity)
        everything = EVERYTHING.model_copy(update={"capacity": capacity})

        def read(**changes):
            query = everything.model_copy(update=changes)
            return read_red_list(store, as_of=None, query=query, now=NOW, per_page=100)

        rows = [*read().rows, *read(disposition="churned").rows]
        found = {row.account_id: (row.place, row.rank) for row in rows}
        assert found == expected
        assert read().places == counted(capacity, expected.values())
        # nobody's filter or order changes a place
        of_owner = {
            one["account_id"] for one in accounts if one["owner"] == (None if owner == "(none)" else owner)
        }
        mine = read(owner=owner, sort="probability")
        assert all((row.place, row.rank) == expected[row.account_id] for row in mine.rows)
        assert mine.places == counted(capacity, [expected[one] for one in of_owner])
        # what is not work yet never stands before work
        default = [row.place for row in read(colours=("red", "amber"), snoozed="hide").rows]
        first = next((n for n, place in enumerate(default) if place in ("beyond", "watch")), len(default))
        assert "work" not in default[first:]
        if "beyond" in default:
            assert {row.colour for row in rows if row.place == "work"} == {"red"}
        for place in ("work", "beyond", "watch", "handled"):
            ids = {one for one, (its, _) in expected.items() if its == place}
            page = read(place=place)
            assert ({row.account_id for row in page.rows}, page.matching) == (ids, len(ids))
            with export(store, as_of=None, query=everything.model_copy(update={"place": place}), now=NOW) as (
                _,
                streamed,
            ):
                assert tuple(streamed) == page.rows
        for one in accounts[:3]:
            row = view_account(store, one["account_id"], now=NOW, capacity=capacity).row
            assert (row.place, row.rank) == expected[one["account_id"]]
        week = monday(store, now=NOW, capacity=capacity)
        assert week.places == counted(capacity, expected.values())
        assert sum(load.places.watch for load in week.load) == week.places.watch


@pytest.fixture
def three_reds(store):
    publish(
        store,
        [
            account(number, "red", "red", "Kim", None, "recency", value, None, 0, None)
            for number, value in enumerate((100.0, None, 900.0, 400.0))
        ],
    )
    return store


def ranks(store, capacity, now=NOW):
    query = RedListQuery(capacity=capacity)
    found = read_red_list(store, as_of=None, query=query, now=now)
    return {row.account_id: row.rank for row in found.rows if row.place == "work"}


def test_where_no_value_is_known_the_probability_decides_after_those_with_one(three_reds):
    assert ranks(three_reds, 10) == {"a02": 1, "a03": 2, "a00": 3, "a01": 4}


def test_what_is_done_after_the_run_keeps_its_place_and_what_is_snoozed_gives_it_up(three_reds):
    review(three_reds, {"a02": None}, Change("contacted"), author="Ada", via="web", now=NOW)
    assert ranks(three_reds, 2) == {"a02": 1, "a03": 2}
    snooze = Change("snoozed", until=date(2026, 8, 1), reason="holidays")
    review(three_reds, {"a02": None}, snooze, author="Ada", via="web", now=NOW)
    assert ranks(three_reds, 2) == {"a03": 1, "a00": 2}
    assert ranks(three_reds, 2, now=datetime(2026, 8, 1)) == {"a02": 1, "a03": 2}


def test_what_was_handled_before_the_run_takes_no_place_until_it_is_touched_again(three_reds):
    review(three_reds, {"a02": None}, Change("contacted"), author="Ada", via="web", now=EARLIER)
    assert ranks(three_reds, 2) == {"a03": 1, "a00": 2}
    review(three_reds, {"a02": None}, Change(note="called back"), author="Ada", via="web", now=NOW)
    assert ranks(three_reds, 2) == {"a02": 1, "a03": 2}


def test_without_a_capacity_nothing_has_a_place(three_reds):
    found = read_red_list(three_reds, as_of=None, query=RedListQuery(), now=NOW)
    assert found.places is None
    assert {row.place for row in found.rows} == {None}
    asked = read_red_list(three_reds, as_of=None, query=RedListQuery(place="work"), now=NOW)
    assert (asked.rows, asked.matching) == ((), 0)
    assert monday(three_reds, now=NOW).places is None


def test_the_work_is_read_from_the_index_of_the_list_without_sorting(sqlite_url):
    with HistoryStore(sqlite_url) as store:
        publish(store, [account(0, "red", "red", "Kim", None, "recency", 1.0, None, 0, None)])
        plans = []

        def explain(connection, cursor, statement, parameters, context, executemany):
            if statement.startswith("SELECT") and "LIMIT" in statement and "FROM scores" in statement:
                cursor = connection.connection.dbapi_connection.cursor()
                plans.extend(row[-1] for row in cursor.execute(f"explain query plan {statement}", parameters))

        event.listen(Engine, "before_cursor_execute", explain)
        try:
            read_red_list(store, as_of=None, query=RedListQuery(capacity=5), now=NOW)
        finally:
            event.remove(Engine, "before_cursor_execute", explain)
    assert any("ix_scores_listed" in step for step in plans)
    assert not [step for step in plans if "TEMP B-TREE" in step]


def test_a_place_in_the_address_is_one_of_four_and_the_capacity_never_comes_from_it():
    query = RedListQuery.from_query({"place": "work", "capacity": "9"}, capacity=50)
    assert (query.place, query.capacity, query.to_query()) == ("work", 50, {"place": "work"})
