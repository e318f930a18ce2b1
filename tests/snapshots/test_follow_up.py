"""In which window each row was lost, and that what comes later is never known earlier."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.snapshots import ChurnConfig, build_panel, follow_up, known_by
from tests.features.test_law import without_future
from tests.snapshots.oracle import fell_silent, left_at, verdicts, was_lapsed, was_lost
from tests.world import Row, World, at, opened, random_world, row

MOST = 6
NEVER = at(10_000)
definitions = st.sampled_from(
    (
        ChurnConfig(definition="contractual", grace_days=7),
        ChurnConfig(definition="contractual", horizon_days=45, gap_days=10, grace_days=3),
        ChurnConfig(definition="inactivity", lookback_days=400),
        ChurnConfig(definition="inactivity", horizon_days=20, gap_days=5, lookback_days=400),
    )
)


def followed(world: World, churn: ChurnConfig, dates: list[datetime], *, data_end: datetime) -> pd.DataFrame:
    with opened(world) as tables:
        build_panel(tables, churn, dates, data_end=data_end)
        return follow_up(tables, churn, data_end=data_end, max_windows=MOST)


def judged(
    world: World, churn: ChurnConfig, account: str, as_of: datetime, data_end: datetime
) -> tuple[int, bool]:
    """Walk from window to window in plain Python."""
    lost = fell_silent if churn.definition == "inactivity" else was_lost
    opens = as_of + timedelta(days=churn.gap_days)
    done = NEVER
    if churn.definition == "contractual":
        if was_lapsed(world, account, as_of, churn):
            return 1, True
        done = left_at(world, account, as_of, NEVER, churn, completed=True) or NEVER
        if done < opens or lost(world, account, as_of, opens, churn):
            return 0, False
    for number in range(MOST):
        low = opens + timedelta(days=number * churn.horizon_days)
        high = low + timedelta(days=churn.horizon_days)
        if as_of + churn.outcome_delay + (low - opens) > data_end:
            return number, False
        if lost(world, account, low, min(high, done + timedelta(seconds=1)), churn):
            return number + 1, True
        if done < high:
            return number, False
    return MOST, False


@pytest.mark.slow
@given(seed=st.integers(0, 10**9), churn=definitions, end=st.integers(250, 520))
@settings(max_examples=15)
def test_every_window_is_judged_as_the_label_window_is(seed: int, churn: ChurnConfig, end: int) -> None:
    world, dates = random_world(seed, events=40), [at(120), at(180), at(240)]
    found = followed(world, churn, dates, data_end=at(end))
    expected = {
        key: judged(world, churn, *key, data_end=at(end))
        for key, verdict in verdicts(world, churn, dates, data_end=at(end)).items()
        if verdict.churned is not None
    }
    found = {
        (account, as_of.to_pydatetime()): (windows, churned)
        for (account, as_of), windows, churned in found.itertuples()
    }
    assert found == expected


@pytest.mark.slow
@given(seed=st.integers(0, 10**9), churn=definitions, end=st.integers(200, 420))
@settings(max_examples=15)
def test_without_the_future_the_same_is_known_as_censoring_says(
    seed: int, churn: ChurnConfig, end: int
) -> None:
    world, dates = random_world(seed, events=40), [at(120), at(180)]
    everything = followed(world, churn, dates, data_end=at(520))
    then = followed(without_future(world, at(end)), churn, dates, data_end=at(end))
    censored = known_by(everything, churn, end=at(end))
    pd.testing.assert_frame_equal(censored[censored["windows"] > 0], then[then["windows"] > 0])


def test_the_first_window_is_the_label_window() -> None:
    world, churn = random_world(7, accounts=30, events=300), ChurnConfig(lookback_days=90)
    with opened(world) as tables:
        build_panel(tables, churn, [at(200), at(300)], data_end=at(500))
        found = follow_up(tables, churn, data_end=at(500), max_windows=MOST)
        labels = tables.engine.arrow(
            "select churned from panel where churned is not null order by as_of, account_id"
        ).to_pandas()["churned"]
    assert 0 < labels.sum() < len(labels)
    assert ((found["windows"] == 1) & found["churned"]).tolist() == labels.tolist()


@pytest.mark.parametrize(("ends", "expected"), [(30, (2, True)), (29, (1, True)), (200, (6, False))])
def test_a_contract_that_ends_on_the_edge_of_a_window_belongs_to_the_later_one(
    ends: int, expected: tuple[int, bool]
) -> None:
    terms: list[Row] = [row("subscriptions", account_id="A", started_at=at(0), ended_at=at(100 + ends))]
    world = World({"accounts": [row("accounts", account_id="A", signed_up_at=at(0))], "subscriptions": terms})
    found = followed(world, ChurnConfig(definition="contractual"), [at(100)], data_end=at(450))
    assert list(found.itertuples(index=False, name=None)) == [expected]
