"""A red list with everything a report must cope with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from churnrisk.records import Colour, DecidedBy, Reason, RedList, RedListRow, Run, Total

RUN = Run(
    run_id=12,
    run_key="k12",
    as_of=datetime(2026, 7, 1),
    published_at=datetime(2026, 7, 1, 6, 30),
    model_version="7",
    policy_version="certified-3",
    inputs_digest="9f2c41d0",
    accounts=1234,
    red=2,
    amber=1,
    green=1200,
    grey=31,
)
ROW = RedListRow(
    account_id="C10042",
    name="Cedar Bakery",
    owner="Ana Castillo",
    segment="Enterprise",
    colour=Colour.RED,
    previous_colour=Colour.AMBER,
    decided_by=DecidedBy.MODEL,
    churn_probability=0.624,
    previous_probability=0.31,
    annual_value=84_000.0,
    expected_loss=52_416.0,
    renewal_at=datetime(2026, 7, 24),
    days_to_renewal=23,
    days_in_colour=1,
    rule=None,
    reasons=(
        Reason("days_since_last_event", "recency", "No activity for 34 days", 34.0, 1.9),
        Reason("open_complaints", "complaints", "2 complaints open, the oldest for 41 days", 2.0, 0.7),
    ),
    next_step="Call the owner's contact and offer help",
)


@pytest.fixture
def make_redlist() -> Callable[..., RedList]:
    """Build a red list of rows that differ from a typical one in what is given."""

    def make(*changes: dict[str, object], previous: bool = True) -> RedList:
        rows = tuple(replace(ROW, **change) for change in changes)
        before = replace(RUN, run_id=11, as_of=datetime(2026, 6, 1))
        totals = (
            Total("Accounts", 1234, 1230 if previous else None),
            Total("Red", 2, 5 if previous else None),
            Total("Red and renewing within 90 days", 1, 1 if previous else None),
            Total("Revenue at risk", 98_765.4, 90_000.0 if previous else None),
        )
        return RedList(RUN, before if previous else None, totals, rows)

    return make
