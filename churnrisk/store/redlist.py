"""The red list in SQL: a query becomes conditions that an index answers, read page by page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from churnrisk.records import (
    NONE,
    Colour,
    DecidedBy,
    Disposition,
    Place,
    Places,
    RedListQuery,
    RedListRow,
    Run,
)
from churnrisk.store.account_state import state_of
from churnrisk.store.runs import HistoryStore, by_account
from churnrisk.store.schema import desk, expected_loss, is_listed, reviews, scores, state_columns
from churnrisk.store.scores import read_move, read_reasons, read_what_if
from churnrisk.store.totals import Sums, is_one_of, owners_of, read_totals, total

_LISTED = frozenset((Colour.RED, Colour.AMBER))
# Snoozed or churned: not a place that anybody sees.
_HIDDEN = "hidden"
Names = tuple[str | None, ...]
Condition = sa.ColumnElement[bool]
_BATCH = 500
_NO_RUN = -1
_SHOWN = (
    "account_id", "name", "owner", "segment", "colour", "decided_by", "rule", "probability", "annual_value",
    "renewal_at", "colour_since", "reasons", "stage", "next_step", "play", "moved",
    "turnaround",
)  # fmt: skip
_AS_STORED = (
    "account_id", "name", "owner", "segment", "previous_probability", "annual_value", "renewal_at", "rule", "play",
)  # fmt: skip
_EARLIER = scores.alias("earlier")
_WITH_DESK = scores.outerjoin(desk, desk.c.account_id == scores.c.account_id).outerjoin(
    reviews, reviews.c.review_id == desk.c.touched
)
_HANDLED = tuple(map(str, (Disposition.CONTACTED, Disposition.SAVED, Disposition.FALSE_ALARM)))


@dataclass(frozen=True)
class WorkQueue:
    """What the team's capacity is spent on at one run: the rank of each account that is work, and counts by owner."""

    capacity: int
    ranks: Mapping[str, int]
    counts: Mapping[str | None, Mapping[tuple[str, str], int]]

    def places(self, sums: Sequence[Sums], owners: Sequence[str | None] | None) -> Places:
        """Return how many accounts have each place; ``sums`` are the run's for the same owners, None for everybody."""
        mine = self.counts.values() if owners is None else [self.counts.get(owner, {}) for owner in owners]

        def number(colour: str, *places: str) -> int:
            return sum(counts.get((colour, place), 0) for counts in mine for place in places)

        def left(colour: str) -> int:
            return int(total(sums, "accounts", colour)) - number(colour, Place.WORK, Place.HANDLED, _HIDDEN)

        work, handled = (sum(number(one, place) for one in _LISTED) for place in (Place.WORK, Place.HANDLED))
        return Places(self.capacity, work, left(Colour.RED), left(Colour.AMBER), handled)


@dataclass(frozen=True)
class BuiltQuery:
    """A query bound to one run, over the scores joined to the desk; ``now`` decides which snoozes are in force.

    ``owners`` and ``segments`` are as the run spells them, None is any; ``people`` are the conditions on these alone.
    """

    run: Run
    previous_run: Run | None
    query: RedListQuery
    now: datetime
    owners: Names | None
    segments: Names | None
    people: tuple[Condition, ...]
    conditions: tuple[Condition, ...]
    order: tuple[sa.ColumnElement[Any], ...]
    queue: WorkQueue | None


def build_query(
    store: HistoryStore,
    connection: sa.Connection,
    run: Run,
    previous_run: Run | None,
    query: RedListQuery,
    now: datetime,
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
        scores.c.run_id == run.run_id,
        *_of_colours(query),
        *people,
        *_of_account(query, run.as_of),
        *_of_desk(query, now),
        *_of_place(connection, run, query, now),
    )
    order = (*_order(query, run), by_account(connection))
    queue = read_queue(store, connection, run, capacity=query.capacity, now=now)
    return BuiltQuery(run, previous_run, query, now, owners, segments, people, conditions, order, queue)


def read_queue(
    store: HistoryStore, connection: sa.Connection, run: Run, *, capacity: int | None, now: datetime
) -> WorkQueue | None:
    """Return what is work at a run, None without a capacity; see :class:`churnrisk.records.Place`."""
    if capacity is None:
        return None
    # every page needs it, and it changes as the pages do
    key = ("work queue", run.run_id, capacity, now.date())
    return store.cached(connection, key, lambda: _queue(connection, run, capacity, now))


