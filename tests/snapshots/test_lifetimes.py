"""How long accounts stayed, from small tables."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from churnrisk.errors import ContractError
from churnrisk.snapshots import ChurnConfig, lifetimes
from tests.world import Row, World, at, opened, row

CONTRACT = ChurnConfig(definition="contractual", grace_days=7)
SILENCE = ChurnConfig(definition="inactivity", horizon_days=30)
LABELS = ChurnConfig(definition="labels", horizon_days=30)


def lives(churn: ChurnConfig, *, data_end: datetime, signed_up: int = 0, **tables: list[Row]) -> pd.DataFrame:
    """The lives of A, beside B whose early loss shows that losses are seen from then on."""
    accounts = [row("accounts", account_id=name, signed_up_at=at(signed_up)) for name in "AB"]
    early = {
        "subscriptions": row("subscriptions", account_id="B", started_at=at(0), ended_at=at(1)),
        "events": row("events", account_id="B", occurred_at=at(0)),
        "labels": row("labels", account_id="B", as_of=at(0), churned=True),
    }
    rows = {name: [*some, early[name]] for name, some in tables.items()}
    with opened(World({"accounts": accounts, **rows})) as opened_tables:
        found = lifetimes(opened_tables, churn, data_end=data_end)
    return found[found["account_id"] == "A"].reset_index(drop=True)


def life(churn: ChurnConfig, *, data_end: datetime, **rest: list[Row]) -> tuple[int, int, bool]:
    found = lives(churn, data_end=data_end, **rest)  # type: ignore[arg-type]
    assert found["account_id"].tolist() == ["A"]
    return int(found["days"][0]), int(found["entered"][0]), bool(found["lost"][0])


def term(started: datetime, ended: datetime | None) -> Row:
    return row("subscriptions", account_id="A", started_at=started, ended_at=ended)


def event(day: int) -> Row:
    return row("events", account_id="A", occurred_at=at(day))


def test_a_life_ends_with_the_first_loss_even_if_the_customer_came_back() -> None:
    terms = [term(at(0), at(50)), term(at(80), at(120))]
    assert life(CONTRACT, data_end=at(200), subscriptions=terms) == (50, 1, True)


def test_a_present_account_counts_up_to_the_last_certain_day() -> None:
    assert life(CONTRACT, data_end=at(200), subscriptions=[term(at(0), None)]) == (193, 1, False)
    assert life(SILENCE, data_end=at(200), events=[event(d) for d in range(0, 200, 10)]) == (170, 1, False)


def test_an_end_within_the_grace_days_is_no_loss_yet() -> None:
    assert life(CONTRACT, data_end=at(106), subscriptions=[term(at(0), at(100))]) == (99, 1, False)
    assert life(CONTRACT, data_end=at(107), subscriptions=[term(at(0), at(100))]) == (100, 1, True)


def test_a_completed_term_ends_a_life_without_a_loss() -> None:
    done = term(at(0), at(100)) | {"status": "completed"}
    assert life(CONTRACT, data_end=at(200), subscriptions=[done]) == (100, 1, False)


def test_a_life_counts_from_the_first_row_on() -> None:
    assert life(CONTRACT, data_end=at(200), subscriptions=[term(at(60), at(100))]) == (100, 60, True)


def test_a_life_does_not_count_while_nobody_is_seen_to_leave() -> None:
    accounts = [row("accounts", account_id=name, signed_up_at=at(0)) for name in "AB"]
    terms = [term(at(0), None), row("subscriptions", account_id="B", started_at=at(0), ended_at=at(300))]
    with opened(World({"accounts": accounts, "subscriptions": terms})) as tables:
        found = lifetimes(tables, CONTRACT, data_end=at(400))
    assert found["entered"].tolist() == [300, 300]


def test_a_silence_ends_a_life_on_its_first_day() -> None:
    assert life(SILENCE, data_end=at(60), events=[event(0), event(9)]) == (10, 1, True)


def test_a_life_by_labels_ends_with_the_window_that_says_so() -> None:
    labels = [row("labels", account_id="A", as_of=at(day), churned=day == 60) for day in (30, 60)]
    assert life(LABELS, data_end=at(60), labels=labels) == (90, 30, True)
    assert life(LABELS, data_end=at(60), labels=labels[:1]) == (60, 30, False)


def test_an_account_too_young_to_be_judged_is_left_out() -> None:
    assert lives(CONTRACT, data_end=at(203), signed_up=200, subscriptions=[term(at(200), None)]).empty


def test_without_the_table_of_the_definition_the_fix_is_named() -> None:
    with pytest.raises(ContractError, match="needs subscriptions"):
        lives(CONTRACT, data_end=at(10), events=[event(0)])
