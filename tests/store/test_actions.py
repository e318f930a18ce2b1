"""Handing out is one transaction: delivered and recorded, or neither."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import numpy as np
import pandas as pd
import pytest

from churnrisk.errors import UsageError
from churnrisk.store import HistoryStore, hand_out, read_actions

NOW = datetime(2026, 1, 5, 8)
FAR = timedelta(days=200)


@pytest.fixture
def run_id(store, new_run, scored):
    return store.publish(new_run(), scored("red", "amber")).run.run_id


def candidates(*accounts):
    return pd.DataFrame(
        {
            "account_id": list(accounts),
            "play": "call",
            "reason": "silent_30d",
            "channel": "phone",
            "colour": "red",
            "due_at": pd.Series([datetime(2026, 1, 7)] * len(accounts), dtype="datetime64[us]"),
        }
    )


def everything(fresh, past):
    return np.ones(len(fresh), dtype=bool)


def recorded(store):
    with store.database.reading() as connection:
        return [row for account in ("a0", "a1") for row in read_actions(connection, account)]


def run_out(store, run_id, rows, *, choose=everything, deliver=lambda rows: None, at=NOW, record=True):
    return hand_out(store, run_id, rows, choose=choose, deliver=deliver, at=at, within=FAR, record=record)


def test_what_was_chosen_is_delivered_and_recorded(store, run_id):
    delivered = []
    chosen = run_out(store, run_id, candidates("a0", "a1"), deliver=delivered.append)
    assert list(delivered[0]["account_id"]) == list(chosen["account_id"]) == ["a0", "a1"]
    found = recorded(store)
    assert [row["account_id"] for row in found] == ["a0", "a1"]
    assert {row["handed_out_at"] for row in found} == {NOW}
    assert {row["due_at"] for row in found} == {datetime(2026, 1, 7)}


def test_a_case_is_handed_out_once_per_run_whatever_is_chosen(store, run_id):
    run_out(store, run_id, candidates("a0"))
    assert len(run_out(store, run_id, candidates("a0", "a1", "a1"), at=NOW + FAR * 5)) == 1
    assert [row["account_id"] for row in recorded(store)] == ["a0", "a1"]


def test_only_the_past_within_reach_is_looked_at(store, run_id, new_run, scored):
    run_out(store, run_id, candidates("a0"))
    later = store.publish(new_run(month=2), scored("red")).run.run_id
    seen = []

    def choose(fresh, past):
        seen.append(len(past))
        return everything(fresh, past)

    run_out(store, later, candidates("a0"), choose=choose, at=NOW + FAR, record=False)
    run_out(store, later, candidates("a0"), choose=choose, at=NOW + FAR + timedelta(1), record=False)
    assert seen == [1, 0]


def test_what_cannot_be_delivered_is_not_recorded(store, run_id):
    def fail(rows):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_out(store, run_id, candidates("a0"), deliver=fail)
    assert recorded(store) == []


def test_a_dry_run_delivers_and_records_nothing(store, run_id):
    delivered = []
    run_out(store, run_id, candidates("a0"), deliver=delivered.append, record=False)
    assert len(delivered[0]) == 1
    assert recorded(store) == []


def published(url, new_run, scored):
    with HistoryStore(url) as opened:
        return opened.publish(new_run(), scored("red")).run.run_id


def test_a_locked_history_delivers_nothing(sqlite_url, tmp_path, new_run, scored):
    run_id = published(sqlite_url, new_run, scored)
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    other.execute("begin immediate")
    delivered = []
    with (
        HistoryStore(sqlite_url, busy_seconds=0.05) as waiting,
        pytest.raises(UsageError, match="is writing to it"),
    ):
        run_out(waiting, run_id, candidates("a0"), deliver=delivered.append)
    other.execute("rollback")
    other.close()
    assert not delivered


def test_a_read_only_history_delivers_nothing(sqlite_url, tmp_path, new_run, scored):
    run_id = published(sqlite_url, new_run, scored)
    delivered = []
    read_only = f"sqlite:///file:{tmp_path / 'history.db'}?mode=ro&uri=true"
    with HistoryStore(read_only) as only, pytest.raises(UsageError, match="write access"):
        run_out(only, run_id, candidates("a0"), deliver=delivered.append)
    assert not delivered


def test_two_at_once_hand_out_a_case_once(url, new_run, scored):
    run_id = published(url, new_run, scored)
    together = Barrier(2)

    def work(_):
        with HistoryStore(url) as own:
            together.wait()
            return len(run_out(own, run_id, candidates("a0", "a1")))

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(work, range(2))) == [0, 2]
    with HistoryStore(url) as own:
        assert [row["account_id"] for row in recorded(own)] == ["a0", "a1"]
