"""A long-lived store used by many threads: its memory is never older than the history."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import pytest
from sqlalchemy import insert

from churnrisk.errors import UnavailableError
from churnrisk.records import RedListQuery
from churnrisk.store import ColourOutcome, HistoryStore, undo, write_outcomes
from churnrisk.store.schema import actions
from churnrisk.team import Change, monday, read_red_list, review

NOW = datetime(2026, 7, 7, 9)


def listed(store, *, now=NOW, **fields):
    found = read_red_list(store, as_of=None, query=RedListQuery(**fields), now=now)
    return [row.account_id for row in found.rows]


@pytest.fixture
def served(url, new_run, scored):
    """A server's store, and another program's on the same history."""
    with HistoryStore(url, pooled=True) as server, HistoryStore(url) as other:
        other.publish(new_run(month=6), scored("red", "amber"))
        yield server, other


def test_what_is_remembered_is_what_would_be_read(served):
    server, other = served
    for _ in range(2):
        assert read_red_list(server, as_of=None, query=RedListQuery(), now=NOW) == read_red_list(
            other, as_of=None, query=RedListQuery(), now=NOW
        )


def test_whatever_another_program_writes_is_seen_at_once(served, new_run, scored):
    server, other = served
    assert listed(server) == ["a0", "a1"]
    review(other, {"a0": None}, Change("churned"), author="Ada", via="cli", now=NOW)
    assert listed(server) == ["a1"]
    undo(other, author="Ada", via="cli", now=NOW)
    assert listed(server) == ["a0", "a1"]
    other.publish(new_run(month=7), scored("green", "amber"))
    assert listed(server) == ["a1"]
    other.publish(new_run(month=5), scored("red", "red"))
    assert listed(server, newly_red=True) == []
    assert [one.missed for one in monday(server, now=NOW).over_time] == [None] * 3
    known = ColourOutcome(3, "green", "", NOW, 0, known=9, churned=2, data_end=NOW)
    write_outcomes(other, [known])
    assert [one.missed for one in monday(server, now=NOW).over_time] == [2, None, None]


def test_what_is_handed_out_is_seen_at_once(served):
    server, other = served
    assert sum(one.overdue for one in monday(server, now=NOW).load) == 2
    due = {"channel": "mail", "colour": "red", "handed_out_at": NOW, "due_at": datetime(2026, 8, 1)}
    rows = [
        {"run_id": 1, "account_id": account, "play": "call", "reason": "x", **due} for account in ("a0", "a1")
    ]
    with other.database.writing() as connection:
        connection.execute(insert(actions), rows)
    assert sum(one.overdue for one in monday(server, now=NOW).load) == 0


def test_a_snooze_ends_for_the_memory_too(served):
    server, _ = served
    review(
        server,
        {"a0": 0},
        Change("snoozed", until=date(2026, 8, 1), reason="x"),
        author="A",
        via="web",
        now=NOW,
    )
    assert listed(server) == ["a1"]
    assert listed(server, now=datetime(2026, 8, 1)) == ["a0", "a1"]


def test_views_of_different_people_are_cached_apart(served):
    server, _ = served
    assert listed(server, scope="Kim") == []
    assert listed(server) == ["a0", "a1"]
    assert listed(server, colours=("amber",)) == ["a1"]


def test_only_so_many_results_are_cached(served):
    server, _ = served
    for number in range(300):
        listed(server, search=f"a{number}")
    assert len(server.query_cache) == 128
    assert listed(server, search="a1") == ["a1"]


def test_many_threads_read_and_write_at_once(served):
    server, _ = served

    def work(number):
        if number % 5 == 0:
            review(server, {"a1": None}, Change(note=f"{number}"), author="Ada", via="web", now=NOW)
        return listed(server)

    with ThreadPoolExecutor(12) as pool:
        assert set(map(tuple, pool.map(work, range(120)))) == {("a0", "a1")}
    found = read_red_list(server, as_of=None, query=RedListQuery(), now=NOW)
    assert found.rows[1].state.version == 24


def test_a_writer_that_takes_too_long_is_named_and_not_waited_for_forever(tmp_path, new_run, scored):
    path = tmp_path / "history.db"
    with HistoryStore(f"sqlite:///{path}", pooled=True, busy_seconds=0.2) as store:
        store.publish(new_run(), scored("red"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="another program is writing"):
            review(store, {"a0": 0}, Change("saved"), author="Ada", via="web", now=NOW)
        assert time.monotonic() - began < 5
        assert listed(store) == ["a0"]
        other.execute("rollback")
        other.close()
        assert review(store, {"a0": 0}, Change("saved"), author="Ada", via="web", now=NOW).review_id == 1
