"""Sums of a run: written with it, worked out again by SQL, and filled in for runs of an older churnrisk."""

from datetime import datetime

import pandas as pd
import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from churnrisk.records import RedListQuery
from churnrisk.store import HistoryStore, NewRun, alembic_config, read_by_owner, read_totals, write_totals
from churnrisk.team import read_red_list

AS_OF = datetime(2026, 7, 6)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["red", "amber", "green", "grey"]),
        st.sampled_from(["Kim", "Żaneta", None]),
        st.sampled_from(["Small", None]),
        st.sampled_from(["2026-07-06", "2026-10-04T23:59", "2026-10-05", "2025-12-31", None]),
        st.sampled_from([None, 0.1, 0.5]),
        st.sampled_from([None, 10.0, 1_000_000.5]),
    ),
    min_size=1,
    max_size=20,
)


def frame_of(rows):
    names = ["colour", "owner", "segment", "renewal_at", "probability", "annual_value"]
    frame = pd.DataFrame(rows, columns=names).assign(decided_by="model")
    frame["account_id"] = [f"a{number}" for number in range(len(rows))]
    frame["renewal_at"] = pd.to_datetime(frame["renewal_at"], format="ISO8601")
    return frame


def sums(store, run_id):
    with store.database.reading() as connection:
        found = [*read_totals(connection, [run_id]), *read_by_owner(connection, run_id)]
    return {
        (one.owner, one.segment, one.quarter, one.colour): pytest.approx(
            (
                one.accounts,
                one.newly,
                one.renewing,
                one.dated,
                one.valued,
                one.annual_value,
                one.expected_loss,
            )
        )
        for one in found
    }


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(before=ROWS, rows=ROWS, pieces=st.integers(1, 3))
def test_the_sums_written_with_a_run_are_those_that_sql_finds_in_it(fresh_url, before, rows, pieces):
    frame = frame_of(rows)
    with HistoryStore(fresh_url()) as store:
        store.publish(NewRun(datetime(2026, 6, 1), AS_OF, "i", "m", "p"), frame_of(before))
        parts = [frame.iloc[first::pieces] for first in range(pieces)]
        run = store.publish(NewRun(AS_OF, AS_OF, "i", "m", "p"), [part for part in parts if len(part)]).run
        written = sums(store, run.run_id)
        with store.database.writing() as connection:
            write_totals(connection, run.run_id, AS_OF)
        again = sums(store, run.run_id)
        assert again.keys() == written.keys()
        assert {key: value.expected for key, value in again.items()} == written


def test_columns_of_any_type_are_added_up(store):
    frame = pd.DataFrame(
        {
            "account_id": [1, 2, 3],
            "colour": pd.Categorical(["red", "red", "green"]),
            "decided_by": "model",
            "owner": pd.Categorical(["Kim", None, "Kim"]),
            "renewal_at": pd.to_datetime(["2026-10-01T01:00:00+02:00", None, None]),
        }
    )
    run = store.publish(NewRun(AS_OF, AS_OF, "i", "m", "p"), frame).run
    with store.database.reading() as connection:
        team = {(one.quarter, one.colour): one.accounts for one in read_totals(connection, [run.run_id])}
        owners = {(one.owner, one.colour): one.accounts for one in read_by_owner(connection, run.run_id)}
    # the first hour of October in Berlin is still September in UTC
    assert team == {(20263, "red"): 1, (None, "red"): 1, (None, "green"): 1}
    assert owners == {("Kim", "red"): 1, (None, "red"): 1, ("Kim", "green"): 1}


def test_sums_of_chosen_owners_may_include_those_without_one(store):
    store.publish(
        NewRun(AS_OF, AS_OF, "i", "m", "p"),
        frame_of([("red", name, None, None, None, None) for name in ("Kim", None, "Max")]),
    )
    with store.database.reading() as connection:
        for owners, expected in (([None, "Kim"], 2), (["Max"], 1), ([None], 1), ([], 0)):
            found = read_totals(connection, [1], owners=owners)
            assert sum(one.accounts for one in found) == expected
            assert {one.owner for one in read_by_owner(connection, 1, owners=owners)} == set(owners)


