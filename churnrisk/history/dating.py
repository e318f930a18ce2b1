"""Since when each account has its colour, carried over where a run is published for a date before others."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, update

from churnrisk.history.reading import run_before
from churnrisk.history.schema import runs, scores
from churnrisk.history.totals import write_totals


def date_colours(connection: Connection, as_of: datetime) -> None:
    """Carry "in this colour since" over into the later runs, where the present one is a backfill."""
    newest = select(func.max(runs.c.run_id)).group_by(runs.c.as_of)
    later = (
        select(runs.c.run_id, runs.c.as_of)
        .where(runs.c.run_id.in_(newest), runs.c.as_of > as_of)
        .order_by(runs.c.as_of)
    )
    for run_id, instant in connection.execute(later).all():
        connection.execute(update(scores).where(scores.c.run_id == run_id).values(colour_since=instant))
        before = run_before(connection, instant)
        if before is not None:
            _carry_over(connection, before.run_id, run_id)
        write_totals(connection, run_id, instant)


def _carry_over(connection: Connection, source: int, target: int) -> None:
    old = scores.alias("old")
    connection.execute(
        update(scores)
        .where(
            scores.c.run_id == target,
            old.c.run_id == source,
            old.c.account_id == scores.c.account_id,
            old.c.colour == scores.c.colour,
        )
        .values(colour_since=old.c.colour_since)
    )