def _queue(connection: sa.Connection, run: Run, capacity: int, now: datetime) -> WorkQueue:
    counts: defaultdict[str | None, Counter[tuple[str, str]]] = defaultdict(Counter)
    work = connection.execute(_work(connection, run, capacity, now)).all()
    for _, owner, colour in work:
        counts[owner][colour, Place.WORK] += 1
    # outer joins begin with the desk, which is short, and not with the run, which is long
    touched = desk.outerjoin(reviews, reviews.c.review_id == desk.c.touched).outerjoin(
        scores, sa.and_(scores.c.run_id == run.run_id, scores.c.account_id == desk.c.account_id)
    )
    place = _waiting(run.published_at, now)
    groups = (scores.c.owner, scores.c.colour, place.label("place"))
    aside = (
        sa.select(*groups, sa.func.count())
        .select_from(touched)
        .where(place.in_((_HIDDEN, str(Place.HANDLED))))
    )
    for owner, colour, name, accounts in connection.execute(aside.group_by(*groups[:2], "place")):
        counts[owner][colour, name] += accounts
    return WorkQueue(capacity, {row.account_id: rank for rank, row in enumerate(work, 1)}, counts)


def _work(connection: sa.Connection, run: Run, capacity: int, now: datetime) -> sa.Select[Any]:
    """Return the query of the accounts that are work, in order, with owner and colour."""
    waits = _waiting(run.published_at, now).in_((str(Place.BEYOND), str(Place.WATCH)))
    return (
        sa.select(scores.c.account_id, scores.c.owner, scores.c.colour)
        .select_from(_WITH_DESK)
        .where(scores.c.run_id == run.run_id, is_listed, waits)
        .order_by(*_order(RedListQuery(), run), by_account(connection))
        .limit(capacity)
    )


def _waiting(published_at: Any, now: Any) -> sa.ColumnElement[Any]:
    """Return the place of a red or amber account that is not work, or that it is hidden; null for other colours."""
    handled = sa.and_(
        desk.c.disposition.in_(_HANDLED),
        reviews.c.at >= scores.c.colour_since,
        reviews.c.at < published_at,
    )
    return sa.case(
        (~is_listed, sa.null()),
        (sa.or_(is_snoozed(now), desk.c.disposition == str(Disposition.CHURNED)), _HIDDEN),
        (handled, str(Place.HANDLED)),
        else_=sa.case((scores.c.colour == "red", str(Place.BEYOND)), else_=str(Place.WATCH)),
    )


def within(connection: sa.Connection, run: Run, scope: str) -> tuple[str, ...]:
    """Return the owners of a run that a scope covers: the one it names, as the run spells it, or none."""
    return tuple(owner for owner in owners_of(connection, run.run_id) if _same(owner, scope))


def _of_colours(query: RedListQuery) -> list[Condition]:
    colours = {Colour.RED} if query.newly_red else set(query.colours)
    if not colours <= set(query.colours):
        return [sa.false()]
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
        yield sa.func.coalesce(~snoozed, True)
    if query.disposition == Disposition.SNOOZED:
        yield snoozed
    elif query.disposition == NONE:
        # a snooze that is over leaves nothing behind
        yield sa.or_(desk.c.disposition.is_(None), sa.and_(desk.c.disposition == "snoozed", ~snoozed))
    elif query.disposition is not None:
        yield desk.c.disposition == str(query.disposition)
    else:
        yield sa.or_(desk.c.disposition.is_(None), desk.c.disposition != str(Disposition.CHURNED))
    if query.assignee == NONE:
        yield desk.c.assignee.is_(None)
    elif query.assignee is not None:
        yield sa.func.lower(desk.c.assignee) == sa.func.lower(query.assignee)


def is_snoozed(now: Any) -> Condition:
    """Return whether a snooze is in force."""
    return sa.and_(desk.c.disposition == str(Disposition.SNOOZED), desk.c.snoozed_until > now)


