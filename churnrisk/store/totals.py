"""Totals over the scores of a run, written with it, so that no page ever adds up a million accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pyarrow.dataset import dataset

from churnrisk.store.schema import is_listed, run_totals, scores

if TYPE_CHECKING:
    import pandas as pd

INSTANT = pa.timestamp("us")
#: Accounts whose contract renews within so many days of the run count as renewing soon.
RENEWAL_WINDOW_DAYS = 90
_SUMS = ("accounts", "newly", "renewing", "dated", "valued", "annual_value", "expected_loss")
_MONEY = ("annual_value", "expected_loss")
_GROUPS = ("owner", "segment", "quarter", "colour")
_KEYS = ("run_id", "covers", *_GROUPS)
_GROUPED = pa.schema(
    [
        *((name, pa.int64() if name == "quarter" else pa.string()) for name in _GROUPS),
        *((name, pa.float64() if name in _MONEY else pa.int64()) for name in _SUMS),
    ]
)


@dataclass(frozen=True, slots=True)
class Sums:
    """Accounts of one colour in one group, added up.

    ``newly``: the colour began with this run. ``renewing``: within :data:`RENEWAL_WINDOW_DAYS` of it. ``dated`` and
    ``valued``: renewal date and annual value are known. ``quarter``: of the renewal, as 20263; red and amber only.
    """

    run_id: int
    owner: str | None
    segment: str | None
    quarter: int | None
    colour: str
    accounts: int
    newly: int
    renewing: int
    dated: int
    valued: int
    annual_value: float
    expected_loss: float


def _measures(of: Callable[[str], Any], as_of: Any, soon: Any) -> dict[str, Any]:
    """Return what each sum adds up, for SQL and for Arrow, whose expressions share these operators.

    A comparison with itself is null where the value is, so it counts known values.
    """
    renewal, value = of("renewal_at"), of("annual_value")
    return {
        "accounts": of("colour") == of("colour"),
        "newly": of("colour_since") == as_of,
        "renewing": (renewal >= as_of) & (renewal < soon),
        "dated": renewal == renewal,
        "valued": value == value,
        "annual_value": value,
        "expected_loss": value * of("probability"),
    }


def _soon(as_of: datetime) -> datetime:
    return as_of + timedelta(days=RENEWAL_WINDOW_DAYS + 1)


def _sql_sums(of: Callable[[str], Any], as_of: datetime) -> list[sa.ColumnElement[Any]]:
    first, soon = (sa.literal(instant, sa.DateTime) for instant in (as_of, _soon(as_of)))
    return [
        (
            sa.func.coalesce(sa.func.sum(measure), 0.0)
            if name in _MONEY
            else sa.func.sum(sa.case((measure, 1), else_=0))
        ).label(name)
        for name, measure in _measures(of, first, soon).items()
    ]


class Adder:
    """Adds the scores of a run up while they are written, which is cheaper than reading them again."""

    def __init__(self, run_id: int, as_of: datetime) -> None:
        self._run_id = run_id
        instants = (pa.scalar(instant, INSTANT) for instant in (as_of, _soon(as_of)))
        renewal, listed = pc.field("renewal_at"), pc.field("colour").isin(["red", "amber"])
        quarter = pc.year(renewal) * 10 + pc.quarter(renewal)
        self._columns = {name: pc.field(name) for name in ("owner", "segment", "colour")}
        self._columns["quarter"] = pc.if_else(listed, quarter, pa.scalar(None, pa.int64()))
        self._columns |= _measures(pc.field, *instants)
        self._parts: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        """Add rows of :func:`churnrisk.store.to_table`."""
        self._parts.append(_grouped(dataset(table).to_table(self._columns, use_threads=False)))

    def add_sums(self, sums: pd.DataFrame) -> None:
        """Add sums of accounts that are not written: owner, segment, colour and what :class:`Sums` adds up."""
        columns = {
            name: pa.array(sums[name], from_pandas=True) for name in ("owner", "segment", "colour", *_SUMS)
        }
        self._parts.append(_grouped(pa.table(columns | {"quarter": pa.nulls(len(sums))})))

    def write(self, connection: sa.Connection) -> None:
        """Write the sums inside the caller's transaction."""
        mine = {"run_id": self._run_id, "covers": "owner"}
        rows = _grouped(pa.concat_tables(self._parts)).to_pylist()
        connection.execute(sa.insert(run_totals), [row | mine for row in rows])
        _insert(connection, _of_team(self._run_id))


