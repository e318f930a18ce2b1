"""The row of the red list: one described shape behind terminal, JSON, CSV, workbook and API."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from churnrisk import records
from churnrisk.present.wording import CAUSES

Cell = str | int | float | date | None
_MONEY = frozenset(("annual_value", "expected_loss"))
_DAYS = frozenset(("renewal_at", "snoozed_until"))


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


class RecordShape(BaseModel):
    """JSON made from a record of the same fields."""

    model_config = ConfigDict(from_attributes=True, validate_by_name=True)


class MoveShape(RecordShape):
    """Why the colour or the score is another one than at the last run."""

    since: Instant = Field(description="As-of date of the last run.")
    previous_colour: records.Colour
    because: str | None = Field(description="What changed the colour.", examples=["score"])
    log_odds: Number = Field(description="The change, which the parts sum to.")
    parts: list[records.MovePart]
    text: str = Field(description="The parts in words.")


class TurnaroundShape(RecordShape):
    """The smallest realistic change after which the model and the rules would give a better colour."""

    colour: records.Colour | None
    levers: list[str]
    steps: list[str] = Field(examples=[["resolve the open complaint"]])
    probability: Number = Field(description="The churn probability afterwards.")
    changes: list[records.ChangedSignal]
    text: str


def _of_state(name: str, description: str | None = None, examples: list[Any] | None = None) -> Any:
    """Describe a column that stands in the account state, :class:`churnrisk.records.AccountState`."""
    return Field(validation_alias=AliasPath("state", name), description=description, examples=examples)


class AccountRow(RecordShape):
    """One account on the red list; its fields are the columns of every list and export."""

    account_id: str = Field(description="Its id in your tables.", examples=["C10042"])
    name: str | None = Field(examples=["Cedar Bakery"])
    owner: str | None = Field(description="Who looks after the account.", examples=["Ana Castillo"])
    segment: str | None
    colour: records.Colour
    arrow: str = Field(description="↑ riskier than at the last run, ↓ safer, → the same, • new or grey.")
    place: records.Place | None = Field(
        description="Work of this run, red beyond the team's capacity, amber on watch, or handled before the run."
    )
    rank: int | None = Field(description="Place in the work of this run, from 1.", examples=[12])
    previous_colour: records.Colour | None
    decided_by: records.DecidedBy = Field(description="What had the last word on the colour.")
    rule: str | None = Field(description="The rule that decided.")
    churn_probability: Number = Field(description="Of churn within the horizon.", examples=[0.62])
    previous_probability: Number = Field(description="At the last run.")
    annual_value: Number = Field(examples=[84000])
    expected_loss: Number = Field(description="Churn probability times annual value.", examples=[52080])
    renewal_at: Instant | None
    days_to_renewal: int | None = Field(description="From the run on.")
    days_in_colour: int
    reasons: list[records.Reason] = Field(description="The largest contribution first.")
    play: str | None = Field(description="The play that fits.")
    next_step: str
    move: MoveShape | None = Field(description="Null when nothing moved.")
    turnaround: TurnaroundShape | None = Field(description="What would give it a better colour.")
    version: int = _of_state("version", "Grows with every change by the team; send it with a review.", [3])
    disposition: records.Disposition | None = _of_state("disposition", "What the team has found out.")
    snoozed_until: Instant | None = _of_state("snoozed_until")
    snooze_reason: str | None = _of_state("snooze_reason")
    assignee: str | None = _of_state("assignee", "Who takes care of it now.")
    note: str | None = _of_state("note", "The latest one.")
    touched_at: Instant | None = _of_state("touched_at", "The last change that was not undone.")
    touched_by: str | None = _of_state("touched_by")
    touched_what: str | None = _of_state("touched_what", examples=["contacted"])

    @classmethod
    def of(cls, row: records.RedListRow) -> Self:
        """Return the shape of a row."""
        return cls.model_validate(row)


COLUMNS: tuple[str, ...] = tuple(AccountRow.model_fields)


def heading(column: str) -> str:
    """Return a column's name as people read it: ``Churn probability``."""
    return column.replace("_", " ").capitalize()


def flat(row: records.RedListRow, *, separator: str = "; ") -> dict[str, Cell]:
    """Return a row as one cell per column: structures as their text, money in cents, days as dates."""
    shape = AccountRow.of(row)
    return {name: _cell(name, getattr(shape, name), separator) for name in COLUMNS}


def _cell(name: str, value: object, separator: str) -> Cell:
    match value:
        case list():
            return separator.join(reason.text for reason in value)
        case MoveShape():
            said = [part for part in (value.because and CAUSES[value.because], value.text) if part]
            return f"since {value.since:%Y-%m-%d}: {'; '.join(said)}"
        case TurnaroundShape():
            return value.text
        case datetime():
            # a workbook knows no time zones
            return value.date() if name in _DAYS else value.replace(microsecond=0, tzinfo=None)
        case float() if name in _MONEY:
            return round(value, 2)
        case records.Colour() | records.DecidedBy() | records.Disposition() | records.Place():
            return str(value)
    return value  # type: ignore[return-value]  # every other column holds a cell
