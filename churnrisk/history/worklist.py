"""Read the red list page by page: the database filters, sorts and counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

from churnrisk.history.asked import BuiltQuery, in_run, is_snoozed
from churnrisk.history.schema import desk, reviews, scores
from churnrisk.history.totals import read_totals
from churnrisk.history.wanted import RedListQuery
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
    connection: Connection, built: BuiltQuery, hidden: Mapping[str, int], *, limit: int, offset: int
) -> tuple[list[Row], int]:
    """Return the rows of one page and how many rows match on all pages.

    A row is the score, the previous colour and the account state; ``hidden`` is from :func:`count_hidden`.
    """
    keys = _matching(built, [scores.c.account_id]).order_by(*built.order)
    if built.query.search:
        # few rows match a text, and to scan every name once is expensive enough
        found = list(connection.execute(keys).scalars())
        ids, matching = found[offset : offset + limit], len(found)
    else:
        ids = list(connection.execute(keys.limit(limit).offset(offset)).scalars())
        matching = _count(connection, built, hidden)
    if not ids:
        return [], matching
    statement = _full(_id_of(built.previous_run)).where(in_run(built.run), scores.c.account_id.in_(ids))
    rows = {row["account_id"]: row for row in connection.execute(statement).mappings()}
    return [rows[account_id] for account_id in ids], matching


def read_row(connection: Connection, run: Run, previous_run: Run | None, account_id: str) -> Row | None:
    """Return one account's row of a run, whatever its colour; None when the run does not hold it."""
    values = {"run_id": run.run_id, "previous_run_id": _id_of(previous_run), "account": account_id}
    return connection.execute(_one_row(), values).mappings().first()


@cache
def _one_row() -> Select[Any]:
    """Return the statement of :func:`read_row`; building it costs more than running it."""
    return _full(bindparam("previous_run_id", type_=Integer)).where(
        scores.c.run_id == bindparam("run_id", type_=Integer),
        scores.c.account_id == bindparam("account", type_=Text),
    )


def stream_rows(connection: Connection, built: BuiltQuery) -> Iterator[Row]:
    """Yield all rows in order, a batch at a time."""
    statement = _full(_id_of(built.previous_run)).where(*built.conditions).order_by(*built.order)
    result = connection.execution_options(yield_per=_BATCH).execute(statement)
    yield from result.mappings()


def count_hidden(connection: Connection, built: BuiltQuery) -> dict[str, int]:
    """Return how many accounts of the chosen colours, owner and segment are not listed: snoozed and churned."""
    hidden = or_(is_snoozed(built.now), desk.c.disposition == str(Disposition.CHURNED))
    # not a join, which may be done from the wrong end: the desk is short and the run is long
    listed = (
        select(literal_column("1"))
        .where(in_run(built.run), scores.c.account_id == desk.c.account_id)
        .where(*built.people, scores.c.colour.in_(map(str, built.query.colours)))
        .exists()
    )
    statement = select(desk.c.disposition, func.count()).where(hidden, listed).group_by(desk.c.disposition)
    return {"snoozed": 0, "churned": 0} | {str(name): int(n) for name, n in connection.execute(statement)}


def _count(connection: Connection, built: BuiltQuery, hidden: Mapping[str, int]) -> int:
    """Return how many rows match: from the totals of the run where owner, segment and colours alone restrict."""
    query = built.query
    summed = RedListQuery(
        colours=query.colours, owner=query.owner, segment=query.segment, scope=query.scope, sort=query.sort
    )
    if query != summed:
        return int(connection.execute(_matching(built, [func.count()])).scalar_one())
    sums = read_totals(connection, [built.run.run_id], owners=built.owners)
    accounts = sum(
        one.accounts
        for one in sums
        if one.colour in query.colours and (built.segments is None or one.segment in built.segments)
    )
    return accounts - sum(hidden.values())


def _full(previous_run: BindParameter[int] | int) -> Select[Any]:
    at_previous_run = and_(_EARLIER.c.run_id == previous_run, _EARLIER.c.account_id == scores.c.account_id)
    joined = (
        _with_desk()
        .outerjoin(reviews, reviews.c.review_id == desk.c.touched)
        .outerjoin(_EARLIER, at_previous_run)
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


def _matching(built: BuiltQuery, columns: Sequence[Any]) -> Select[Any]:
    return select(*columns).select_from(_with_desk()).where(*built.conditions)


def _with_desk() -> FromClause:
    return scores.outerjoin(desk, desk.c.account_id == scores.c.account_id)
