"""Who is looked at, who is grey, and what the label says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.errors import ContractError
from churnrisk.snapshots import ChurnConfig, build_panel, sample_panel
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables
from tests.snapshots.oracle import Verdict, verdicts
from tests.world import Row, World, arrow, at, opened, random_world, row

LATE = at(10_000)
INSTANT = timedelta(microseconds=1)


def panel(
    world: World, churn: ChurnConfig, dates: Sequence[datetime], *, data_end: datetime = LATE
) -> dict[tuple[str, datetime], Verdict]:
    with opened(world) as tables:
        build_panel(tables, churn, dates, data_end=data_end)
        rows = tables.engine.rows("select account_id, as_of, grey_reason, churned from panel")
    assert len({found[:2] for found in rows}) == len(rows)
    return {(account, as_of): Verdict(grey, churned) for account, as_of, grey, churned in rows}


def one(churn: ChurnConfig, as_of: datetime, *, data_end: datetime = LATE, **tables: list[Row]) -> Verdict:
    """Return the verdict on a single account "A" that signed up on the first day of the world."""
    accounts = [row("accounts", account_id="A", signed_up_at=at(0))]
    world = World({"accounts": accounts, **tables})
    return panel(world, churn, [as_of], data_end=data_end)["A", as_of]


def event(happened: datetime, recorded: datetime | None = None) -> Row:
    return row("events", account_id="A", occurred_at=happened, recorded_at=recorded)


def term(started: datetime, ended: datetime | None = None, recorded: datetime | None = None) -> Row:
    return row("subscriptions", account_id="A", started_at=started, ended_at=ended, recorded_at=recorded)


churns = st.builds(
    ChurnConfig,
    definition=st.sampled_from(("contractual", "inactivity")),
    horizon_days=st.integers(1, 60),
    gap_days=st.sampled_from((0, 0, 1, 14)),
    grace_days=st.sampled_from((0, 1, 7, 30)),
    lookback_days=st.integers(1, 90),
    min_tenure_days=st.sampled_from((0, 30, 200)),
)


@pytest.mark.slow
@given(
    seed=st.integers(0, 10**9),
    churn=churns,
    days=st.lists(st.integers(1, 520), min_size=1, max_size=5, unique=True),
    end=st.integers(100, 600),
    signed=st.booleans(),
)
@settings(max_examples=60)
def test_the_panel_equals_its_definition(
    seed: int, churn: ChurnConfig, days: list[int], end: int, signed: bool
) -> None:
    world = random_world(seed, accounts=6)
    world = world if signed else world.without("accounts.signed_up_at")
    dates = [at(day) for day in days]
    assert panel(world, churn, dates, data_end=at(end)) == verdicts(world, churn, dates, data_end=at(end))


@pytest.mark.slow
@given(seed=st.integers(0, 10**9), churn=churns, day=st.integers(100, 400))
@settings(max_examples=15)
def test_rows_that_do_not_count_change_no_verdict(seed: int, churn: ChurnConfig, day: int) -> None:
    """Trials, failed payments, pauses and superseded versions beside the terms of customers."""
    world, rng = random_world(seed, accounts=6), random.Random(seed)
    own = [one | {"subscription_id": f"s{n}"} for n, one in enumerate(world.rows("subscriptions"))]
    beside = [_uncounted(rng, rng.choice(own)) for _ in range(8)]
    noisy = world.with_rows(subscriptions=[*own, *(one for one, _ in beside)])
    active = pa.array([True] * len(own) + [of_today for _, of_today in beside])
    with Engine(EngineConfig(threads=1), base=Path.cwd()) as engine:
        configs = {}
        for name in world.tables:
            table = arrow(noisy, name)
            if name == "subscriptions":
                table = table.append_column("_fivetran_active", active)
            engine.table_from(f"world_{name}", table)
            configs[name] = TableConfig(sql=f"select * from world_{name}")
        build_panel(open_tables(engine, configs), churn, [at(day)], data_end=LATE)
        rows = engine.rows("select account_id, as_of, grey_reason, churned from panel")
    found = {(account, as_of): Verdict(grey, churned) for account, as_of, grey, churned in rows}
    assert found == verdicts(world, churn, [at(day)], data_end=LATE)


def _uncounted(rng: random.Random, term: Row) -> tuple[Row, bool]:
    """Return a row that makes no customer, and whether it is no superseded version."""
    start: datetime = term["started_at"]
    kind = rng.choice(("version", "trial", "trialing", "incomplete", "paused"))
    new = term | {"subscription_id": f"{kind}{rng.random()}", "ended_at": None, "status": kind}
    if kind == "version":
        return term | {"ended_at": None, "mrr": 1.0, "status": "active"}, False
    if kind == "trial":
        over = start + timedelta(days=rng.randrange(1, 30))
        new |= {"status": "canceled", "trial_ends_at": over, "ended_at": over}
    return new, True


def test_random_worlds_hold_every_verdict() -> None:
    """Guard the property above: it compares verdicts of all kinds."""
    seen = {"inactivity": set[object](), "contractual": set[object]()}
    for definition, kinds in seen.items():
        churn = ChurnConfig(definition=definition, min_tenure_days=60)  # type: ignore[arg-type]
        for seed in range(8):
            world = random_world(seed, accounts=6)
            found = verdicts(world, churn, [at(200), at(300)], data_end=at(330)).values()
            kinds |= {item.churned for item in found} | {item.grey_reason for item in found}
    assert {len(kinds) for kinds in seen.values()} == {5}


INACTIVITY = ChurnConfig(definition="inactivity", horizon_days=30, lookback_days=30)


@pytest.mark.parametrize(
    ("happened", "active"),
    [(at(70), True), (at(70) - INSTANT, False), (at(100) - INSTANT, True), (at(100), False)],
)
def test_the_look_back_is_half_open(happened: datetime, active: bool) -> None:
    verdict = one(INACTIVITY, at(100), events=[event(happened)])
    assert (verdict.grey_reason is None) == active
    assert verdict.grey_reason in (None, "no activity in the last 30 days")


@pytest.mark.parametrize(
    ("happened", "churned"),
    [(at(100), False), (at(100) - INSTANT, True), (at(130) - INSTANT, False), (at(130), True)],
)
def test_the_label_window_of_inactivity_is_half_open(happened: datetime, churned: bool) -> None:
    assert one(INACTIVITY, at(100), events=[event(at(90)), event(happened)]).churned is churned


def test_a_gap_moves_the_label_window() -> None:
    churn = ChurnConfig(definition="inactivity", gap_days=7)
    assert one(churn, at(100), events=[event(at(90)), event(at(107) - INSTANT)]).churned is True
    assert one(churn, at(100), events=[event(at(90)), event(at(107))]).churned is False
    assert one(churn, at(100), events=[event(at(90)), event(at(137))]).churned is True


def test_an_event_recorded_late_makes_no_account_active_but_counts_for_the_label() -> None:
    assert one(INACTIVITY, at(100), events=[event(at(90), at(100))]).grey_reason is not None
    assert one(INACTIVITY, at(100), events=[event(at(90), at(100) - INSTANT)]).grey_reason is None
    assert one(INACTIVITY, at(100), events=[event(at(90)), event(at(110), at(300))]).churned is False


CONTRACTUAL = ChurnConfig(definition="contractual", horizon_days=30, grace_days=7)


@pytest.mark.parametrize(
    ("ended", "churned"),
    [(at(100), True), (at(130) - INSTANT, True), (at(130), False), (None, False)],
)
def test_the_label_window_of_contracts_is_half_open(ended: datetime | None, churned: bool) -> None:
    assert one(CONTRACTUAL, at(100), subscriptions=[term(at(10), ended)]).churned is churned


GREY = Verdict("no active subscription", None)


@pytest.mark.parametrize(("ended", "grey"), [(at(93), False), (at(93) - INSTANT, True)])
def test_a_contract_that_ended_is_grey_once_its_grace_is_over(ended: datetime, grey: bool) -> None:
    verdict = one(CONTRACTUAL, at(100), subscriptions=[term(at(10), ended)])
    assert verdict == (GREY if grey else Verdict(None, True))
    without_grace = replace(CONTRACTUAL, grace_days=0)
    assert one(without_grace, at(100), subscriptions=[term(at(10), ended)]) == GREY


@pytest.mark.parametrize(("renewed", "churned"), [(at(102), False), (at(103), True)])
def test_a_lapsed_account_has_churned_unless_it_renews_within_the_grace(
    renewed: datetime, churned: bool
) -> None:
    terms = [term(at(10), at(95)), term(renewed)]
    assert one(CONTRACTUAL, at(100), subscriptions=terms) == Verdict(None, churned)


def test_a_completed_contract_is_no_churn_and_its_account_no_customer_after_it() -> None:
    done = row("subscriptions", account_id="A", started_at=at(10), ended_at=at(110), status="Completed")
    assert one(CONTRACTUAL, at(100), subscriptions=[done]) == Verdict(None, False)
    assert one(CONTRACTUAL, at(111), subscriptions=[done]) == GREY


@pytest.mark.parametrize(("days_late", "churned"), [(-20, False), (0, False), (7, False), (8, True)])
def test_a_renewal_within_the_grace_is_no_churn(days_late: int, churned: bool) -> None:
    terms = [term(at(10), at(110)), term(at(110 + days_late), at(300))]
    assert one(CONTRACTUAL, at(100), subscriptions=terms).churned is churned


def test_a_parallel_contract_that_runs_on_is_no_churn_and_one_that_ended_earlier_does_not_help() -> None:
    assert (
        one(CONTRACTUAL, at(100), subscriptions=[term(at(10), at(110)), term(at(0), None)]).churned is False
    )
    assert (
        one(CONTRACTUAL, at(100), subscriptions=[term(at(10), at(110)), term(at(0), at(105))]).churned is True
    )


def test_a_contract_that_ends_before_it_starts_ends_at_once() -> None:
    assert one(CONTRACTUAL, at(100), subscriptions=[term(at(10)), term(at(20), at(5))]).churned is False
    assert (
        one(CONTRACTUAL, at(100), subscriptions=[term(at(20), at(5))]).grey_reason == "no active subscription"
    )


def test_a_contract_recorded_late_is_not_active_yet() -> None:
    assert one(CONTRACTUAL, at(100), subscriptions=[term(at(10), None, at(100))]).grey_reason is not None
    assert one(CONTRACTUAL, at(100), subscriptions=[term(at(10), None, at(99))]).grey_reason is None


@pytest.mark.parametrize(("definition", "delay"), [("inactivity", 37), ("contractual", 44), ("labels", 37)])
def test_the_label_is_known_after_gap_horizon_and_grace(definition: str, delay: int) -> None:
    churn = ChurnConfig(definition=definition, gap_days=7)  # type: ignore[arg-type]
    assert churn.outcome_delay == timedelta(days=delay)


@pytest.mark.parametrize("churn", [INACTIVITY, CONTRACTUAL])
def test_a_label_is_given_from_the_instant_on_that_the_data_reach_its_end(churn: ChurnConfig) -> None:
    rows = {"events": [event(at(90))], "subscriptions": [term(at(10), at(120))]}
    due = at(100) + churn.outcome_delay
    assert one(churn, at(100), data_end=due, **rows).churned is True
    assert one(churn, at(100), data_end=due - timedelta(seconds=1), **rows) == Verdict(None, None)


def test_young_accounts_are_grey_until_their_tenure_is_full() -> None:
    churn = ChurnConfig(definition="inactivity", min_tenure_days=90)
    assert one(churn, at(90), events=[event(at(80))]).grey_reason is None
    assert one(churn, at(89), events=[event(at(80))]).grey_reason == "customer for less than 90 days"


def test_an_account_without_a_sign_up_date_is_old() -> None:
    churn = ChurnConfig(definition="inactivity", min_tenure_days=90)
    world = World({"accounts": [row("accounts", account_id="A")], "events": [event(at(1))]})
    assert panel(world, churn, [at(3)])["A", at(3)].grey_reason is None


@pytest.mark.parametrize(("sign_up", "present"), [(at(100) - INSTANT, True), (at(100), False)])
def test_an_account_enters_the_panel_once_it_has_signed_up(sign_up: datetime, present: bool) -> None:
    accounts = [row("accounts", account_id="A", signed_up_at=sign_up)]
    world = World({"accounts": accounts, "events": [event(at(90))]})
    assert (("A", at(100)) in panel(world, INACTIVITY, [at(100)])) == present


def test_without_sign_up_dates_an_account_enters_with_its_first_known_row() -> None:
    world = World({"accounts": [row("accounts", account_id="A")], "events": [event(at(50), at(60))]})
    found = panel(world.without("accounts.signed_up_at"), INACTIVITY, [at(60), at(61)])
    assert set(found) == {("A", at(61))}


def test_rows_of_unknown_accounts_make_no_panel_rows() -> None:
    stranger = row("events", account_id="Z", occurred_at=at(90))
    world = World({"accounts": [row("accounts", account_id="A")], "events": [event(at(90)), stranger]})
    for tables in (world, world.without("accounts.signed_up_at")):
        assert {account for account, _ in panel(tables, INACTIVITY, [at(100)])} == {"A"}


LABELS = ChurnConfig(definition="labels")


def label(as_of: datetime, churned: bool, account: str = "A") -> Row:
    return row("labels", account_id=account, as_of=as_of, churned=churned)


def test_labels_of_the_user_are_taken_as_they_are_and_never_immature() -> None:
    labels = [label(at(100), True), label(at(130), False)]
    accounts = [row("accounts", account_id="A"), row("accounts", account_id="B")]
    found = panel(
        World({"accounts": accounts, "labels": labels}), LABELS, [at(100), at(130)], data_end=at(100)
    )
    assert found["A", at(100)] == Verdict(None, True)
    assert found["A", at(130)] == Verdict(None, False)
    assert found["B", at(100)] == Verdict(None, None)


def test_a_label_with_a_time_belongs_to_its_day() -> None:
    found = one(LABELS, at(100), labels=[label(at(100) + timedelta(hours=15), True)])
    assert found.churned is True


def test_dates_given_twice_make_one_panel_row() -> None:
    found = panel(random_world(1), INACTIVITY, [at(200), at(200)])
    assert len(found) == len({account for account, _ in found})


@pytest.mark.parametrize(
    ("definition", "absent", "needs"),
    [("inactivity", "events", "events"), ("contractual", "subscriptions", "subscriptions.ended_at"),
     ("contractual", "subscriptions.ended_at", "subscriptions.ended_at"), ("labels", "labels", "labels")],
)  # fmt: skip
def test_a_definition_without_its_table_is_one_clear_error(definition: str, absent: str, needs: str) -> None:
    churn = ChurnConfig(definition=definition)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match=f"definition '{definition}' needs {needs}, which churnrisk.toml"):
        panel(random_world(1).without(absent), churn, [at(200)])


def test_the_panel_has_no_missing_keys() -> None:
    with opened(random_world(2)) as tables:
        build_panel(tables, INACTIVITY, [at(200)], data_end=LATE)
        frame = tables.engine.frame("select * from panel")
    assert list(frame.columns) == ["account_id", "as_of", "grey_reason", "churned"]
    assert not frame[["account_id", "as_of"]].isna().any().any()
    assert pd.api.types.is_datetime64_any_dtype(frame["as_of"])


def test_a_panel_too_large_is_sampled_by_account_and_always_the_same() -> None:
    dates = [at(100), at(160), at(220)]

    def sampled(world: World, max_rows: int) -> tuple[int, set[tuple[object, ...]]]:
        with opened(world) as tables:
            build_panel(tables, ChurnConfig(), dates, data_end=at(400))
            parts = sample_panel(tables, max_rows=max_rows)
            return parts, set(tables.engine.rows("select account_id, as_of, churned from panel"))

    world = random_world(4, accounts=200, events=6_000)
    parts, everything = sampled(world, 10_000)
    labelled = sum(churned is not None for *_, churned in everything)
    assert parts == 1
    parts, some = sampled(world, labelled // 4 + 1)
    assert parts == 4
    assert some < everything
    accounts = {row[0] for row in some}
    assert some == {row for row in everything if row[0] in accounts}
    assert 0.15 < len(accounts) / 200 < 0.35
    assert sampled(world.shuffled(1), labelled // 4 + 1) == (parts, some)
