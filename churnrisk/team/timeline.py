"""The timeline of one account, from the raw tables: use by week, complaints, surveys, contract dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from churnrisk.contract import Available
from churnrisk.contract import timestamp_literal as _stamp
from churnrisk.settings import Project
from churnrisk.sources import Engine, open_account
from churnrisk.store import HistoryStore, require_accounts

_TABLES = ("events", "complaints", "subscriptions", "surveys")
_SHOWN_FEATURES = 8
OTHERS = "others"
_SEVERITIES = {1: "low", 2: "medium", 3: "high", 4: "critical"}
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """A complaint, survey, contract date or renewal; ``after_run`` if the run could not know it yet."""

    at: datetime
    kind: str
    text: str
    after_run: bool


@dataclass(frozen=True, slots=True)
class WeekOfUse:
    """Events in [start, start + 7 days): those known to the run, those that came later, and all by feature."""

    start: datetime
    events: int
    later: int
    by_feature: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened at an account in [since, until), latest first, and its use by week, oldest first.

    ``features`` are the most used, all others added up as :data:`OTHERS`; "" stands for events without a feature.
    """

    account_id: str
    as_of: datetime
    since: datetime
    until: datetime
    weeks: tuple[WeekOfUse, ...]
    features: tuple[str, ...]
    events: tuple[TimelineEvent, ...]


