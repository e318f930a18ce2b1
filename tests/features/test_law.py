"""The future-truncation law: what happens from an as-of date on changes no feature at that date, not by a bit."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from churnrisk.contract import TABLES
from churnrisk.features import FeatureFrame
from churnrisk.snapshots import ChurnConfig
from tests.features.computing import at_date, bits, compute
from tests.world import Row, World, at, day_of, moment, random_world

pytestmark = pytest.mark.slow

seeds = st.integers(0, 10**9)
days = st.integers(60, 520)
definitions = st.sampled_from(("inactivity", "contractual"))

#: Times inside known rows, and what becomes known with them.
_LATER = {"complaints": ("resolved_at", "first_response_at"), "subscriptions": ("ended_at", "cancelled_at")}


def is_known(table: str, row: Row, as_of: datetime) -> bool:
    time = TABLES[table].time or "signed_up_at"
    return all(row.get(name) is None or row[name] < as_of for name in (time, "recorded_at"))


def without_future(world: World, as_of: datetime) -> World:
    """Delete every row that was not known before, and every later date in those that were."""
    return world.with_rows(**{name: _past_rows(world, name, as_of) for name in world.tables})


def _past_rows(world: World, table: str, as_of: datetime) -> list[Row]:
    undated = table == "accounts" and "accounts.signed_up_at" in world.absent
    return [_past(table, row, as_of) for row in world.rows(table) if undated or is_known(table, row, as_of)]


def _past(table: str, row: Row, as_of: datetime) -> Row:
    happened = {name: row[name] for name in _LATER.get(table, ()) if row[name] is None or row[name] < as_of}
    past = row | dict.fromkeys(_LATER.get(table, ())) | happened
    if table == "complaints" and past["resolved_at"] is None:
        past["csat"] = None
    if table == "subscriptions" and past["ended_at"] is None:
        past["status"] = "active"
    return past


def with_other_future(world: World, as_of: datetime, seed: int) -> World:
    """Replace every row that was not known before, and every later date, by anything else that is later."""
    rng = random.Random(seed)
    other = random_world(seed, events=80, features=90)
    changed = {}
    for name in world.tables:
        past = [_other_later(name, row, as_of, rng) for row in _past_rows(world, name, as_of)]
        ids = {row["account_id"] for row in past}
        new = [row for row in other.rows(name) if name != "accounts" or row["account_id"] not in ids]
        changed[name] = past + [_postponed(name, row, as_of, rng) for row in new]
    return world.with_rows(**changed)


def _other_later(table: str, row: Row, as_of: datetime, rng: random.Random) -> Row:
    changed = dict(row)
    for name in _LATER.get(table, ()):
        if row[name] is None and rng.random() < 0.5:
            changed[name] = as_of + timedelta(seconds=rng.choice((0, 1, 10**6)))
    if table == "complaints" and row["resolved_at"] is None:
        changed["csat"] = float(rng.randrange(1, 6))
    if table == "accounts":
        # today's state of the account may be anything; only the columns declared static are used
        changed |= {"owner": "new", "mrr": rng.random(), "plan": "new", "renewal_at": moment(rng)}
    return changed


def _postponed(table: str, row: Row, as_of: datetime, rng: random.Random) -> Row:
    time = TABLES[table].time or "signed_up_at"
    later = as_of + timedelta(seconds=rng.choice((0, 1, 86_400, 10**7)))
    if "recorded_at" in row and rng.random() < 0.5:
        return row | {"recorded_at": later}
    return row | {time: later}


@given(seed=seeds, day=days, definition=definitions)
@settings(max_examples=20)
def test_deleting_or_changing_the_future_leaves_every_feature_bit_identical(
    seed: int, day: int, definition: str
) -> None:
    world, as_of = random_world(seed), at(day)
    churn = ChurnConfig(definition=definition)  # type: ignore[arg-type]
    as_it_is = bits(compute(world, [as_of], churn=churn))
    assume(as_it_is[""])
    assert bits(compute(without_future(world, as_of), [as_of], churn=churn)) == as_it_is
    assert bits(compute(with_other_future(world, as_of, seed + 1), [as_of], churn=churn)) == as_it_is


@given(seed=seeds, day=days)
@settings(max_examples=5)
def test_without_sign_up_dates_the_law_holds_for_first_seen_as_well(seed: int, day: int) -> None:
    world, as_of = random_world(seed).without("accounts.signed_up_at"), at(day)
    as_it_is = bits(compute(world, [as_of]))
    assume(as_it_is[""])
    assert bits(compute(without_future(world, as_of), [as_of])) == as_it_is


@given(seed=seeds, day=days, order=seeds)
@settings(max_examples=8)
def test_the_order_of_rows_changes_nothing(seed: int, day: int, order: int) -> None:
    world = random_world(seed, events=120)
    assert bits(compute(world.shuffled(order), [at(day)])) == bits(compute(world, [at(day)]))


@given(seed=seeds, several=st.lists(days, min_size=2, max_size=4, unique=True))
@settings(max_examples=6)
def test_several_dates_at_once_equal_each_alone(seed: int, several: list[int]) -> None:
    world = random_world(seed, events=120)
    together = compute(world, [at(day) for day in several])
    for day in several:
        assert bits(at_date(together, at(day))) == bits(compute(world, [at(day)]))


def test_the_chunks_in_which_accounts_are_computed_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world, dates = random_world(8, accounts=9, events=400), [at(200), at(300), at(410)]
    whole = bits(compute(world, dates))
    monkeypatch.setattr("churnrisk.features.gather._ROWS", 150)
    assert bits(compute(world, dates)) == whole


def test_quantities_whose_sum_outgrows_64_bits_are_exact() -> None:
    world = random_world(8)
    account, event = world.rows("accounts")[0] | {"signed_up_at": at(0)}, world.rows("events")[0]
    events = [
        event | {"account_id": "A0", "occurred_at": at(195), "quantity": 9e13, "recorded_at": None}
        for _ in range(40)
    ]
    frame = compute(world.with_rows(accounts=[account], events=events), [at(200)])
    assert frame.X["quantity_30"].tolist() == [40 * 9e13]


def test_the_future_that_is_cut_away_was_there() -> None:
    """Guard the guard: the worlds do hold rows and dates that a leaking feature would see."""
    world, as_of = random_world(5), at(250)
    cut = without_future(world, as_of)
    for name in world.tables:
        assert 0 < len(cut.rows(name)) < len(world.rows(name)) or name == "accounts", name
    assert bits(compute(world, [at(300)])) != bits(compute(cut, [at(300)]))


def test_an_account_that_signs_up_on_the_as_of_instant_is_not_there_yet() -> None:
    world = random_world(5)
    first, *others = world.rows("accounts")
    for sign_up, present in ((at(250), False), (at(250) - timedelta(microseconds=1), True)):
        dated = world.with_rows(accounts=[first | {"signed_up_at": sign_up}, *others])
        frame = compute(dated, [at(250)])
        assert (first["account_id"] in frame.X.index.get_level_values("account_id")) == present


@pytest.mark.parametrize("table", ["events", "complaints", "subscriptions", "surveys"])
def test_a_row_on_the_as_of_instant_or_recorded_on_it_does_not_count(table: str) -> None:
    as_of, time = at(200), TABLES[table].time
    assert time is not None
    accounts = [random_world(1).rows("accounts")[0] | {"signed_up_at": at(0)}]
    template = random_world(1).rows(table)[0] | {"account_id": accounts[0]["account_id"]}
    before, on_it = as_of - timedelta(microseconds=1), as_of
    empty = random_world(1).with_rows(accounts=accounts, **{table: []})

    def counted(happened: datetime, written: datetime | None) -> bool:
        row = template | {time: happened, "recorded_at": written}
        return features_of(empty.with_rows(**{table: [row]})) != features_of(empty)

    def features_of(world: World) -> dict[str, object]:
        return bits(compute(world, [as_of]))

    assert counted(before, None)
    assert counted(before, before)
    assert not counted(before, on_it)
    assert not counted(on_it, None)
    assert not counted(on_it, before)


def test_index_and_columns_are_what_the_model_expects() -> None:
    frame: FeatureFrame = compute(random_world(2), [at(200), at(230)])
    assert frame.X.index.names == ["account_id", "as_of"]
    assert frame.X.index.is_unique
    assert [day_of(as_of) for as_of in frame.X.index.get_level_values("as_of").unique()] == [
        day_of(at(200)),
        day_of(at(230)),
    ]
    kinds = {str(dtype) for dtype in frame.X.dtypes}
    assert kinds == {"float64", "category"}
    assert isinstance(frame.X["plan"].dtype, pd.CategoricalDtype)
