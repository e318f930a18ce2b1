"""A red list with everything a report must cope with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from churnrisk.records import AtRisk, Colour, DecidedBy, Reason, RedList, RedListRow, Run, Total

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
        return RedList(
            RUN, before if previous else None, totals, rows, by_segment=at_risk(rows, segment_of),
            by_quarter=at_risk(rows, quarter_of, in_order=True),
        )  # fmt: skip

    return make


def segment_of(row: RedListRow) -> str:
    return row.segment or "(none)"


def quarter_of(row: RedListRow) -> str:
    return f"{row.renewal_at.year}-Q{(row.renewal_at.month + 2) // 3}" if row.renewal_at else "(none)"


def at_risk(
    rows: Iterable[RedListRow], key_of: Callable[[RedListRow], str], *, in_order: bool = False
) -> tuple[AtRisk, ...]:
    """What the history adds up for a run, added up from the rows."""
    risky = [row for row in rows if row.colour in (Colour.RED, Colour.AMBER)]
    groups = []
    for key in {key_of(row) for row in risky}:
        its = [(row.colour, row.annual_value or 0.0) for row in risky if key_of(row) == key]
        counts = [sum(colour == wanted for colour, _ in its) for wanted in (Colour.RED, Colour.AMBER)]
        values = [
            sum(value for colour, value in its if colour == wanted) for wanted in (Colour.RED, Colour.AMBER)
        ]
        groups.append(AtRisk(key, *counts, *values, 0.0))
    by_value = lambda group: (group.key == "(none)", group.key if in_order else -group.value, group.key)  # noqa: E731
    return tuple(sorted(groups, key=by_value))
