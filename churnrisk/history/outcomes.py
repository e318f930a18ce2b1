"""What the colours of each run promised, and what became of its accounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from churnrisk.history.schema import run_outcomes, runs
from churnrisk.history.store import HistoryStore
from churnrisk.records import Run


@dataclass(frozen=True, slots=True)
class ColourOutcome:
    """One colour of one run: its promise, the test of the run's model, and the outcomes once they are known.

    ``promise`` is in words, empty where there is none; ``at_most`` and ``at_least`` are the promised churn rate.
    ``known_at`` is the end of the label window. ``known`` and ``churned`` count accounts; ``low`` and ``high`` are
    exact two-sided 95 % bounds of the churn rate. ``kept`` is None while open or when the counts cannot tell.
    ``fingerprint`` identifies the outcomes, which late data may change; ``data_end`` is how far those data reached.
    """

    run_id: int
    colour: str
    promise: str
    known_at: datetime
    accounts: int
    at_most: float | None = None
    at_least: float | None = None
    tested_accounts: int | None = None
    tested_rate: float | None = None
    tested_low: float | None = None
    tested_high: float | None = None
    tested_kept: bool | None = None
    known: int | None = None
    churned: int | None = None
    low: float | None = None
    high: float | None = None
    kept: bool | None = None
    fingerprint: str | None = None
    data_end: datetime | None = None

    @property
    def rate(self) -> float | None:
        """Churn rate among the accounts whose outcome is known."""
        return self.churned / self.known if self.known and self.churned is not None else None


def write_outcomes(store: HistoryStore, outcomes: Iterable[ColourOutcome]) -> None:
    """Replace the outcomes of runs in one transaction."""
    rows = [asdict(one) for one in outcomes]
    if not rows:
        return
    replaced = sorted({row["run_id"] for row in rows})
    with store.database.writing() as connection:
        connection.execute(delete(run_outcomes).where(run_outcomes.c.run_id.in_(replaced)))
        connection.execute(insert(run_outcomes), rows)


def read_outcomes(connection: Connection) -> list[tuple[Run, tuple[ColourOutcome, ...]]]:
    """Return the outcomes of each live run, the latest as-of date first."""
    live = select(func.max(runs.c.run_id)).group_by(runs.c.as_of)
    ordered = select(runs).where(runs.c.run_id.in_(live)).order_by(runs.c.as_of.desc())
    found: dict[int, list[ColourOutcome]] = {}
    for row in connection.execute(select(run_outcomes)).mappings():
        found.setdefault(row["run_id"], []).append(ColourOutcome(**row))
    return [
        (Run(**row), tuple(found.get(row["run_id"], ()))) for row in connection.execute(ordered).mappings()
    ]
