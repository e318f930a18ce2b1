"""What was handed out at each run, and what became of its accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from churnrisk.records import Colour, Run
from churnrisk.store.database import WriteLock
from churnrisk.store.redlist import within
from churnrisk.store.runs import LIVE, HistoryStore, by_account, run_before
from churnrisk.store.schema import actions, is_listed, run_outcomes, runs, scores, withdrawals
from churnrisk.store.scores import naive_utc, read_frame

if TYPE_CHECKING:
    from churnrisk.lights import Promise

Mask = npt.NDArray[np.bool_]
_STORED = ("account_id", "play", "reason", "channel", "colour", "due_at")
_CASE = ["account_id", "play", "reason"]


def read_candidates(
    store: HistoryStore,
    run: Run,
    columns: Sequence[str],
    *,
    colours: Sequence[str],
    owner: str | None,
    newly: bool,
    limit: int | None,
    offset: int,
) -> pd.DataFrame:
    """Return columns of the red and amber accounts of a run, and of others with a play, the most urgent first.

    ``previous_colour`` is added. ``newly`` keeps those whose colour got worse; one without a colour counts as green.
    """
    earlier = scores.alias("earlier")
    with store.database.reading() as connection:
        before = run_before(connection, run.as_of)
        joined = scores.outerjoin(
            earlier,
            (earlier.c.run_id == (before.run_id if before else -1))
            & (earlier.c.account_id == scores.c.account_id),
        )
        severity, severity_before = _severity(scores.c.colour), _severity(earlier.c.colour)
        query = (
            sa.select(*(scores.c[name] for name in columns), earlier.c.colour.label("previous_colour"))
            .select_from(joined)
            .where(scores.c.run_id == run.run_id, scores.c.colour.in_(colours))
            .where(sa.or_(scores.c.play.is_not(None), is_listed))
        )
        if owner is not None:
            query = query.where(scores.c.owner.in_(within(connection, run, owner)))
        if newly:
            query = query.where(severity > sa.case((severity_before > 0, severity_before), else_=0))
        loss = scores.c.probability * sa.func.coalesce(scores.c.annual_value, 0.0)
        order = (severity, sa.func.coalesce(loss, -1.0), sa.func.coalesce(scores.c.probability, -1.0))
        query = query.order_by(*(one.desc() for one in order), by_account(connection))
        return read_frame(connection, query.limit(limit).offset(offset))


def _severity(colour: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Return 2 for red, 1 for amber, 0 for green and -1 without enough data."""
    return sa.case((colour == "red", 2), (colour == "amber", 1), (colour == "green", 0), else_=-1)


def hand_out(
    store: HistoryStore,
    run_id: int,
    candidates: pd.DataFrame,
    *,
    choose: Callable[[pd.DataFrame, pd.DataFrame], Mask],
    deliver: Callable[[pd.DataFrame], None],
    at: datetime,
    within: timedelta,
    record: bool = True,
) -> pd.DataFrame:
    """Choose among the candidates of a run, deliver the chosen and record them, all or nothing; return the chosen.

    One transaction, begun before past actions are read, so two of them never hand out the same; without ``record`` it
    is a dry run. ``choose`` maps fresh candidates, the most urgent first, and past actions ``within`` so long to a
    mask; a case (account, play, reason) that this run has handed out already is not offered again.
    """
    moment = naive_utc(at)
    database = store.database
    with database.writing(WriteLock.ACTIONS) if record else database.reading() as connection:
        near = actions.c.handed_out_at.between(moment - within, moment + within)
        matters = sa.select(actions).where(near | (actions.c.run_id == run_id))
        past = read_frame(connection, matters.order_by(actions.c.action_id))
        fresh = candidates.drop_duplicates(_CASE)
        fresh = fresh[~_known(fresh, past[past["run_id"] == run_id])]
        chosen = fresh[choose(fresh, past)]
        if record and len(chosen):
            connection.execute(sa.insert(actions), _rows(chosen, run_id, moment))
        deliver(chosen)
    return chosen


def _rows(chosen: pd.DataFrame, run_id: int, moment: datetime) -> list[dict[str, Any]]:
    rows: list[Any] = chosen[list(_STORED)].astype(object).to_dict("records")
    common = {"run_id": run_id, "handed_out_at": moment}
    return [row | common | {"due_at": row["due_at"].to_pydatetime()} for row in rows]


def _known(candidates: pd.DataFrame, past: pd.DataFrame) -> Mask:
    known = pd.MultiIndex.from_frame(past[_CASE].astype(object))
    return np.asarray(pd.MultiIndex.from_frame(candidates[_CASE].astype(object)).isin(known), dtype=bool)


