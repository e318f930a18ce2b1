"""Read the red list page by page: the database filters, sorts and counts, and only the page is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    collate,
    false,
    func,
    literal_column,
    or_,
    select,
)

from churnrisk.history.schema import desk, expected_loss, is_listed, reviews, scores
from churnrisk.history.totals import owners_of, read_totals
from churnrisk.history.wanted import NONE, WorklistFilter
from churnrisk.records import Disposition, Run

_LISTED = frozenset(("red", "amber"))
_BATCH = 500
_SHOWN = (
    "account_id", "name", "owner", "segment", "colour", "decided_by", "rule", "probability", "annual_value",
    "renewal_at", "colour_since", "reasons", "stage", "next_step", "play", "moved",
    "turnaround",
)  # fmt: skip
_DESK = ("version", "disposition", "snoozed_until", "snooze_reason", "assignee", "note")
_EARLIER = scores.alias("earlier")

Row = Mapping[Any, Any]


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


def read_page(
    connection: Connection, asked: Asked, hidden: Mapping[str, int], *, limit: int, offset: int
) -> tuple[list[Row], int]:
    """Return the rows of one page, and how many rows match on all pages.

    A row is the score, the colour before, and what the desk has on record. ``hidden`` is what
    :func:`count_hidden` returns.
    """
    keys = _chosen(asked, [scores.c.account_id]).order_by(*_order(connection, asked))
    if asked.wanted.search:
        # few rows match a text, and to look at every name once is dear enough
        found = list(connection.execute(keys).scalars())
        ids, matching = found[offset : offset + limit], len(found)
    else:
        ids = list(connection.execute(keys.limit(limit).offset(offset)).scalars())
        matching = _count(connection, asked, hidden)
    if not ids:
        return [], matching
    query = _full(_id_of(asked.before)).where(_in_run(asked.run), scores.c.account_id.in_(ids))
    rows = {row["account_id"]: row for row in connection.execute(query).mappings()}
    return [rows[account_id] for account_id in ids], matching


def read_row(connection: Connection, run: Run, before: Run | None, account_id: str) -> Row | None:
    """Return one account's row of a run, whatever its colour; None when the run does not hold it."""
    asked = {"one_run": run.run_id, "run_before": before.run_id if before else None, "account_id": account_id}
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
    query = _full(_id_of(asked.before)).where(*_conditions(asked)).order_by(*_order(connection, asked))
    result = connection.execution_options(yield_per=_BATCH).execute(query)
    yield from result.mappings()


def count_hidden(connection: Connection, asked: Asked) -> dict[str, int]:
    """Return how many accounts of the chosen colours, owner and segment the desk keeps off: snoozed, churned."""
    hidden = or_(_is_snoozed(asked.now), desk.c.disposition == str(Disposition.CHURNED))
    # not a join, which may be done from the wrong end: the desk is short and the run is long
    listed = (
        select(literal_column("1"))
        .where(_in_run(asked.run), scores.c.account_id == desk.c.account_id)
        .where(*_of_people(asked), scores.c.colour.in_(asked.wanted.colours))
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


def _full(run_before: BindParameter[int] | int | None) -> Select[Any]:
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


def _id_of(run: Run | None) -> int | None:
    return run.run_id if run else None


def _chosen(asked: Asked, columns: Sequence[Any]) -> Select[Any]:
    return select(*columns).select_from(_with_desk()).where(*_conditions(asked))


def _with_desk() -> FromClause:
    return scores.outerjoin(desk, desk.c.account_id == scores.c.account_id)


def _conditions(asked: Asked) -> list[ColumnElement[bool]]:
    return [
        _in_run(asked.run),
        *_of_colours(asked),
        *_of_people(asked),
        *_of_account(asked),
        *_of_desk(asked),
    ]


def _in_run(run: Run) -> ColumnElement[bool]:
    return scores.c.run_id == run.run_id


def _of_colours(asked: Asked) -> list[ColumnElement[bool]]:
    colours = {"red"} if asked.wanted.newly_red else set(asked.wanted.colours)
    if asked.wanted.newly_red and "red" not in asked.wanted.colours:
        return [false()]
    if not colours <= _LISTED:
        return [scores.c.colour.in_(sorted(colours))]
    return [is_listed] if colours == _LISTED else [is_listed, scores.c.colour == colours.pop()]


def _of_people(asked: Asked) -> list[ColumnElement[bool]]:
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
    wanted, snoozed = asked.wanted, _is_snoozed(asked.now)
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


def _is_snoozed(now: datetime) -> ColumnElement[bool]:
    return and_(desk.c.disposition == str(Disposition.SNOOZED), desk.c.snoozed_until > now)


def _contains(text: str) -> ColumnElement[bool]:
    # SQLite folds the case of a–z only, so other letters are looked for in their usual spellings
    usual = (text,) if text.isascii() else (text, text.lower(), text.upper(), text.title())
    spellings = dict.fromkeys(usual)
    columns = (scores.c.account_id, scores.c.name)
    return or_(*(column.icontains(one, autoescape=True) for one in spellings for column in columns))


def _order(connection: Connection, asked: Asked) -> list[ColumnElement[Any]]:
    account: ColumnElement[Any] = scores.c.account_id
    if connection.dialect.name == "postgresql":
        account = collate(account, "C")
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
    return [*orders[asked.wanted.sort], account]


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