def test_runs_of_an_older_churnrisk_get_their_sums_and_families(fresh_url):
    url = fresh_url()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0003")
        for run_id, month in ((1, 6), (2, 7)):
            connection.execute(
                text(
                    "insert into runs values (:run, :key, :moment, :moment, 'm', 'p', 'i', 4, 1, 1, 1, 1, null)"
                ),
                {"run": run_id, "key": str(run_id), "moment": f"2026-0{month}-01 00:00:00.000000"},
            )
        reasons = '[{"feature": "f", "family": "breadth", "text": "t", "value": 1.0, "contribution": 0.5}]'
        rows = [
            ("a", "red", "Kim", "2026-07-01", "2026-07-01", 0.5, 100.0, reasons),
            ("b", "amber", None, "2026-06-01", "2026-09-30", 0.1, None, "[]"),
            ("c", "green", "Kim", "2026-06-01", None, 0.0, 10.0, "[]"),
            ("d", "grey", "Kim", "2026-06-01", None, None, 10.0, None),
        ]
        for row in rows:
            names = (
                "account_id",
                "colour",
                "owner",
                "colour_since",
                "renewal_at",
                "probability",
                "annual_value",
                "reasons",
            )
            values = dict(zip(names, row, strict=True))
            for name in ("colour_since", "renewal_at"):
                values[name] = values[name] and f"{values[name]} 00:00:00.000000"
            listed = ", ".join(f":{name}" for name in names)
            connection.execute(
                text(
                    f"insert into scores (run_id, decided_by, {', '.join(names)}) values (2, 'model', {listed})"
                ),
                values,
            )
    engine.dispose()
    with HistoryStore(url) as store:
        filled = sums(store, 2)
        with store.database.writing() as connection:
            write_totals(connection, 2, datetime(2026, 7, 1))
        again = sums(store, 2)
        assert {key: value.expected for key, value in again.items()} == filled
        found = read_red_list(
            store, as_of=None, query=RedListQuery(family="breadth", newly_red=True), now=AS_OF
        )
        assert [row.account_id for row in found.rows] == ["a"]
        assert [(group.key, group.red, group.amber) for group in found.by_quarter] == [("2026-Q3", 1, 1)]


REST = pd.DataFrame(
    {
        "owner": ["Kim", None],
        "segment": ["Small", None],
        "colour": ["green", "grey"],
        "accounts": [40, 2],
        "newly": [40, 2],
        "renewing": [3, 0],
        "dated": [10, 0],
        "valued": [40, 1],
        "annual_value": [4000.0, 5.0],
        "expected_loss": [12.5, 0.0],
    }
)


def test_accounts_whose_scores_are_stored_elsewhere_count_all_the_same(store):
    rows = [("red", "Kim", "Small", "2026-07-09", 0.5, 10.0), ("amber", None, None, None, 0.1, None)]
    new = NewRun(AS_OF, AS_OF, inputs_digest="i", model_version="m", policy_version="p")
    run = store.publish(new, frame_of(rows), rest=REST).run
    assert (run.accounts, run.red, run.amber, run.green, run.grey) == (44, 1, 1, 40, 2)
    assert_told(store, run.run_id)
    with store.database.writing() as connection:
        write_totals(connection, run.run_id, AS_OF)
    assert_told(store, run.run_id)


def assert_told(store, run_id):
    written = sums(store, run_id)
    assert written["Kim", None, None, "green"] == (40, 40, 3, 10, 40, 4000.0, 12.5)
    assert written[None, None, None, "grey"] == (2, 2, 0, 0, 1, 5.0, 0.0)
    assert written[None, "Small", None, "green"] == (40, 40, 3, 10, 40, 4000.0, 12.5)


def test_a_run_may_have_nobody_red_or_amber(store):
    new = NewRun(AS_OF, AS_OF, inputs_digest="i", model_version="m", policy_version="p")
    run = store.publish(new, [], rest=REST).run
    assert (run.accounts, run.green, len(store.scores(run.run_id))) == (42, 40, 0)
