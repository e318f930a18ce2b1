"""What the API says of an account: the shapes of its answers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from churnrisk.records import AuditEntry, Colour, DecidedBy, Disposition, RedListRow


def _finite(number: float | None) -> float | None:
    """Return a number that JSON knows; there is none for "not a number"."""
    return number if number is None or math.isfinite(number) else None


def _in_utc(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


Instant = Annotated[
    datetime,
    PlainSerializer(_in_utc),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-07-01T00:00:00Z"]}),
]
Number = Annotated[float | None, BeforeValidator(_finite)]


class Shape(BaseModel):
    """An answer made from a record of the same fields."""

    model_config = ConfigDict(from_attributes=True)


class Reason(Shape):
    """Why an account has the probability it has: one signal's share."""

    feature: str = Field(examples=["days_since_last_event"])
    family: str = Field(examples=["recency"])
    text: str = Field(examples=["No activity for 34 days"])
    value: float | str | None = Field(examples=[34.0])
    contribution: Number = Field(description="Log-odds; positive speaks for churn.", examples=[1.9])


class Desk(Shape):
    """What the team has on record for an account."""

    version: int = Field(description="Send it with a review.", examples=[3])
    disposition: Disposition | None
    snoozed_until: Instant | None
    snooze_reason: str | None
    assignee: str | None
    note: str | None
    touched_at: Instant | None
    touched_by: str | None
    touched_what: str | None


class Account(Shape):
    """One line of the red list."""

    account_id: str = Field(examples=["C10042"])
    name: str | None = Field(examples=["Cedar Bakery"])
    owner: str | None = Field(examples=["Ana Castillo"])
    segment: str | None
    colour: Colour
    previous_colour: Colour | None
    arrow: str = Field(description="↑ riskier than at the last run, ↓ safer, → the same, • new or grey.")
    decided_by: DecidedBy
    rule: str | None
    churn_probability: Number = Field(examples=[0.62])
    previous_probability: Number
    annual_value: Number = Field(examples=[84000])
    expected_loss: Number = Field(examples=[52080])
    renewal_at: Instant | None
    days_to_renewal: int | None
    days_in_colour: int
    reasons: list[Reason]
    next_step: str
    moved: str = Field(description="Why the score moved since the last run; empty when it did not.")
    desk: Desk

    @classmethod
    def of(cls, row: RedListRow) -> Self:
        """Return the shape of a row."""
        return cls.model_validate(_attributes(row))


def _attributes(row: RedListRow) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in Account.model_fields}
    return found | {"moved": row.moved.text if row.moved else ""}


class Change(Shape):
    """One field of an account that somebody changed."""

    review_id: int
    at: Instant
    author: str
    via: str = Field(examples=["web"])
    field: str = Field(examples=["disposition"])
    before: str | None
    after: str | None
    version: int = Field(description="The account's version after it.")
    undone_by: int | None = Field(description="The review that took it back.")


def changes_of(entries: Iterable[AuditEntry]) -> list[Change]:
    """Return the shapes of audit entries."""
    return [Change.model_validate(entry) for entry in entries]
