import time
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from churnrisk.errors import ContractError, GuardError
from churnrisk.store import HistoryStore, NewRun, read_history
from tests.store.postgres import drop_schema, new_schema

COLOURS = st.sampled_from(["green", "amber", "red", "grey"])


def history_of(store, account_id):
    with store.database.reading() as connection:
        return list(read_history(connection, account_id))


def months_of_colour(store, run, account_id):
    found = store.scores(run.run_id, ["account_id", "colour_since"]).set_index("account_id")
    return [moment.month for moment in found["colour_since"].filter([account_id])]


def test_an_empty_history_has_no_runs(store):
    assert store.latest_run() is None
    assert store.runs() == ()
    assert store.find_run("x") is None
    assert history_of(store, "a0") == []


def test_a_published_run_counts_its_colours(store, new_run, scored):
    published = store.publish(new_run(), scored("red", "red", "amber", "green", "grey"))
    run = published.run
    assert published.is_new
    assert (run.accounts, run.red, run.amber, run.green, run.grey) == (5, 2, 1, 1, 1)
    assert (run.as_of, run.published_at) == (datetime(2026, 1, 1), datetime(2026, 1, 2, 6, 30))
    assert store.latest_run() == store.find_run(new_run().run_key) == run


def test_every_column_comes_back_as_it_went_in(store, new_run):
    frame = pd.DataFrame(
        {
            "account_id": ["b", "a"],
            "name": ["Björk & 'Söhne'", None],
            "owner": pd.Categorical(["kim", "lee"]),
            "probability": [0.1, np.nan],
            "log_odds": [-2.197224577336219, np.nan],
            "colour": ["green", "grey"],
            "raw_colour": ["green", "grey"],
            "model_colour": ["green", "grey"],
            "decided_by": ["model", "eligibility"],
            "rule": [None, "signed up 3 days ago"],
            "annual_value": [1200.5, None],
            "renewal_at": pd.to_datetime(["2026-03-01T10:00:00+02:00", None]),
            "reasons": ['[{"feature": "x"}]', None],
            "contributions": ['{"x": 0.5}', None],
            "stage": ["loyalist", None],
            "next_step": ["Call.", "Wait."],
        }
    )
    run = store.publish(new_run(), frame).run
    found = store.scores(run.run_id).set_index("account_id")
    assert list(found.index) == ["a", "b"]
    assert found.loc["b", "renewal_at"] == pd.Timestamp("2026-03-01 08:00:00")
    assert pd.isna(found.loc["a", "renewal_at"])
    for name in frame.columns.drop(["account_id", "renewal_at"]):
        sent, got = frame.set_index("account_id")[name].astype(object), found[name].astype(object)
        assert got.sort_index().where(got.notna(), None).tolist() == [
            None if pd.isna(sent[account]) else sent[account] for account in ("a", "b")
        ]


def test_numbers_as_account_ids_are_stored_as_text(store, new_run):
    frame = pd.DataFrame({"account_id": [7], "colour": ["red"], "decided_by": ["model"]})
    run = store.publish(new_run(), frame).run
    assert list(store.scores(run.run_id, ["account_id"])["account_id"]) == ["7"]


def test_publishing_the_same_run_again_changes_nothing(store, new_run, scored):
    first = store.publish(new_run(), scored("red"))
    again = store.publish(new_run(published_at=datetime(2026, 5, 5)), scored("green", "green"))
    assert not again.is_new
    assert again.run == first.run
    assert list(store.scores(first.run.run_id)["colour"]) == ["red"]


def test_the_key_depends_on_everything_the_scores_depend_on(new_run):
    changed = [
        new_run(),
        new_run(month=2),
        new_run(model="m2"),
        new_run(inputs_digest="i2"),
        new_run(policy_version="p2"),
    ]
    assert len({run.run_key for run in changed}) == 5
    same_instant = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert new_run(as_of=same_instant).run_key == new_run().run_key
    assert new_run(published_at=datetime(2030, 1, 1)).run_key == new_run().run_key


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(published=st.lists(st.tuples(st.integers(1, 4), st.sampled_from("xy")), max_size=8))
def test_whatever_is_published_how_often_there_is_one_run_per_key(fresh_url, published):
    with HistoryStore(fresh_url()) as store:
        for month, model in published:
            run = NewRun(datetime(2026, month, 1), datetime(2026, 9, 1), "i", model, "p")
            frame = pd.DataFrame({"account_id": ["a"], "colour": ["red"], "decided_by": ["model"]})
            store.publish(run, frame)
        assert len(store.runs()) == len(set(published))
        latest = store.latest_run()
        assert (latest.as_of.month if latest else None) == max((m for m, _ in published), default=None)


def test_scores_may_come_in_pieces(store, new_run, scored):
    whole = scored("red", "amber", "green")
    run = store.publish(new_run(), (whole.iloc[[i]] for i in range(3))).run
    assert (run.accounts, run.red, run.amber, run.green) == (3, 1, 1, 1)


def test_a_failure_in_the_middle_publishes_nothing(store, new_run, scored):
    good = store.publish(new_run(), scored("red")).run

    def pieces():
        yield scored("red", "amber")
        raise ValueError("the model broke")

    with pytest.raises(ValueError, match="the model broke"):
        store.publish(new_run(month=2), pieces())
    assert store.runs() == (good,)
    assert store.publish(new_run(month=2), scored("red")).is_new


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_does_not_wait_for_a_server_that_stands_still(postgres, new_run, scored, error):
    url = new_schema(postgres)
    blocking = create_engine(url)

    def pieces():
        yield scored("red", "amber")
        raise error("the model broke")

    with HistoryStore(url) as store:
        with blocking.begin() as connection:
            connection.execute(text("lock table scores in access exclusive mode"))
            began = time.monotonic()
            with pytest.raises(error, match="the model broke"):
                store.publish(new_run(), pieces())
            assert time.monotonic() - began < 60  # and not until the other one lets go, which is never
        assert store.runs() == ()
        assert store.publish(new_run(), scored("red")).is_new
    blocking.dispose()
    drop_schema(postgres, url)


