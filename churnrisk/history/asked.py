"""What is asked of the red list, as conditions that the databases answer from one index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, collate, false, func, or_

from churnrisk.history.schema import desk, expected_loss, is_listed, scores
from churnrisk.history.totals import owners_of, read_totals
from churnrisk.history.wanted import NONE, WorklistFilter
from churnrisk.records import Disposition, Run

_LISTED = frozenset(("red", "amber"))


@dataclass(frozen=True)
class Asked:
    """What is asked of one run, with the names in the filter spelled as the run spells them.

    Attributes
    ----------
    owners, segments : tuple of str or None, optional
        Without one all of them; None among them stands for the accounts that have none.
    now : datetime
        Snoozes that end later hide their account.
    """

    run: Run
    before: Run | None
    wanted: WorklistFilter
    owners: tuple[str | None, ...] | None
    segments: tuple[str | None, ...] | None
    now: datetime


def ask(connection: Connection, run: Run, before: Run | None, wanted: WorklistFilter, now: datetime) -> Asked:
    """Return what a filter asks of a run; an owner or segment that the run does not have matches nothing."""
    owners: tuple[str | None, ...] | None = None
    if wanted.owner is not None or wanted.scope is not None:
        owners = _spelled(owners_of(connection, run.run_id), wanted.owner)
    if owners is not None and wanted.scope is not None:
        mine = within(connection, run, wanted.scope)
        owners = tuple(one for one in owners if one in mine)
    segments = None
    if wanted.segment is not None:
        there = {sums.segment for sums in read_totals(connection, [run.run_id])}
        segments = _spelled([one for one in there if one is not None], wanted.segment)
    return Asked(run, before, wanted, owners, segments, now)


def within(connection: Connection, run: Run, scope: str) -> tuple[str, ...]:
    """Return the owners of a run that a scope covers: the one it names, as the run spells it, or none."""
    return tuple(one for one in owners_of(connection, run.run_id) if _same(one, scope))


def conditions(asked: Asked) -> list[ColumnElement[bool]]:
    """Return everything that a row has to meet, over the scores joined to the desk."""
    return [
        in_run(asked.run),
        *_of_colours(asked),
        *of_people(asked),
        *_of_account(asked),
        *_of_desk(asked),
    ]


def in_run(run: Run) -> ColumnElement[bool]:
    """Return whether a score is of a run."""
    return scores.c.run_id == run.run_id


def _of_colours(asked: Asked) -> list[ColumnElement[bool]]:
    colours = {"red"} if asked.wanted.newly_red else set(asked.wanted.colours)
    if asked.wanted.newly_red and "red" not in asked.wanted.colours:
        return [false()]
    if not colours <= _LISTED:
        return [scores.c.colour.in_(sorted(colours))]
    return [is_listed] if colours == _LISTED else [is_listed, scores.c.colour == colours.pop()]


def of_people(asked: Asked) -> list[ColumnElement[bool]]:
    """Return whether a score is of the owners and segments asked for."""
    named = ((scores.c.owner, asked.owners), (scores.c.segment, asked.segments))
    return [_is_one_of(column, names) for column, names in named if names is not None]


def _is_one_of(column: ColumnElement[Any], names: Sequence[str | None]) -> ColumnElement[bool]:
    known = [name for name in names if name is not None]
    if None not in names:
        return column.in_(known)
    return or_(column.is_(None), column.in_(known)) if known else column.is_(None)


def _of_account(asked: Asked) -> Iterator[ColumnElement[bool]]:
    wanted, as_of = asked.wanted, asked.run.as_of
    if wanted.newly_red:
        yield scores.c.colour_since == as_of
    if wanted.family is not None:
        yield scores.c.family == wanted.family
    if wanted.renews_within_days is not None:
        yield scores.c.renewal_at >= as_of
        yield scores.c.renewal_at < as_of + timedelta(days=wanted.renews_within_days + 1)
    if wanted.quarter == NONE:
        yield scores.c.renewal_at.is_(None)
    elif wanted.quarter is not None:
        start, end = quarter_bounds(wanted.quarter)
        yield scores.c.renewal_at >= start
        yield scores.c.renewal_at < end
    if wanted.search:
        yield _contains(wanted.search)


def _of_desk(asked: Asked) -> Iterator[ColumnElement[bool]]:
    wanted, snoozed = asked.wanted, is_snoozed(asked.now)
    if wanted.snoozed == "only":
        yield snoozed
    elif wanted.snoozed == "hide" and wanted.disposition != Disposition.SNOOZED:
        yield func.coalesce(~snoozed, True)
    if wanted.disposition == Disposition.SNOOZED:
        yield snoozed
    elif wanted.disposition == NONE:
        # a snooze that is over leaves nothing behind
        yield or_(desk.c.disposition.is_(None), and_(desk.c.disposition == "snoozed", ~snoozed))
    elif wanted.disposition is not None:
        yield desk.c.disposition == wanted.disposition
    else:
        yield or_(desk.c.disposition.is_(None), desk.c.disposition != str(Disposition.CHURNED))
    if wanted.assignee == NONE:
        yield desk.c.assignee.is_(None)
    elif wanted.assignee is not None:
        yield func.lower(desk.c.assignee) == func.lower(wanted.assignee)


def is_snoozed(now: datetime) -> ColumnElement[bool]:
    """Return whether the desk keeps an account away at an instant."""
    return and_(desk.c.disposition == str(Disposition.SNOOZED), desk.c.snoozed_until > now)


def _contains(text: str) -> ColumnElement[bool]:
    # SQLite folds the case of a–z only, so other letters are looked for in their usual spellings
    usual = (text,) if text.isascii() else (text, text.lower(), text.upper(), text.title())
    spellings = dict.fromkeys(usual)
    columns = (scores.c.account_id, scores.c.name)
    return or_(*(column.icontains(one, autoescape=True) for one in spellings for column in columns))


def order(connection: Connection, asked: Asked) -> list[ColumnElement[Any]]:
    """Return by what the rows are sorted; the last one tells equal ones apart."""
    listed = set(asked.wanted.colours) <= _LISTED
    # "red" comes after "amber"; beside other colours the name no longer puts red first
    red_first = scores.c.colour if listed else case((scores.c.colour == "red", 1), else_=0)
    probability = scores.c.probability if listed else func.coalesce(scores.c.probability, -1.0)
    orders: dict[str, list[ColumnElement[Any]]] = {
        "loss": [red_first.desc(), expected_loss.desc(), probability.desc()],
        "probability": [func.coalesce(scores.c.probability, -1.0).desc()],
        "renewal": [
            case((scores.c.renewal_at.is_(None), 2), (scores.c.renewal_at < asked.run.as_of, 1), else_=0),
            scores.c.renewal_at,
        ],
        "days": [scores.c.colour_since],
        "name": [func.lower(func.coalesce(scores.c.name, scores.c.account_id))],
    }
    return [*orders[asked.wanted.sort], by_account(connection)]


def by_account(connection: Connection) -> ColumnElement[str]:
    """Return the account id as SQLite and Python order it, and not as the server's language does."""
    if connection.dialect.name == "postgresql":
        return collate(scores.c.account_id, "C")
    return scores.c.account_id


def quarter_bounds(quarter: str) -> tuple[datetime, datetime]:
    """Return the first instant of a quarter such as 2026-Q3, and of the next one."""
    year, number = int(quarter[:4]), int(quarter[-1])
    first = datetime(year, number * 3 - 2, 1)
    return first, datetime(year + 1, 1, 1) if number == 4 else datetime(year, number * 3 + 1, 1)


def _spelled(known: Sequence[str], name: str | None) -> tuple[str | None, ...]:
    """Return those of the known names that differ in case at most; all, and none at all, without a name."""
    if name is None:
        return (*known, None)
    return (None,) if name == NONE else tuple(one for one in known if _same(one, name))


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
