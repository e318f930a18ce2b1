"""Sums over the scores of a run, written with it, so that no page ever adds up a million accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    case,
    cast,
    delete,
    extract,
    func,
    insert,
    literal,
    null,
    or_,
    select,
)

from churnrisk.history.rows import INSTANT
from churnrisk.history.schema import is_listed, run_totals, scores

if TYPE_CHECKING:
    import pandas as pd

#: Accounts whose contract renews within so many days of the run count as renewing soon.
RENEWAL_WINDOW_DAYS = 90
_SUMS = ("accounts", "newly", "renewing", "dated", "valued", "annual_value", "expected_loss")
SUMMED = ("run_id", "owner", "segment", "quarter", "colour", *_SUMS)
_KEYS = ("run_id", "covers", "owner", "segment", "quarter", "colour")
_GROUPED = pa.schema(
    [
        *((name, pa.int64() if name == "quarter" else pa.string()) for name in _KEYS[2:]),
        *(
            (name, pa.float64() if name in ("annual_value", "expected_loss") else pa.int64())
            for name in _SUMS
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class Sums:
    """Accounts of one colour in one group, added up.

    Attributes
    ----------
    newly : int
        Those whose colour began with this run.
    renewing : int
        Those that renew within :data:`RENEWAL_WINDOW_DAYS` of it.
    dated, valued : int
        Those whose renewal date, and whose annual value, is known.
    quarter : int or None
        Of the renewal, as 20263; red and amber only.
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


class Adder:
    """Adds the scores of a run up while they are written, which is cheaper than reading them again.

    Parameters
    ----------
    run_id, as_of
        Of the run.
    """

    def __init__(self, run_id: int, as_of: datetime) -> None:
        self._run_id, self._as_of = run_id, as_of
        self._parts: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        """Add rows of :func:`churnrisk.history.rows.to_table`."""
        renewal, value = table["renewal_at"], table["annual_value"]
        first_day = pa.scalar(self._as_of, INSTANT)
        soon = pa.scalar(self._as_of + timedelta(days=RENEWAL_WINDOW_DAYS + 1), INSTANT)
        listed = pc.is_in(table["colour"], value_set=pa.array(["red", "amber"]))
        quarter = pc.add(pc.multiply(pc.year(renewal), 10), pc.quarter(renewal))
        added = {
            "accounts": pa.repeat(1, len(table)),
            "newly": pc.equal(table["colour_since"], first_day),
            "renewing": pc.and_(pc.greater_equal(renewal, first_day), pc.less(renewal, soon)),
            "dated": pc.is_valid(renewal),
            "valued": pc.is_valid(value),
            "annual_value": value,
            "expected_loss": pc.multiply(value, table["probability"]),
        }
        keys = {name: table[name] for name in ("owner", "segment", "colour")}
        keys["quarter"] = pc.if_else(listed, quarter, None)
        self._parts.append(_grouped(pa.table(keys | added)))

    def add_sums(self, sums: pd.DataFrame) -> None:
        """Add sums of accounts that are not written: owner, segment, colour and what :class:`Sums` adds up."""
        columns = {
            name: pa.array(sums[name], from_pandas=True) for name in ("owner", "segment", "colour", *_SUMS)
        }
        self._parts.append(_grouped(pa.table(columns | {"quarter": pa.nulls(len(sums))})))

    def write(self, connection: Connection) -> None:
        """Write the sums inside the caller's transaction."""
        mine = {"run_id": self._run_id, "covers": "owner"}
        rows = _grouped(pa.concat_tables(self._parts)).to_pylist()
        connection.execute(insert(run_totals), [row | mine for row in rows])
        columns = [run_totals.c[name] for name in (*_KEYS, *_SUMS)]
        connection.execute(insert(run_totals).from_select(columns, _of_team(self._run_id)))