def test_what_the_guard_refuses_is_not_published(store, new_run, scored):
    store.publish(new_run(), scored("green"))
    seen = []

    def guard(new, before):
        seen.append((new.red, before.green))
        raise GuardError("not published")

    with pytest.raises(GuardError):
        store.publish(new_run(month=2), scored("red"), guard=guard)
    assert seen == [(1, 1)]
    assert len(store.runs()) == 1


def test_the_guard_sees_the_run_that_is_replaced_and_then_the_one_before(store, new_run, scored):
    store.publish(new_run(month=1), scored("amber"))
    store.publish(new_run(month=2), scored("green"))
    seen = []
    again = store.publish(
        new_run(month=2, inputs_digest="other"), scored("red"), guard=lambda *runs: seen.append(runs)
    )
    assert [(new.run_id, earlier.run_id) for new, earlier in seen] == [(again.run.run_id, n) for n in (2, 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": ["pink"]}, "expected the colours"),
        ({"colour": [None]}, "1 rows have no colour"),
        ({"mood": ["good"]}, r"unknown \['mood'\]"),
        ({"account_id": None}, r"missing \['account_id'\]"),
    ],
)
def test_scores_that_cannot_be_stored_are_refused(store, new_run, scored, change, message):
    frame = scored("red").assign(**{name: value for name, value in change.items() if value is not None})
    frame = frame.drop(columns=[name for name, value in change.items() if value is None])
    with pytest.raises(ContractError, match=message):
        store.publish(new_run(), frame)
    assert store.runs() == ()


def test_an_account_twice_is_refused(store, new_run, scored):
    with pytest.raises(ContractError, match="two scores in one run"):
        store.publish(new_run(), [scored("red"), scored("green")])
    assert store.runs() == ()


def test_a_run_without_scores_is_refused(store, new_run, scored):
    with pytest.raises(ContractError, match="found none"):
        store.publish(new_run(), scored())
    assert store.runs() == ()


def test_the_run_before_goes_by_as_of_and_not_by_order_of_publishing(store, new_run, scored):
    store.publish(new_run(month=3), scored("red"))
    store.publish(new_run(month=1), scored("green"))
    assert store.latest_run().as_of.month == 3
    assert store.latest_run(before=datetime(2026, 3, 1)).as_of.month == 1
    assert store.latest_run(before=datetime(2026, 1, 1)) is None
    assert store.latest_run(before=datetime(2026, 3, 1, tzinfo=UTC)).as_of.month == 1


def test_the_last_run_of_an_as_of_is_the_live_one(store, new_run, scored):
    store.publish(new_run(model="m1"), scored("red"))
    store.publish(new_run(model="m2"), scored("green"))
    assert store.latest_run().model_version == "m2"
    assert [row.colour for row in history_of(store, "a0")] == ["green"]


def test_an_accounts_history_is_in_order_of_time(store, new_run, scored):
    for month, colour in ((2, "amber"), (1, "green"), (3, "red")):
        store.publish(new_run(month=month), scored(colour))
    history = history_of(store, "a0")
    assert [(row.as_of.month, row.colour) for row in history] == [(1, "green"), (2, "amber"), (3, "red")]


def test_days_in_colour_count_from_the_first_run_of_the_colour(store, new_run, scored):
    for month, colours in ((1, ("red", "red")), (2, ("red", "green")), (3, ("red", "red", "red"))):
        run = store.publish(new_run(month=month), scored(*colours)).run
    assert list(store.scores(run.run_id)["days_in_colour"]) == [59, 0, 0]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    colours=st.lists(st.one_of(st.none(), COLOURS), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_days_in_colour_do_not_depend_on_the_order_of_publishing(fresh_url, colours, order):
    """Months in which the account has no score break its stretch."""
    months = list(range(1, len(colours) + 1))
    order.shuffle(months)
    with HistoryStore(fresh_url()) as store:
        for month in months:
            rows = [("other", "green"), *([("a", colours[month - 1])] if colours[month - 1] else [])]
            frame = pd.DataFrame(rows, columns=["account_id", "colour"]).assign(decided_by="model")
            run = NewRun(datetime(2026, month, 1), datetime(2026, 9, 1), "i", "m", "p")
            store.publish(run, frame)
        since = {
            run.as_of.month: month for run in store.runs() for month in months_of_colour(store, run, "a")
        }
    expected = {}
    for month, colour in enumerate(colours, 1):
        if colour is not None:
            same = month > 1 and colours[month - 2] == colour
            expected[month] = expected[month - 1] if same else month
    assert since == expected


def test_the_colours_of_the_run_before_come_in_parts_too(store, new_run, scored):
    run = store.publish(new_run(), scored("green", "amber", "red", "grey", "green")).run
    parts = list(store.batches_of(run.run_id, 2))
    assert [len(part) for part in parts] == [2, 2, 1]
    whole = store.scores(run.run_id, list(parts[0]))
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, check_dtype=False)
    assert list(store.batches_of(run.run_id + 1, 2)) == []
