"""The instants at which windows open and close, one by one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from churnrisk.features import FeatureConfig
from churnrisk.snapshots import ChurnConfig
from tests.features.computing import compute
from tests.world import Row, World, at, row

AS_OF = at(400)
INSTANT = timedelta(microseconds=1)


def values(**tables: list[Row]) -> pd.Series:
    """Return the features of one account at AS_OF."""
    world = World({"accounts": [row("accounts", account_id="A", signed_up_at=at(0))], "events": [], **tables})
    return compute(world, [AS_OF], config=FeatureConfig(), churn=ChurnConfig()).X.iloc[0]


def event(happened: datetime, **more: Any) -> Row:
    return row("events", account_id="A", occurred_at=happened, **more)


def complaint(**more: Any) -> Row:
    return row("complaints", **{"account_id": "A", "opened_at": at(390), "severity": 3.0} | more)


@pytest.mark.parametrize("days", [7, 30, 90])
def test_a_window_holds_its_first_instant_and_not_the_one_before(days: int) -> None:
    edge = AS_OF - timedelta(days=days)
    inside = values(events=[event(edge, feature="f", user_id="u")])
    outside = values(events=[event(edge - INSTANT, feature="f", user_id="u")])
    for name in (f"events_{days}", f"active_days_{days}", f"features_{days}"):
        assert (inside[name], outside[name]) == (1, 0), name


@pytest.mark.parametrize(("days", "silent"), [(30, 0), (31, 1)])
def test_silence_begins_after_thirty_full_days(days: int, silent: int) -> None:
    assert values(events=[event(AS_OF - timedelta(days=days))])["silent_30d"] == silent


def test_an_event_long_ago_is_remembered() -> None:
    found = values(events=[event(at(1))])
    assert found["days_since_last_event"] == 399
    assert found["events_90"] == 0
    assert pd.isna(found["overdue_ratio"])


def test_a_complaint_resolved_on_the_as_of_instant_is_open() -> None:
    still_open = values(complaints=[complaint(resolved_at=AS_OF, csat=5.0)])
    assert (still_open["open_complaints"], still_open["worst_open_severity"]) == (1, 3)
    assert still_open["oldest_open_complaint_days"] == 10
    assert pd.isna(still_open["resolution_hours"])
    assert pd.isna(still_open["complaint_csat"])
    done = values(complaints=[complaint(resolved_at=AS_OF - INSTANT, csat=5.0)])
    assert (done["open_complaints"], done["worst_open_severity"], done["complaint_csat"]) == (0, 0, 5)


@pytest.mark.parametrize(("answered", "known"), [(AS_OF, False), (AS_OF - INSTANT, True)])
def test_a_first_response_counts_once_it_has_come(answered: datetime, known: bool) -> None:
    assert (
        pd.notna(values(complaints=[complaint(first_response_at=answered)])["first_response_hours"]) == known
    )


@pytest.mark.parametrize(("back", "reopened"), [(0, 1), (14, 1), (15, 0)])
def test_a_complaint_comes_back_within_fourteen_days(back: int, reopened: int) -> None:
    first = complaint(opened_at=at(370), resolved_at=at(390) - timedelta(days=back))
    again = [complaint(opened_at=at(390), category=None), complaint(opened_at=at(390), category="other")]
    assert values(complaints=[first, *again])["complaints_reopened_90"] == reopened


def test_two_complaints_that_come_back_at_one_instant_are_two() -> None:
    first = [complaint(opened_at=at(380), resolved_at=at(385), category=name) for name in ("bug", "bill")]
    again = [complaint(opened_at=at(390), category=name) for name in ("bug", "bill")]
    assert values(complaints=[*first, *again])["complaints_reopened_90"] == 2


@pytest.mark.parametrize(
    ("ended", "mrr"),
    [(AS_OF, 10.0), (AS_OF - INSTANT, 10.0), (AS_OF - timedelta(days=61), None), (None, 10.0)],
)
def test_a_contract_says_what_is_paid_until_a_while_after_it_lapsed(
    ended: datetime | None, mrr: float | None
) -> None:
    term = row("subscriptions", account_id="A", started_at=at(10), ended_at=ended, mrr=10.0)
    found = values(subscriptions=[term])["mrr"]
    assert pd.isna(found) if mrr is None else found == mrr


@pytest.mark.parametrize(
    ("ended", "status", "days"),
    [
        (AS_OF, "expired", None),
        (AS_OF - timedelta(days=1), "expired", 1),
        (AS_OF - INSTANT, "expired", 1),
        (AS_OF - timedelta(days=3), "completed", None),
        (None, "active", None),
    ],
)
def test_an_account_has_lapsed_once_its_last_end_has_passed(
    ended: datetime | None, status: str, days: int | None
) -> None:
    former = row("subscriptions", account_id="A", started_at=at(1), ended_at=at(90), status="expired")
    term = row("subscriptions", account_id="A", started_at=at(100), ended_at=ended, status=status)
    found = values(subscriptions=[former, term])["days_lapsed"]
    assert pd.isna(found) if days is None else found == days


@pytest.mark.parametrize(
    ("given", "ended", "days"),
    [
        (AS_OF, None, None),
        (AS_OF - INSTANT, None, 1),
        (at(390), at(410), 10),
        (at(390), AS_OF, 10),
        (at(390), at(395), None),
        (at(5), None, 300),
    ],
)
def test_notice_counts_from_its_day_until_the_end(
    given: datetime, ended: datetime | None, days: int | None
) -> None:
    term = row("subscriptions", account_id="A", started_at=at(100), ended_at=ended, cancelled_at=given)
    found = values(subscriptions=[term])["notice_given_days"]
    assert pd.isna(found) if days is None else found == days


@pytest.mark.parametrize(("renewal", "days"), [(AS_OF, 0), (at(430), 30), (AS_OF - INSTANT, None)])
def test_a_renewal_on_the_as_of_instant_is_ahead(renewal: datetime, days: int | None) -> None:
    term = row("subscriptions", account_id="A", started_at=at(10), renewal_at=renewal)
    found = values(subscriptions=[term])["days_to_renewal"]
    assert pd.isna(found) if days is None else found == days


@pytest.mark.parametrize(
    ("answered", "detractor"), [(AS_OF - timedelta(days=90), 1), (AS_OF - timedelta(days=90) - INSTANT, 0)]
)
def test_dissatisfaction_is_remembered_for_ninety_days(answered: datetime, detractor: int) -> None:
    survey = row("surveys", account_id="A", answered_at=answered, score=6.0)
    assert values(surveys=[survey])["detractor"] == detractor


@pytest.mark.parametrize(
    ("changed", "recent"), [(AS_OF - timedelta(days=60), 1), (AS_OF - timedelta(days=61), 0), (AS_OF, 0)]
)
def test_an_owner_change_is_recent_for_sixty_days(changed: datetime, recent: int) -> None:
    owners = [
        row("attributes", account_id="A", valid_from=at(1), owner="kim"),
        row("attributes", account_id="A", valid_from=changed, owner="lee"),
    ]
    assert values(attributes=owners)["owner_changed_60d"] == recent


def test_huge_amounts_do_not_overflow_the_sums() -> None:
    term = row("subscriptions", account_id="A", started_at=at(10), mrr=9e13)
    found = values(subscriptions=[term] * 3, events=[event(at(399), quantity=-9e13)] * 3)
    assert found["mrr"] == pytest.approx(2.7e14)
    assert found["quantity_30"] == pytest.approx(-2.7e14)
