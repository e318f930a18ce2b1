"""The red list: rows, totals and groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from churnrisk.records.desk import DeskState
from churnrisk.records.light import Colour, DecidedBy
from churnrisk.records.moves import Move, Turnaround
from churnrisk.records.reasons import Reason
from churnrisk.records.runs import Run


@dataclass(frozen=True, slots=True)
class RedListRow:
    """One account on the red list."""

    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    colour: Colour
    previous_colour: Colour | None
    decided_by: DecidedBy
    churn_probability: float
    previous_probability: float | None
    annual_value: float | None
    expected_loss: float | None
    renewal_at: datetime | None
    days_to_renewal: int | None
    days_in_colour: int
    rule: str | None
    reasons: tuple[Reason, ...]
    next_step: str
    moved: Move | None = None
    turnaround: Turnaround | None = None
    play: str | None = None
    desk: DeskState = field(default_factory=DeskState)

    @property
    def arrow(self) -> str:
        """``↑`` riskier than at the last run, ``↓`` safer, ``→`` the same, ``•`` new or grey."""
        if self.previous_colour is None:
            return "•"
        if Colour.GREY in (self.colour, self.previous_colour):
            return "•"  # grey is no judgement
        order = {Colour.GREEN: 0, Colour.AMBER: 1, Colour.RED: 2}
        step = order[self.colour] - order[self.previous_colour]
        return "↑" if step > 0 else "↓" if step < 0 else "→"


@dataclass(frozen=True, slots=True)
class Total:
    """A figure at the top of the red list, with its value at the last run if there was one."""

    label: str
    value: float
    previous: float | None = None


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Red and amber accounts of one segment or renewal quarter; ``key`` is how the query names it."""

    key: str
    red: int
    amber: int
    red_value: float
    amber_value: float
    expected_loss: float

    @property
    def value(self) -> float:
        """Annual value of red and amber."""
        return self.red_value + self.amber_value


@dataclass(frozen=True, slots=True)
class RedList:
    """One page of the red list of a run, worst expected loss first unless the query says otherwise.

    ``totals`` and groups cover the whole run or the query's owner; ``matching`` counts the rows of all pages.
    ``owners``, ``segments`` and ``families`` are what a query may name; ``snoozed`` and ``churned`` count accounts
    of the chosen colours and owner that are not listed.
    """

    run: Run
    previous_run: Run | None
    totals: tuple[Total, ...]
    rows: tuple[RedListRow, ...]
    matching: int = 0
    page: int = 1
    per_page: int = 0
    by_segment: tuple[AtRisk, ...] = ()
    by_quarter: tuple[AtRisk, ...] = ()
    owners: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    snoozed: int = 0
    churned: int = 0

    @property
    def previous(self) -> int | None:
        """The previous page, None on the first."""
        return self.page - 1 if self.page > 1 else None

    @property
    def next(self) -> int | None:
        """The next page, None on the last."""
        return self.page + 1 if self.page * self.per_page < self.matching else None