def _grouped(rows: pa.Table) -> pa.Table:
    rows = rows.select(_GROUPED.names).cast(_GROUPED)
    summed = rows.group_by(_GROUPS, use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    zeros = [pc.fill_null(summed[f"{name}_sum"], 0) for name in _SUMS]
    return pa.table([*(summed[name] for name in _GROUPS), *zeros], names=_GROUPED.names)


def write_totals(connection: sa.Connection, run_id: int, as_of: datetime) -> None:
    """Add up scores that are stored already, inside the caller's transaction, and replace earlier totals.

    Colours of which the run keeps sums only stay as they are.
    """
    stored = sa.select(scores.c.colour).where(scores.c.run_id == run_id)
    replaced = sa.or_(run_totals.c.covers == "team", run_totals.c.colour.in_(stored))
    connection.execute(sa.delete(run_totals).where(run_totals.c.run_id == run_id, replaced))
    _insert(connection, _by_owner(run_id, as_of))
    _insert(connection, _of_team(run_id))


def _insert(connection: sa.Connection, rows: sa.Select[Any]) -> None:
    columns = [run_totals.c[name] for name in (*_KEYS, *_SUMS)]
    connection.execute(sa.insert(run_totals).from_select(columns, rows))


def read_totals(
    connection: sa.Connection, run_ids: Sequence[int], *, owners: Sequence[str | None] | None = None
) -> list[Sums]:
    """Return the sums of runs for the whole team, or for some owners only, one item per group and owner."""
    shown = (run_totals.c[name] for name in ("run_id", *_GROUPS, *_SUMS))
    statement = sa.select(*shown).where(
        run_totals.c.run_id.in_(run_ids), run_totals.c.covers == ("team" if owners is None else "owner")
    )
    if owners is not None:
        statement = statement.where(is_one_of(run_totals.c.owner, owners))
    return [Sums(*row) for row in connection.execute(statement)]


def read_by_owner(
    connection: sa.Connection, run_id: int, *, owners: Sequence[str | None] | None = None
) -> list[Sums]:
    """Return the sums of every owner of a run, accounts without an owner included, or of some owners only."""
    covered = (run_totals.c.run_id == run_id) & (run_totals.c.covers == "owner")
    groups = [run_totals.c.run_id, run_totals.c.owner, sa.null().label("segment"), sa.null().label("quarter")]
    # PostgreSQL adds whole numbers up to decimals
    added = [sa.cast(sa.func.sum(run_totals.c[name]), run_totals.c[name].type) for name in _SUMS]
    statement: sa.Select[Any] = sa.select(*groups, run_totals.c.colour, *added).where(covered)
    statement = statement.group_by(run_totals.c.run_id, run_totals.c.owner, run_totals.c.colour)
    if owners is not None:
        statement = statement.where(is_one_of(run_totals.c.owner, owners))
    return [Sums(*row) for row in connection.execute(statement)]


def total(sums: Sequence[Sums], measure: str, *colours: str) -> float:
    """Add one measure up over the groups of some colours."""
    return float(sum(getattr(one, measure) for one in sums if one.colour in colours))


def owners_of(connection: sa.Connection, run_id: int) -> tuple[str, ...]:
    """Return the owners of a run's accounts, sorted."""
    statement = sa.select(run_totals.c.owner).distinct()
    statement = statement.where(run_totals.c.run_id == run_id, run_totals.c.covers == "owner")
    return tuple(sorted(name for name in connection.execute(statement).scalars() if name is not None))


def is_one_of(names: sa.ColumnElement[Any], chosen: Sequence[str | None]) -> sa.ColumnElement[bool]:
    """Return whether a column holds one of some names; None among them stands for rows without one."""
    known = [name for name in chosen if name is not None]
    if None not in chosen:
        return names.in_(known)
    return sa.or_(names.is_(None), names.in_(known)) if known else names.is_(None)


def _by_owner(run_id: int, as_of: datetime) -> sa.Select[Any]:
    year, month = (sa.cast(sa.extract(part, scores.c.renewal_at), sa.Integer) for part in ("year", "month"))
    quarter = sa.case((is_listed, year * 10 + (month + 2) // 3), else_=sa.null()).label("quarter")
    groups = (scores.c.owner, scores.c.segment, quarter, scores.c.colour)
    sums = _sql_sums(scores.c.__getitem__, as_of)
    rows = sa.select(sa.literal(run_id), sa.literal("owner"), *groups, *sums).where(scores.c.run_id == run_id)
    # by its label: the constants inside the quarter would be sent as other parameters a second time
    return rows.group_by(scores.c.owner, scores.c.segment, "quarter", scores.c.colour)


def _of_team(run_id: int) -> sa.Select[Any]:
    groups = (run_totals.c.segment, run_totals.c.quarter, run_totals.c.colour)
    sums = (sa.func.sum(run_totals.c[name]) for name in _SUMS)
    return (
        sa.select(sa.literal(run_id), sa.literal("team"), sa.null(), *groups, *sums)
        .where(run_totals.c.run_id == run_id, run_totals.c.covers == "owner")
        .group_by(*groups)
    )