def _grouped(rows: pa.Table) -> pa.Table:
    rows = rows.select(_GROUPED.names).cast(_GROUPED)
    summed = rows.group_by(_GROUPED.names[:4], use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    zeros = [pc.fill_null(summed[f"{name}_sum"], 0) for name in _SUMS]
    return pa.table([*(summed[name] for name in _GROUPED.names[:4]), *zeros], names=_GROUPED.names)


def write_totals(connection: Connection, run_id: int, as_of: datetime) -> None:
    """Add up scores that are there already, inside the caller's transaction; what was there is replaced.

    Colours of which the run keeps sums only stay as they are.
    """
    kept = select(scores.c.colour).where(scores.c.run_id == run_id)
    replaced = or_(run_totals.c.covers == "team", run_totals.c.colour.in_(kept))
    connection.execute(delete(run_totals).where(run_totals.c.run_id == run_id, replaced))
    columns = [run_totals.c[name] for name in (*_KEYS, *_SUMS)]
    connection.execute(insert(run_totals).from_select(columns, _by_owner(run_id, as_of)))
    connection.execute(insert(run_totals).from_select(columns, _of_team(run_id)))


def read_totals(
    connection: Connection, run_ids: Sequence[int], *, owners: Sequence[str | None] | None = None
) -> list[Sums]:
    """Return the sums of runs for the whole team, or for some owners only, one item per group and owner.

    None among the owners stands for the accounts that have none.
    """
    query = select(*(run_totals.c[name] for name in SUMMED)).where(run_totals.c.run_id.in_(run_ids))
    if owners is None:
        query = query.where(run_totals.c.covers == "team")
    else:
        query = query.where(run_totals.c.covers == "owner", _is_one_of(owners))
    return _read(connection, query)


def read_by_owner(
    connection: Connection, run_id: int, *, owners: Sequence[str | None] | None = None
) -> list[Sums]:
    """Return the sums of every owner of a run, accounts without an owner included, or of some owners only."""
    mine = (run_totals.c.run_id == run_id) & (run_totals.c.covers == "owner")
    kept = [run_totals.c.run_id, run_totals.c.owner, null().label("segment"), null().label("quarter")]
    # PostgreSQL adds whole numbers up to decimals
    added = [cast(func.sum(run_totals.c[name]), run_totals.c[name].type) for name in _SUMS]
    query = select(*kept, run_totals.c.colour, *added).where(mine)
    query = query.group_by(run_totals.c.run_id, run_totals.c.owner, run_totals.c.colour)
    if owners is not None:
        query = query.where(_is_one_of(owners))
    return _read(connection, query)


def owners_of(connection: Connection, run_id: int) -> tuple[str, ...]:
    """Return the owners of a run's accounts, sorted."""
    query = select(run_totals.c.owner).distinct()
    query = query.where(run_totals.c.run_id == run_id, run_totals.c.covers == "owner")
    return tuple(sorted(name for name in connection.execute(query).scalars() if name is not None))


def _is_one_of(owners: Sequence[str | None]) -> ColumnElement[bool]:
    named = run_totals.c.owner.in_([name for name in owners if name is not None])
    return or_(named, run_totals.c.owner.is_(None)) if None in owners else named


def _read(connection: Connection, query: Select[Any]) -> list[Sums]:
    return [Sums(*row) for row in connection.execute(query)]


def _by_owner(run_id: int, as_of: datetime) -> Select[Any]:
    soon = as_of + timedelta(days=RENEWAL_WINDOW_DAYS + 1)
    renewal = scores.c.renewal_at
    quarter = case((is_listed, _quarter(renewal)), else_=null()).label("quarter")
    sums = (
        func.count(),
        _count(scores.c.colour_since == as_of),
        _count((renewal >= as_of) & (renewal < soon)),
        func.count(renewal),
        func.count(scores.c.annual_value),
        func.coalesce(func.sum(scores.c.annual_value), 0.0),
        func.coalesce(func.sum(scores.c.probability * scores.c.annual_value), 0.0),
    )
    groups = (scores.c.owner, scores.c.segment, quarter, scores.c.colour)
    query = select(literal(run_id), literal("owner"), *groups, *sums).where(scores.c.run_id == run_id)
    # by its label: the constants inside the quarter would be sent as other parameters a second time
    return query.group_by(scores.c.owner, scores.c.segment, "quarter", scores.c.colour)


def _of_team(run_id: int) -> Select[Any]:
    groups = (run_totals.c.segment, run_totals.c.quarter, run_totals.c.colour)
    return (
        select(
            literal(run_id),
            literal("team"),
            null(),
            *groups,
            *(func.sum(run_totals.c[name]) for name in _SUMS),
        )
        .where(run_totals.c.run_id == run_id, run_totals.c.covers == "owner")
        .group_by(*groups)
    )


def _quarter(moment: ColumnElement[datetime]) -> ColumnElement[int]:
    year, month = (cast(extract(part, moment), Integer) for part in ("year", "month"))
    return year * 10 + (month + 2) // 3


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
