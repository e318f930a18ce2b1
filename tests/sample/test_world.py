"""The sample world: deterministic, with true probabilities, and consistent with itself."""

from __future__ import annotations

import time
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.errors import UsageError
from churnrisk.sample import CAUSES, INTERCEPT, RISKS, World, make_world

HORIZON = pd.Timedelta(days=30)
GRACE = pd.Timedelta(days=14)


def _tables(world: World) -> dict[str, pd.DataFrame]:
    values = {field.name: getattr(world, field.name) for field in fields(world)}
    return {name: value for name, value in values.items() if isinstance(value, pd.DataFrame)}


def _contractual_churn(world: World) -> pd.Series:
    """Return, by the raw table alone, whether each row of truth churned in its 30 days."""
    terms = world.subscriptions
    follower = terms[["account_id", "started_at"]].rename(columns={"started_at": "next_start"})
    ends = terms.dropna(subset="ended_at").merge(follower, on="account_id")
    wait = ends["next_start"] - ends["ended_at"]
    followed = ends.loc[(wait >= pd.Timedelta(0)) & (wait <= GRACE), ["account_id", "ended_at"]]
    final = ends[["account_id", "ended_at"]].drop_duplicates().merge(followed, how="left", indicator=True)
    churn = final.loc[final["_merge"] == "left_only", ["account_id", "ended_at"]]
    rows = world.truth.reset_index().merge(churn, on="account_id")
    inside = (rows["ended_at"] >= rows["as_of"]) & (rows["ended_at"] < rows["as_of"] + HORIZON)
    return pd.Series(world.truth.index.isin(rows.loc[inside, "index"]), index=world.truth.index)


def _drawn(world: World) -> pd.DataFrame:
    return world.truth[world.truth["churned"].notna()].astype({"churned": bool})


def test_the_same_seed_gives_the_same_world() -> None:
    first, second = make_world(seed=3, accounts=150, months=4), make_world(seed=3, accounts=150, months=4)
    for name, table in _tables(first).items():
        pd.testing.assert_frame_equal(table, getattr(second, name))


def test_another_seed_gives_another_world() -> None:
    first, second = make_world(seed=3, accounts=150, months=4), make_world(seed=4, accounts=150, months=4)
    assert not first.events.equals(second.events)


def test_there_is_enough_churn_at_the_intended_rate(world: World) -> None:
    drawn = _drawn(world)
    assert drawn["churned"].sum() >= 600
    assert 0.03 <= drawn["churned"].mean() <= 0.05


@pytest.mark.parametrize("seed", [7, 11, 12])
def test_the_true_probabilities_add_up_to_the_churners(seed: int, world: World) -> None:
    drawn = _drawn(world if seed == 7 else make_world(seed=seed, accounts=1000))
    p = drawn["churn_probability"]
    spread = np.sqrt((p * (1 - p)).sum())
    assert abs(drawn["churned"].sum() - p.sum()) < 3.3 * spread


def test_the_true_probabilities_are_right_at_every_level(world: World) -> None:
    drawn = _drawn(world)
    tenth = pd.qcut(drawn["churn_probability"], 10, labels=False)
    for _, rows in drawn.groupby(tenth):
        p = rows["churn_probability"]
        assert abs(rows["churned"].sum() - p.sum()) < 3.5 * np.sqrt((p * (1 - p)).sum())


def test_the_causes_add_up_to_the_probability(world: World) -> None:
    log_odds = INTERCEPT + world.truth[[f"log_odds_{cause}" for cause in CAUSES]].sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), world.truth["churn_probability"])


def test_truth_is_the_contractual_label_of_the_subscriptions_table(world: World) -> None:
    drawn = world.truth["churned"].notna()
    label = _contractual_churn(world)[drawn]
    assert (label == world.truth.loc[drawn, "churned"].astype(bool)).all()


def test_truth_has_one_row_per_account_with_a_running_term(world: World) -> None:
    assert not world.truth.duplicated(["account_id", "as_of"]).any()
    terms = world.subscriptions
    for as_of, rows in world.truth.groupby("as_of"):
        running = (terms["started_at"] < as_of) & ~(terms["ended_at"] < as_of)
        assert set(rows["account_id"]) == set(terms.loc[running, "account_id"])


def test_the_last_dates_outcome_is_not_known(world: World) -> None:
    last = world.truth[world.truth["as_of"] == world.end]
    assert len(last) > 0
    assert last["churned"].isna().all()


@pytest.mark.parametrize("cause", RISKS)
def test_each_planted_cause_explains_churn_that_the_others_do_not(cause: str, world: World) -> None:
    drawn = _drawn(world)
    affected = drawn[drawn[f"log_odds_{cause}"] > 0.3]
    p = affected["churn_probability"]
    log_odds_without = np.log(p / (1 - p)) - affected[f"log_odds_{cause}"]
    p_without = 1 / (1 + np.exp(-log_odds_without))
    spread = np.sqrt((p_without * (1 - p_without)).sum())
    assert affected["churned"].sum() > p_without.sum() + 2 * spread


@pytest.mark.parametrize("cause", RISKS)
def test_each_risk_is_the_main_cause_of_some(cause: str, world: World) -> None:
    assert (world.truth["main_cause"] == cause).sum() >= 100


