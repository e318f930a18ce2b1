"""From a query to SQL conditions that the databases answer from one index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, collate, false, func, or_

from churnrisk.history.schema import desk, expected_loss, is_listed, scores
from churnrisk.history.totals import is_one_of, owners_of, read_totals
from churnrisk.history.wanted import NONE, RedListQuery
from churnrisk.records import Colour, Disposition, Run

_LISTED = frozenset((Colour.RED, Colour.AMBER))
Names = tuple[str | None, ...]
Condition = ColumnElement[bool]


@dataclass(frozen=True)
class BuiltQuery:
    """A query bound to one run, over the scores joined to the desk.

    ``owners`` and ``segments`` are spelled as the run spells them: None is any, None among them those without.
    ``now`` decides which snoozes are in force; ``people`` are the conditions on owner and segment alone.
    """

    run: Run
    previous_run: Run | None
    query: RedListQuery
    now: datetime
    owners: Names | None
    segments: Names | None
    people: tuple[Condition, ...]
    conditions: tuple[Condition, ...]
    order: tuple[ColumnElement[Any], ...]


def build_query(
    connection: Connection, run: Run, previous_run: Run | None, query: RedListQuery, now: datetime
) -> BuiltQuery:
    """Bind a query to a run; an owner or segment that the run does not have matches nothing."""
    owners: Names | None = None
    if query.owner is not None or query.scope is not None:
        owners = _spelled(owners_of(connection, run.run_id), query.owner)
    if owners is not None and query.scope is not None:
        mine = within(connection, run, query.scope)
        owners = tuple(owner for owner in owners if owner in mine)
    segments: Names | None = None
    if query.segment is not None:
        there = {sums.segment for sums in read_totals(connection, [run.run_id])}
        segments = _spelled([segment for segment in there if segment is not None], query.segment)
    named = ((scores.c.owner, owners), (scores.c.segment, segments))
    people = tuple(is_one_of(column, names) for column, names in named if names is not None)
    conditions = (
        in_run(run),
        *_of_colours(query),
        *people,
        *_of_account(query, run.as_of),
        *_of_desk(query, now),
    )
    order = (*_order(query, run.as_of), by_account(connection))
    return BuiltQuery(run, previous_run, query, now, owners, segments, people, conditions, order)


def within(connection: Connection, run: Run, scope: str) -> tuple[str, ...]:
    """Return the owners of a run that a scope covers: the one it names, as the run spells it, or none."""
    return tuple(owner for owner in owners_of(connection, run.run_id) if _same(owner, scope))


def in_run(run: Run) -> Condition:
    """Return whether a score is of a run."""
    return scores.c.run_id == run.run_id


def _of_colours(query: RedListQuery) -> list[Condition]:
    colours = {Colour.RED} if query.newly_red else set(query.colours)
    if not colours <= set(query.colours):
        return [false()]
    if not colours <= _LISTED:
        return [scores.c.colour.in_(sorted(map(str, colours)))]
    return [is_listed] if colours == _LISTED else [is_listed, scores.c.colour == str(colours.pop())]


def _of_account(query: RedListQuery, as_of: datetime) -> Iterator[Condition]:
    if query.newly_red:
        yield scores.c.colour_since == as_of
    if query.family is not None:
        yield scores.c.family == query.family
    if query.renews_within_days is not None:
        yield scores.c.renewal_at >= as_of
        yield scores.c.renewal_at < as_of + timedelta(days=query.renews_within_days + 1)
    if query.quarter == NONE:
        yield scores.c.renewal_at.is_(None)
    elif query.quarter is not None:
        start, end = _quarter_bounds(query.quarter)
        yield scores.c.renewal_at >= start
        yield scores.c.renewal_at < end
    if query.search:
        yield _contains(query.search)


def _of_desk(query: RedListQuery, now: datetime) -> Iterator[Condition]:
    snoozed = is_snoozed(now)
    if query.snoozed == "only":
        yield snoozed
    elif query.snoozed == "hide" and query.disposition != Disposition.SNOOZED:
        yield func.coalesce(~snoozed, True)
    if query.disposition == Disposition.SNOOZED:
        yield snoozed
    elif query.disposition == NONE:
        # a snooze that is over leaves nothing behind
        yield or_(desk.c.disposition.is_(None), and_(desk.c.disposition == "snoozed", ~snoozed))
    elif query.disposition is not None:
        yield desk.c.disposition == str(query.disposition)
    else:
        yield or_(desk.c.disposition.is_(None), desk.c.disposition != str(Disposition.CHURNED))
    if query.assignee == NONE:
        yield desk.c.assignee.is_(None)
    elif query.assignee is not None:
        yield func.lower(desk.c.assignee) == func.lower(query.assignee)


def is_snoozed(now: datetime) -> Condition:
    """Return whether a snooze is in force."""
    return and_(desk.c.disposition == str(Disposition.SNOOZED), desk.c.snoozed_until > now)


def _contains(text: str) -> Condition:
    # SQLite folds the case of a–z only, so other letters are looked for in their usual spellings
    usual = (text,) if text.isascii() else (text, text.lower(), text.upper(), text.title())
    spellings = dict.fromkeys(usual)
    columns = (scores.c.account_id, scores.c.name)
    return or_(*(column.icontains(one, autoescape=True) for one in spellings for column in columns))


def _order(query: RedListQuery, as_of: datetime) -> list[ColumnElement[Any]]:
    listed = set(query.colours) <= _LISTED
    # "red" comes after "amber"; beside other colours the name no longer puts red first
    red_first = scores.c.colour if listed else case((scores.c.colour == "red", 1), else_=0)
    probability = scores.c.probability if listed else func.coalesce(scores.c.probability, -1.0)
    orders: dict[str, list[ColumnElement[Any]]] = {
        "loss": [red_first.desc(), expected_loss.desc(), probability.desc()],
        "probability": [func.coalesce(scores.c.probability, -1.0).desc()],
        "renewal": [
            case((scores.c.renewal_at.is_(None), 2), (scores.c.renewal_at < as_of, 1), else_=0),
            scores.c.renewal_at,
        ],
        "days": [scores.c.colour_since],
        "name": [func.lower(func.coalesce(scores.c.name, scores.c.account_id))],
    }
    return orders[query.sort]


def by_account(connection: Connection) -> ColumnElement[str]:
    """Return the account id as SQLite and Python order it, whatever the collation of the server."""
    if connection.dialect.name == "postgresql":
        return collate(scores.c.account_id, "C")
    return scores.c.account_id


def _quarter_bounds(quarter: str) -> tuple[datetime, datetime]:
    """Return the first instant of a quarter such as 2026-Q3, and of the next one."""
    year, number = int(quarter[:4]), int(quarter[-1])
    first = datetime(year, number * 3 - 2, 1)
    return first, datetime(year + 1, 1, 1) if number == 4 else datetime(year, number * 3 + 1, 1)


def _spelled(known: Sequence[str], name: str | None) -> Names:
    """Return the known names that equal a name in any case; without a name all of them and None."""
    if name is None:
        return (*known, None)
    return (None,) if name == NONE else tuple(one for one in known if _same(one, name))


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