def _of_place(connection: sa.Connection, run: Run, query: RedListQuery, now: datetime) -> Iterator[Condition]:
    if query.place is None:
        return
    if query.capacity is None:
        yield sa.false()
        return
    work = _work(connection, run, query.capacity, now).with_only_columns(scores.c.account_id).correlate(None)
    is_work = scores.c.account_id.in_(work)
    if query.place == Place.WORK:
        yield is_work
    else:
        yield is_listed
        yield _waiting(run.published_at, now) == str(query.place)
        yield ~is_work


def _contains(text: str) -> Condition:
    # SQLite folds the case of a–z only, so other letters are looked for in their usual spellings
    usual = (text,) if text.isascii() else (text, text.lower(), text.upper(), text.title())
    spellings = dict.fromkeys(usual)
    columns = (scores.c.account_id, scores.c.name)
    return sa.or_(*(column.icontains(one, autoescape=True) for one in spellings for column in columns))


def _order(query: RedListQuery, run: Run) -> list[sa.ColumnElement[Any]]:
    listed = set(query.colours) <= _LISTED
    # "red" comes after "amber"; beside other colours the name no longer puts red first
    red_first = scores.c.colour if listed else sa.case((scores.c.colour == "red", 1), else_=0)
    probability = scores.c.probability if listed else sa.func.coalesce(scores.c.probability, -1.0)
    orders: dict[str, list[sa.ColumnElement[Any]]] = {
        "loss": [red_first.desc(), expected_loss.desc(), probability.desc()],
        "probability": [sa.func.coalesce(scores.c.probability, -1.0).desc()],
        "renewal": [
            sa.case((scores.c.renewal_at.is_(None), 2), (scores.c.renewal_at < run.as_of, 1), else_=0),
            scores.c.renewal_at,
        ],
        "days": [scores.c.colour_since],
        "name": [sa.func.lower(sa.func.coalesce(scores.c.name, scores.c.account_id))],
    }
    # where no account has an expected loss its value stands for it; the index of the list has no value
    by_value = [] if run.has_model else [sa.func.coalesce(scores.c.annual_value, -1.0).desc()]
    return orders[query.sort] + by_value


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


def _to_row(row: Mapping[Any, Any], run: Run, now: datetime, queue: WorkQueue | None) -> RedListRow:
    """Return one stored row of a run as a row of the red list."""
    value, probability, renewal = row["annual_value"], row["probability"], row["renewal_at"]
    previous, waiting = row["previous_colour"], row["waiting"]
    rank = None if queue is None else queue.ranks.get(row["account_id"])
    known = queue is not None and waiting not in (None, _HIDDEN)
    return RedListRow(
        **{name: row[name] for name in _AS_STORED},
        colour=Colour(row["colour"]),
        previous_colour=Colour(previous) if previous else None,
        decided_by=DecidedBy(row["decided_by"]),
        churn_probability=probability,
        expected_loss=None if value is None or probability is None else probability * value,
        days_to_renewal=None if renewal is None else (renewal - run.as_of).days,
        days_in_colour=(run.as_of - row["colour_since"]).days,
        reasons=read_reasons(row["reasons"]),
        next_step=row["next_step"] or "",
        move=read_move(row["moved"]),
        turnaround=read_what_if(row["turnaround"]),
        state=state_of(row, now=now),
        place=Place.WORK if rank else Place(waiting) if known else None,
        rank=rank,
    )


def read_page(
    connection: sa.Connection, built: BuiltQuery, hidden: Mapping[str, int], *, limit: int, offset: int
) -> tuple[list[RedListRow], int]:
    """Return the rows of one page and how many rows match on all pages; ``hidden`` is from :func:`count_hidden`."""
    keys = _matching(built, scores.c.account_id).order_by(*built.order)
    if built.query.search:
        # few rows match a text, and to scan every name once is expensive enough
        found = list(connection.execute(keys).scalars())
        ids, matching = found[offset : offset + limit], len(found)
    else:
        ids = list(connection.execute(keys.limit(limit).offset(offset)).scalars())
        matching = _count(connection, built, hidden)
    if not ids:
        return [], matching
    statement = _full_of(built).where(scores.c.run_id == built.run.run_id, scores.c.account_id.in_(ids))
    rows = {row["account_id"]: row for row in connection.execute(statement).mappings()}
    return [_to_row(rows[account_id], built.run, built.now, built.queue) for account_id in ids], matching