@dataclass(frozen=True, slots=True)
class ColourOutcome:
    """One colour of one run: its promise, the test of the run's model, and the outcomes once they are known.

    ``promise`` is in words; ``at_most`` and ``at_least`` are the promised churn rate; ``note`` says why the light
    leaves the colour empty. ``tested_rate`` is that of ``tested_rows``, which hold an account once per snapshot;
    ``known`` and ``churned`` count accounts, ``low`` and ``high`` are exact two-sided 95 % bounds. ``kept`` is None
    while open or unclear. ``fingerprint`` identifies the outcomes, which late data (to ``data_end``) may change.
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
    tested_rows: int | None = None
    horizon_days: int | None = None
    note: str | None = None

    @property
    def rate(self) -> float | None:
        """Churn rate among the accounts whose outcome is known."""
        return self.churned / self.known if self.known and self.churned is not None else None

    @property
    def limits(self) -> Promise:
        """The promise in numbers."""
        from churnrisk.lights import Promise  # loads scipy

        return Promise(Colour(self.colour), at_most=self.at_most, at_least=self.at_least)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A promise of one model version that later outcomes broke, with the evidence of that moment.

    ``rows`` are accounts, each once per separate window. ``e_value``: see :mod:`churnrisk.lights.eprocess`.
    """

    model_version: str
    colour: str
    at_most: float | None
    at_least: float | None
    withdrawn_at: datetime
    horizon_days: int
    first_as_of: datetime
    last_as_of: datetime
    windows: int
    rows: int
    churned: int
    e_value: float

    @property
    def promise(self) -> Promise:
        """The promise that is no longer made."""
        from churnrisk.lights import Promise  # loads scipy

        return Promise(Colour(self.colour), at_most=self.at_most, at_least=self.at_least)

    @property
    def text(self) -> str:
        """Since when it is withdrawn, what was promised, and which evidence broke it."""
        windows = f"{self.windows} separate windows since {self.first_as_of:%Y-%m-%d}"
        promise = f"{self.promise.text} within {self.horizon_days} days"
        rate = f"{self.churned:,} of {self.rows:,} churned ({self.churned / self.rows:.2%})"
        return (
            f"withdrawn since {self.withdrawn_at:%Y-%m-%d}, because {promise} was promised and {rate} in {windows} "
            f"(e-value {self.e_value:,.0f})"
        )


def add_withdrawals(store: HistoryStore, found: Iterable[Withdrawal]) -> tuple[Withdrawal, ...]:
    """Store withdrawals and return the new ones; a promise is withdrawn once per model version."""
    if not (wanted := tuple(found)):
        return ()
    with store.database.writing(WriteLock.RUNS) as connection:
        known = {(one.model_version, one.promise) for one in read_withdrawals(connection)}
        new = tuple(one for one in wanted if (one.model_version, one.promise) not in known)
        if new:
            connection.execute(sa.insert(withdrawals), [asdict(one) for one in new])
    return new


def read_withdrawals(connection: sa.Connection) -> tuple[Withdrawal, ...]:
    """Return all withdrawn promises, the latest first."""
    columns = [column for column in withdrawals.columns if column.name != "withdrawal_id"]
    ordered = sa.select(*columns).order_by(withdrawals.c.withdrawal_id.desc())
    return tuple(Withdrawal(**row) for row in connection.execute(ordered).mappings())


def light_notes(connection: sa.Connection, run_id: int) -> dict[str, str]:
    """Return what the light of a run notes on its colours: why one is empty, or says little."""
    table = run_outcomes.c
    query = sa.select(table.colour, table.note).where(table.run_id == run_id, table.note.is_not(None))
    return {row.colour: row.note for row in connection.execute(query)}


def write_outcomes(store: HistoryStore, outcomes: Iterable[ColourOutcome]) -> None:
    """Replace the outcomes of runs in one transaction."""
    rows = [asdict(one) for one in outcomes]
    if not rows:
        return
    replaced = sorted({row["run_id"] for row in rows})
    with store.database.writing() as connection:
        connection.execute(sa.delete(run_outcomes).where(run_outcomes.c.run_id.in_(replaced)))
        connection.execute(sa.insert(run_outcomes), rows)


def read_outcomes(
    connection: sa.Connection, *, replaced: bool = False
) -> list[tuple[Run, tuple[ColourOutcome, ...]]]:
    """Return the outcomes of each live run, and of ``replaced`` ones, the latest as-of date and run first."""
    ordered = sa.select(runs).order_by(runs.c.as_of.desc(), runs.c.run_id.desc())
    if not replaced:
        ordered = ordered.where(runs.c.run_id.in_(LIVE))
    found: dict[int, list[ColourOutcome]] = {}
    for row in connection.execute(sa.select(run_outcomes)).mappings():
        found.setdefault(row["run_id"], []).append(ColourOutcome(**row))
    return [
        (Run(**row), tuple(found.get(row["run_id"], ()))) for row in connection.execute(ordered).mappings()
    ]