def timeline(
    project: Project,
    store: HistoryStore,
    account_id: str,
    *,
    as_of: datetime,
    now: datetime,
    days: int = 182,
    scope: str | None = None,
) -> Timeline:
    """Return what happened in the ``days`` before a run, and since, up to ``now``; NotFoundError outside the scope."""
    with store.database.reading() as connection:
        require_accounts(connection, [account_id], scope)
    since = as_of - _WEEK * -(-days // 7)
    with Engine(project.engine, base=project.data) as engine:
        columns = open_account(engine, project.tables, account_id, _TABLES)
        tables = _AccountTables(engine, Available(columns, {}), since, as_of, now)
        until = _until(tables)
        features, weeks = _use(tables, until) if "events" in columns else ((), ())
        events = sorted(_events(tables), key=lambda one: (one.at, one.kind), reverse=True)
    return Timeline(account_id, as_of, since, until, weeks, features, tuple(events))


@dataclass(frozen=True)
class _AccountTables:
    """The tables of the account, with their columns, and the instants that bound the timeline."""

    engine: Engine
    available: Available
    since: datetime
    as_of: datetime
    now: datetime

    def column(self, table: str, name: str) -> str:
        """Return the column, or null where the table has none."""
        return name if self.available.has(f"{table}.{name}") else f"null as {name}"


def _until(tables: _AccountTables) -> datetime:
    """Return the day after the last row that is not dated in the future, and at least the run's day."""
    last = tables.as_of
    dated = {"events": "occurred_at", "complaints": "opened_at", "surveys": "answered_at"}
    for table, column in dated.items():
        if tables.available.has(table):
            query = f"select max({column}) from {table} where {column} <= {_stamp(tables.now)}"
            ((found,),) = tables.engine.rows(query)
            last = max(last, found or last)
    return datetime.combine(last.date(), time()) + timedelta(days=0 if last == tables.as_of else 1)


def _use(tables: _AccountTables, until: datetime) -> tuple[tuple[str, ...], tuple[WeekOfUse, ...]]:
    feature = "coalesce(feature, '')" if tables.available.has("events.feature") else "''"
    counted = tables.engine.rows(
        f"select floor(date_diff('day', {_stamp(tables.since)}, occurred_at) / 7)::integer as week, "
        f"{feature} as feature, {tables.available.known_at('events')} >= {_stamp(tables.as_of)} as later, "
        f"count(*) from events where occurred_at >= {_stamp(tables.since)} and occurred_at < {_stamp(until)} "
        "group by all"
    )
    used: dict[str, int] = {}
    for _, name, _, count in counted:
        used[name] = used.get(name, 0) + count
    features = tuple(sorted(used, key=lambda name: (-used[name], name)))
    if len(features) > _SHOWN_FEATURES:
        named = [name for name in features if name != OTHERS]
        features = (*named[: _SHOWN_FEATURES - 1], OTHERS)
    last = max(0, -(-(until - tables.since) // _WEEK) - 1)
    weeks = (_week(tables.since, number, counted, features) for number in range(last + 1))
    return features, tuple(weeks)


def _week(
    since: datetime, number: int, counted: list[tuple[Any, ...]], features: tuple[str, ...]
) -> WeekOfUse:
    by_feature = dict.fromkeys(features, 0)
    known = {False: 0, True: 0}
    for week, name, later, count in counted:
        if week == number:
            by_feature[name if name in by_feature else OTHERS] += count
            known[later] += count
    return WeekOfUse(since + number * _WEEK, known[False], known[True], by_feature)


def _events(tables: _AccountTables) -> Iterator[TimelineEvent]:
    for table, found in (("complaints", _complaints), ("surveys", _surveys), ("subscriptions", _contracts)):
        if tables.available.has(table):
            yield from (one for one in found(tables) if tables.since <= one.at)


def _complaints(tables: _AccountTables) -> Iterator[TimelineEvent]:
    optional = ("resolved_at", "severity", "category", "csat")
    columns = ", ".join(tables.column("complaints", name) for name in optional)
    known_at = tables.available.known_at("complaints")
    rows = tables.engine.rows(
        f"select opened_at, {known_at} as known_at, {columns} from complaints "
        f"where opened_at <= {_stamp(tables.now)}"
    )
    for opened_at, known, resolved_at, severity, category, csat in rows:
        about = f"about {category}" if category else ""
        what = " ".join(part for part in (_SEVERITIES.get(severity, ""), "complaint", about) if part)
        yield TimelineEvent(opened_at, "complaint opened", what.capitalize(), known >= tables.as_of)
        if resolved_at is not None and resolved_at <= tables.now:
            days = max(0, (resolved_at - opened_at).days)
            took = f"{what.capitalize()} resolved after {days} {'day' if days == 1 else 'days'}"
            text = f"{took}, rated {csat:g}" if csat is not None else took
            later = max(known, resolved_at) >= tables.as_of
            yield TimelineEvent(resolved_at, "complaint resolved", text, later)


def _surveys(tables: _AccountTables) -> Iterator[TimelineEvent]:
    rows = tables.engine.rows(
        f"select answered_at, {tables.available.known_at('surveys')} as known_at, score, "
        f"{tables.column('surveys', 'kind')} from surveys where answered_at <= {_stamp(tables.now)}"
    )
    for answered_at, known, score, kind in rows:
        text = f"{'NPS' if kind == 'nps' else kind or 'Survey'}: {score:g} of 10"
        yield TimelineEvent(answered_at, "survey", text, known >= tables.as_of)


def _contracts(tables: _AccountTables) -> Iterator[TimelineEvent]:
    """Yield beginnings, notices and ends of terms, and the renewal ahead, which is a plan and may be in the future."""
    names = ("ended_at", "cancelled_at", "plan", "mrr", "renewal_at")
    columns = ", ".join(tables.column("subscriptions", name) for name in names)
    rows = tables.engine.rows(
        f"select started_at, {tables.available.known_at('subscriptions')} as known_at, {columns} "
        f"from subscriptions where started_at <= {_stamp(tables.now)} order by started_at"
    )
    for started_at, known, ended_at, cancelled_at, plan, mrr, _ in rows:
        what = f"Contract on plan {plan}" if plan else "Contract"
        worth = f", {mrr:,.0f} a month" if mrr is not None else ""
        yield TimelineEvent(started_at, "contract began", f"{what} began{worth}", known >= tables.as_of)
        if ended_at is not None and ended_at <= tables.now:
            later = max(known, ended_at) >= tables.as_of
            # an end at 00:00 is that of the day before
            last = ended_at - timedelta(days=1) if ended_at.time() == time() else ended_at
            yield TimelineEvent(max(last, started_at), "contract ended", f"{what} ended", later)
        if cancelled_at is not None and cancelled_at <= tables.now:
            later = max(known, cancelled_at) >= tables.as_of
            yield TimelineEvent(cancelled_at, "notice given", f"Notice given: {what}", later)
    if rows and rows[-1][-1] is not None:
        started_at, known, *_, renewal_at = rows[-1]
        yield TimelineEvent(renewal_at, "renewal", "Renewal date", known >= tables.as_of)
