"""When accounts were lost, and that it agrees with the labels."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.errors import ContractError
from churnrisk.snapshots import ChurnConfig, churn_dates, outcomes
from tests.world import Row, World, at, opened, random_world, row


def lost(churn: ChurnConfig, *, data_end: datetime, **tables: list[Row]) -> dict[str, datetime]:
    accounts = [row("accounts", account_id=name, signed_up_at=at(0)) for name in "AB"]
    with opened(World({"accounts": accounts, **tables})) as opened_tables:
        found = churn_dates(opened_tables, churn, data_end=data_end)
    return dict(zip(found["account_id"], found["churned_at"].dt.to_pydatetime(), strict=True))


def term(started: datetime, ended: datetime | None) -> Row:
    return row("subscriptions", account_id="A", started_at=started, ended_at=ended)


def event(happened: datetime) -> Row:
    return row("events", account_id="A", occurred_at=happened)


CONTRACT = ChurnConfig(definition="contractual", grace_days=7)
SILENCE = ChurnConfig(definition="inactivity", horizon_days=30)


def test_a_contract_is_lost_on_the_day_that_it_ends() -> None:
    ended = at(100) + timedelta(hours=5)
    assert lost(CONTRACT, data_end=at(200), subscriptions=[term(at(0), ended)]) == {"A": at(100)}


def test_a_renewal_within_the_grace_days_is_no_loss() -> None:
    renewed = [term(at(0), at(100)), term(at(107), None)]
    late = [term(at(0), at(100)), term(at(108), None)]
    assert lost(CONTRACT, data_end=at(200), subscriptions=renewed) == {}
    assert lost(CONTRACT, data_end=at(200), subscriptions=late) == {"A": at(100)}


def test_an_end_whose_grace_days_have_not_passed_is_not_known_yet() -> None:
    ended = [term(at(0), at(100))]
    assert lost(CONTRACT, data_end=at(106), subscriptions=ended) == {}
    assert lost(CONTRACT, data_end=at(107), subscriptions=ended) == {"A": at(100)}


def test_the_last_loss_counts() -> None:
    terms = [term(at(0), at(50)), term(at(80), at(120))]
    assert lost(CONTRACT, data_end=at(200), subscriptions=terms) == {"A": at(120)}


def test_a_silence_begins_on_the_day_after_the_last_event() -> None:
    events = [event(at(10)), event(at(20) + timedelta(hours=3))]
    assert lost(SILENCE, data_end=at(51), events=events) == {"A": at(21)}
    assert lost(SILENCE, data_end=at(50), events=events) == {}


def test_a_silence_that_ended_before_the_horizon_is_none() -> None:
    assert lost(SILENCE, data_end=at(60), events=[event(at(20)), event(at(50))]) == {}
    assert lost(SILENCE, data_end=at(60), events=[event(at(20)), event(at(51))]) == {"A": at(21)}


def test_a_label_dates_the_loss_by_the_end_of_its_window() -> None:
    churn = ChurnConfig(definition="labels", horizon_days=30, gap_days=5)
    labels = [
        row("labels", account_id="A", as_of=at(20), churned=True),
        row("labels", account_id="A", as_of=at(10), churned=True),
        row("labels", account_id="B", as_of=at(10), churned=False),
    ]
    assert lost(churn, data_end=at(20), labels=labels) == {"A": at(45)}


def test_a_definition_without_its_table_is_refused() -> None:
    with pytest.raises(ContractError, match="needs subscriptions"):
        lost(CONTRACT, data_end=at(60), events=[event(at(20))])


@pytest.mark.slow
@given(
    seed=st.integers(0, 10**9),
    definition=st.sampled_from(("contractual", "inactivity")),
    horizon=st.integers(1, 60),
    gap=st.sampled_from((0, 14)),
    days=st.lists(st.integers(1, 520), min_size=1, max_size=4, unique=True),
    end=st.integers(100, 600),
)
@settings(max_examples=30, deadline=None)
def test_every_account_labelled_as_churned_has_a_date(
    seed: int, definition: str, horizon: int, gap: int, days: list[int], end: int
) -> None:
    churn = ChurnConfig(definition=definition, horizon_days=horizon, gap_days=gap)  # type: ignore[arg-type]
    with opened(random_world(seed, accounts=6)) as tables:
        labelled = outcomes(tables, churn, [at(day) for day in days], data_end=at(end))
        dates = churn_dates(tables, churn, data_end=at(end)).set_index("account_id")["churned_at"]
    for _, found in labelled[labelled["churned"].fillna(False).astype(bool)].iterrows():
        assert found["account_id"] in dates.index
        if definition == "contractual":
            # of a lapsed account the end lies in the grace before the date
            assert dates[found["account_id"]] >= found["as_of"] - timedelta(days=churn.grace_days)
