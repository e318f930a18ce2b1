"""What the colours of each run promised, and what came of its accounts: kept with the run, read by the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from churnrisk.history.schema import run_outcomes, runs
from churnrisk.history.store import HistoryStore
from churnrisk.records import Run


@dataclass(frozen=True, slots=True)
class ColourOutcome:
    """One colour of one run.

    Attributes
    ----------
    promise : str
        In words, such as "churn of at most 2.00%"; empty where the colour promises nothing.
    at_most, at_least : float or None
        The promised churn rate.
    tested_accounts, tested_rate, tested_low, tested_high, tested_kept
        What the test of the run's model found of the colour; None where there was no test.
    known_at : datetime
        When the outcomes of the run are known: the end of the label window.
    accounts : int
        Accounts of the colour at the run.
    known : int or None
        Those of them whose outcome is known; None until then.
    churned : int or None
        Those of them that churned.
    low, high : float or None
        Exact two-sided 95 % bounds of the churn rate.
    kept : bool or None
        Whether the promise was kept; None while it is open, or when the counts cannot tell.
    fingerprint : str or None
        Of the outcomes: other outcomes, brought by late data, have another one.
    data_end : datetime or None
        How far the data reached that told them.
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
        """The churn rate of the accounts whose outcome is known."""
        return self.churned / self.known if self.known and self.churned is not None else None


def write_outcomes(store: HistoryStore, outcomes: Iterable[ColourOutcome]) -> None:
    """Write the outcomes of runs; what was known of these runs is replaced, all of it or nothing."""
    rows = [asdict(one) for one in outcomes]
    if not rows:
        return
    replaced = sorted({row["run_id"] for row in rows})
    with store.database.writing() as connection:
        connection.execute(delete(run_outcomes).where(run_outcomes.c.run_id.in_(replaced)))
        connection.execute(insert(run_outcomes), rows)


def read_outcomes(connection: Connection) -> list[tuple[Run, tuple[ColourOutcome, ...]]]:
    """Return what is known of the colours of each live run, the latest as-of date first."""
    live = select(func.max(runs.c.run_id)).group_by(runs.c.as_of)
    ordered = select(runs).where(runs.c.run_id.in_(live)).order_by(runs.c.as_of.desc())
    found: dict[int, list[ColourOutcome]] = {}
    for row in connection.execute(select(run_outcomes)).mappings():
        found.setdefault(row["run_id"], []).append(_outcome(row))
    return [
        (Run(**row), tuple(found.get(row["run_id"], ()))) for row in connection.execute(ordered).mappings()
    ]


def _outcome(row: Mapping[Any, Any]) -> ColourOutcome:
    return ColourOutcome(**row)
