"""Read the red list page by page: the database filters, sorts and counts, and only the page is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)

from churnrisk.history.asked import Asked, conditions, in_run, is_snoozed, of_people, order
from churnrisk.history.schema import desk, reviews, scores
from churnrisk.history.totals import read_totals
from churnrisk.history.wanted import WorklistFilter
from churnrisk.records import Disposition, Run

_BATCH = 500
_NO_RUN = -1
_SHOWN = (
    "account_id", "name", "owner", "segment", "colour", "decided_by", "rule", "probability", "annual_value",
    "renewal_at", "colour_since", "reasons", "stage", "next_step", "play", "moved",
    "turnaround",
)  # fmt: skip
_DESK = ("version", "disposition", "snoozed_until", "snooze_reason", "assignee", "note")
_EARLIER = scores.alias("earlier")

Row = Mapping[Any, Any]


def read_page(
    connection: Connection, asked: Asked, hidden: Mapping[str, int], *, limit: int, offset: int
) -> tuple[list[Row], int]:
    """Return the rows of one page, and how many rows match on all pages.

    A row is the score, the colour before, and what the desk has on record. ``hidden`` is what
    :func:`count_hidden` returns.
    """
    keys = _chosen(asked, [scores.c.account_id]).order_by(*order(connection, asked))
    if asked.wanted.search:
        # few rows match a text, and to look at every name once is dear enough
        found = list(connection.execute(keys).scalars())
        ids, matching = found[offset : offset + limit], len(found)
    else:
        ids = list(connection.execute(keys.limit(limit).offset(offset)).scalars())
        matching = _count(connection, asked, hidden)
    if not ids:
        return [], matching
    query = _full(_id_of(asked.before)).where(in_run(asked.run), scores.c.account_id.in_(ids))
    rows = {row["account_id"]: row for row in connection.execute(query).mappings()}
    return [rows[account_id] for account_id in ids], matching


def read_row(connection: Connection, run: Run, before: Run | None, account_id: str) -> Row | None:
    """Return one account's row of a run, whatever its colour; None when the run does not hold it."""
    asked = {"one_run": run.run_id, "run_before": _id_of(before), "account_id": account_id}
    return connection.execute(_one_row(), asked).mappings().first()


@cache
def _one_row() -> Select[Any]:
    """Return the statement of :func:`read_row`, made once: making it costs more than running it."""
    mine = scores.c.account_id == bindparam("account_id", type_=Text)
    return _full(bindparam("run_before", type_=Integer)).where(
        scores.c.run_id == bindparam("one_run", type_=Integer), mine
    )


def stream_rows(connection: Connection, asked: Asked) -> Iterator[Row]:
    """Yield all rows in order, a batch at a time."""
    query = _full(_id_of(asked.before)).where(*conditions(asked)).order_by(*order(connection, asked))
    result = connection.execution_options(yield_per=_BATCH).execute(query)
    yield from result.mappings()


def count_hidden(connection: Connection, asked: Asked) -> dict[str, int]:
    """Return how many accounts of the chosen colours, owner and segment the desk keeps off: snoozed, churned."""
    hidden = or_(is_snoozed(asked.now), desk.c.disposition == str(Disposition.CHURNED))
    # not a join, which may be done from the wrong end: the desk is short and the run is long
    listed = (
        select(literal_column("1"))
        .where(in_run(asked.run), scores.c.account_id == desk.c.account_id)
        .where(*of_people(asked), scores.c.colour.in_(asked.wanted.colours))
        .exists()
    )
    query = select(desk.c.disposition, func.count()).where(hidden, listed).group_by(desk.c.disposition)
    return {"snoozed": 0, "churned": 0} | {str(name): int(n) for name, n in connection.execute(query)}


def _count(connection: Connection, asked: Asked, hidden: Mapping[str, int]) -> int:
    """Return how many rows match, from the sums of the run where these can tell."""
    if _is_summed(asked):
        return _summed(connection, asked) - sum(hidden.values())
    return int(connection.execute(_chosen(asked, [func.count()])).scalar_one())


def _is_summed(asked: Asked) -> bool:
    plain = WorklistFilter(colours=asked.wanted.colours, sort=asked.wanted.sort)
    return plain == replace(asked.wanted, owner=None, scope=None, segment=None)


def _summed(connection: Connection, asked: Asked) -> int:
    sums = read_totals(connection, [asked.run.run_id], owners=asked.owners)
    return sum(
        one.accounts
        for one in sums
        if one.colour in asked.wanted.colours and (asked.segments is None or one.segment in asked.segments)
    )


def _full(run_before: BindParameter[int] | int) -> Select[Any]:
    at_run_before = and_(
        _EARLIER.c.run_id == run_before,
        _EARLIER.c.account_id == scores.c.account_id,
    )
    joined = (
        _with_desk()
        .outerjoin(reviews, reviews.c.review_id == desk.c.touched)
        .outerjoin(_EARLIER, at_run_before)
    )
    return select(
        *(scores.c[name] for name in _SHOWN),
        _EARLIER.c.colour.label("previous_colour"),
        _EARLIER.c.probability.label("previous_probability"),
        *(desk.c[name] for name in _DESK),
        reviews.c.at.label("touched_at"),
        reviews.c.author.label("touched_by"),
        reviews.c.what.label("touched_what"),
    ).select_from(joined)


def _id_of(run: Run | None) -> int:
    # a number that no run has: a join on NULL would read the whole table for each row
    return run.run_id if run else _NO_RUN


def _chosen(asked: Asked, columns: Sequence[Any]) -> Select[Any]:
    return select(*columns).select_from(_with_desk()).where(*conditions(asked))


def _with_desk() -> FromClause:
    return scores.outerjoin(desk, desk.c.account_id == scores.c.account_id)