def test_silence_is_what_the_events_show(world: World) -> None:
    as_of = world.end - 3 * HORIZON
    last = world.events[world.events["occurred_at"] < as_of].groupby("account_id")["occurred_at"].max()
    truth = world.truth[world.truth["as_of"] == as_of].set_index("account_id")
    idle_days = (as_of - last.dt.normalize()).dt.days.reindex(truth.index)
    silent = truth["log_odds_silence"] >= 2.0
    assert silent.sum() >= 20
    # Accounts without any session count from their sign-up, and a late record may hide the last one.
    assert (idle_days[silent].dropna() >= 30).all()
    busy = truth["log_odds_silence"] == 0
    assert (idle_days[busy] <= 7).mean() > 0.97


def test_an_open_critical_complaint_shows_in_the_truth(world: World) -> None:
    as_of = world.end - 3 * HORIZON
    tickets = world.complaints
    is_open = (tickets["opened_at"] < as_of) & ~(tickets["resolved_at"] < as_of) & (tickets["severity"] == 4)
    truth = world.truth[world.truth["as_of"] == as_of].set_index("account_id")
    affected = truth.index.isin(tickets.loc[is_open, "account_id"])
    assert affected.sum() >= 5
    assert (truth.loc[affected, "log_odds_complaints"] >= 1.6).all()


def test_no_session_happens_without_a_running_term(world: World) -> None:
    terms = world.subscriptions.sort_values("started_at")[["account_id", "started_at", "ended_at"]]
    events = world.events[["account_id", "occurred_at"]].sort_values("occurred_at")
    covered = pd.merge_asof(events, terms, left_on="occurred_at", right_on="started_at", by="account_id")
    assert covered["started_at"].notna().all()
    assert not (covered["occurred_at"] >= covered["ended_at"]).any()


def test_nothing_is_known_after_the_end(world: World) -> None:
    assert (world.events["recorded_at"] < world.end).all()
    assert (world.events["recorded_at"] >= world.events["occurred_at"]).all()
    assert (world.complaints["recorded_at"] < world.end).all()
    assert not (world.subscriptions["ended_at"] >= world.end).any()
    assert (world.surveys["answered_at"] < world.end).all()
    assert (world.attributes["valid_from"] < world.end).all()


def test_no_event_is_there_twice(world: World) -> None:
    assert not world.events.duplicated().any()


def test_a_few_percent_of_the_events_arrive_late(world: World) -> None:
    late = (world.events["recorded_at"] > world.events["occurred_at"]).mean()
    assert 0.02 < late < 0.04


def test_terms_follow_each_other_without_overlap(world: World) -> None:
    terms = world.subscriptions.sort_values(["account_id", "started_at"])
    following = terms.groupby("account_id")["started_at"].shift(-1)
    has_next = following.notna()
    assert terms.loc[has_next, "ended_at"].notna().all()
    wait_days = (following - terms["ended_at"])[has_next].dt.days
    renewed = wait_days == 0
    assert (terms.loc[has_next, "ended_at"] == terms.loc[has_next, "renewal_at"])[renewed].all()
    assert (wait_days[~renewed] >= 60).all()
    assert (~renewed).sum() >= 10


def test_annual_customers_leave_at_the_end_of_a_term_far_more_often_than_by_chance(world: World) -> None:
    terms = world.subscriptions.sort_values(["account_id", "started_at"]).dropna(subset="ended_at")
    annual = terms[(terms["renewal_at"] - terms["started_at"]).dt.days == 365]
    running = world.subscriptions.loc[world.subscriptions["ended_at"].isna(), "account_id"]
    final = annual[~annual["account_id"].isin(running)].groupby("account_id").tail(1)
    by_chance = 1 / 365
    assert (final["renewal_at"] == final["ended_at"]).mean() > 50 * by_chance


def test_prices_rise_at_renewals_only(world: World) -> None:
    terms = world.subscriptions.sort_values(["account_id", "started_at"])
    per_seat = terms["mrr"] / terms["seats"]
    change = per_seat / per_seat.groupby(terms["account_id"]).shift(1) - 1
    assert (change.dropna() > -0.005).all()
    assert (change > 0.09).sum() >= 50


def test_owners_change_and_the_crm_shows_the_latest(world: World) -> None:
    history = world.attributes.sort_values(["account_id", "valid_from"])
    assert not history.duplicated(["account_id", "valid_from"]).any()
    latest = history.groupby("account_id")["owner"].last()
    assert (world.accounts.set_index("account_id")["owner"] == latest).all()
    assert len(history) > len(world.accounts) * 1.1


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), accounts=st.integers(1, 40), months=st.integers(1, 5))
def test_worlds_of_any_size_are_whole(seed: int, accounts: int, months: int) -> None:
    world = make_world(seed=seed, accounts=accounts, months=months)
    assert len(world.accounts) == accounts
    assert set(world.subscriptions["account_id"]) == set(world.accounts["account_id"])
    assert world.truth["churn_probability"].between(0, 1, inclusive="neither").all()
    assert world.end - world.start == HORIZON * months


@pytest.mark.slow
def test_twenty_thousand_accounts_take_seconds() -> None:
    before = time.process_time()
    make_world(accounts=20_000, months=6)
    assert time.process_time() - before < 30


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"accounts": 0}, "accounts"),
        ({"months": 0}, "months"),
        ({"seed": -1}, "seed"),
        ({"end": "soon"}, "end"),
    ],
)
def test_arguments_out_of_range_are_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=f"expected {named}"):
        make_world(**wrong)  # type: ignore[arg-type]