def read_row(
    connection: sa.Connection,
    run: Run,
    previous_run: Run | None,
    account_id: str,
    *,
    now: datetime,
    queue: WorkQueue | None,
) -> tuple[RedListRow, str | None, datetime]:
    """Return one account of a run that holds it, its stage, and when its colour began."""
    values = {
        "run_id": run.run_id,
        "previous_run_id": _id_of(previous_run),
        "account": account_id,
        "published": run.published_at,
        "today": now,
    }
    row = connection.execute(_one_row(), values).mappings().one()
    return _to_row(row, run, now, queue), row["stage"], row["colour_since"]


@cache
def _one_row() -> sa.Select[Any]:
    """Return the statement of :func:`read_row`; building it costs more than running it."""
    waiting = _waiting(sa.bindparam("published", type_=sa.DateTime), sa.bindparam("today", type_=sa.DateTime))
    return _full(sa.bindparam("previous_run_id", type_=sa.Integer), waiting).where(
        scores.c.run_id == sa.bindparam("run_id", type_=sa.Integer),
        scores.c.account_id == sa.bindparam("account", type_=sa.Text),
    )


def stream_rows(connection: sa.Connection, built: BuiltQuery) -> Iterator[RedListRow]:
    """Yield all rows in order, a batch at a time."""
    statement = _full_of(built).where(*built.conditions).order_by(*built.order)
    result = connection.execution_options(yield_per=_BATCH).execute(statement)
    for row in result.mappings():
        yield _to_row(row, built.run, built.now, built.queue)


def count_hidden(connection: sa.Connection, built: BuiltQuery) -> dict[str, int]:
    """Return how many accounts of the chosen colours, owner and segment are not listed: snoozed and churned."""
    hidden = sa.or_(is_snoozed(built.now), desk.c.disposition == str(Disposition.CHURNED))
    # not a join, which may be done from the wrong end: the desk is short and the run is long
    listed = (
        sa.select(sa.literal_column("1"))
        .where(scores.c.run_id == built.run.run_id, scores.c.account_id == desk.c.account_id)
        .where(*built.people, scores.c.colour.in_(map(str, built.query.colours)))
        .exists()
    )
    statement = (
        sa.select(desk.c.disposition, sa.func.count()).where(hidden, listed).group_by(desk.c.disposition)
    )
    return {"snoozed": 0, "churned": 0} | {str(name): int(n) for name, n in connection.execute(statement)}


def _count(connection: sa.Connection, built: BuiltQuery, hidden: Mapping[str, int]) -> int:
    """Return how many rows match: from the totals of the run where they say it, as counting takes longer."""
    query = built.query
    names = ("owner", "scope", "sort", "capacity", *(("place",) if query.place else ("colours", "segment")))
    if query != RedListQuery().model_copy(update={name: getattr(query, name) for name in names}):
        return int(connection.execute(_matching(built, sa.func.count())).scalar_one())
    sums = read_totals(connection, [built.run.run_id], owners=built.owners)
    if query.place is not None:
        return 0 if built.queue is None else getattr(built.queue.places(sums, built.owners), query.place)
    accounts = sum(
        one.accounts
        for one in sums
        if one.colour in query.colours and (built.segments is None or one.segment in built.segments)
    )
    return accounts - sum(hidden.values())


def _full_of(built: BuiltQuery) -> sa.Select[Any]:
    return _full(_id_of(built.previous_run), _waiting(built.run.published_at, built.now))


def _full(previous_run: sa.BindParameter[int] | int, waiting: sa.ColumnElement[Any]) -> sa.Select[Any]:
    at_previous_run = sa.and_(_EARLIER.c.run_id == previous_run, _EARLIER.c.account_id == scores.c.account_id)
    return sa.select(
        *(scores.c[name] for name in _SHOWN),
        _EARLIER.c.colour.label("previous_colour"),
        _EARLIER.c.probability.label("previous_probability"),
        *state_columns,
        waiting.label("waiting"),
    ).select_from(_WITH_DESK.outerjoin(_EARLIER, at_previous_run))


def _id_of(run: Run | None) -> int:
    # a number that no run has: a join on NULL would read the whole table for each row
    return run.run_id if run else _NO_RUN


def _matching(built: BuiltQuery, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(*columns).select_from(_WITH_DESK).where(*built.conditions)
