"""What happened at one account, from the raw tables: use by week, complaints, surveys, contract dates.

``timeline`` shows what is known now and says of each thing whether the run could know it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from churnrisk.contract import Available, known_at
from churnrisk.history import HistoryStore
from churnrisk.history.desk import require_accounts
from churnrisk.sources import Engine, open_account, timestamp_literal
from churnrisk.workflows.project import Project

__all__ = ["Happening", "WeekOfUse", "Timeline", "timeline"]

_TABLES = ("events", "complaints", "subscriptions", "surveys")
_SHOWN_FEATURES = 8
OTHERS = "others"
_SEVERITIES = {1: "low", 2: "medium", 3: "high", 4: "critical"}
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened.

    Attributes
    ----------
    kind : str
        "complaint opened", "complaint resolved", "survey", "contract began", "contract ended" or "renewal".
    after_run : bool
        True when the run could not know it: it happened, or was recorded, later.
    """

    at: datetime
    kind: str
    text: str
    after_run: bool


@dataclass(frozen=True, slots=True)
class WeekOfUse:
    """Events of seven days.

    Attributes
    ----------
    start : datetime
        The first of them; weeks are counted back from the run.
    events : int
        What the run knew.
    later : int
        What came to be known after it.
    by_feature : mapping of str to int
        All of them by feature, for the features of :class:`Timeline`; "" where there is none.
    """

    start: datetime
    events: int
    later: int
    by_feature: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened at an account in ``[since, until)``.

    Attributes
    ----------
    as_of : datetime
        Of the run that is looked at.
    weeks : tuple of WeekOfUse
        Oldest first, silent weeks included; empty when the tables hold no events.
    features : tuple of str
        The most used, most used first; all others are added up as :data:`OTHERS`, one of that name among them.
    happenings : tuple of Happening
        The latest first.
    """

    account_id: str
    as_of: datetime
    since: datetime
    until: datetime
    weeks: tuple[WeekOfUse, ...]
    features: tuple[str, ...]
    happenings: tuple[Happening, ...]


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
    """Return what happened at an account in the days before a run, and since.

    Parameters
    ----------
    as_of : datetime
        Of the run.
    now : datetime
        Rows dated later are set aside.
    days : int
        How far back from the run.
    scope : str, optional
        The owner that the asker is limited to.

    Raises
    ------
    NotFoundError
        If no published run holds the account, or it is outside the scope.
    UsageError, ContractError
        If a table cannot be read.
    """
    with store.database.reading() as connection:
        require_accounts(connection, [account_id], scope)
    since = as_of - _WEEK * -(-days // 7)
    with Engine(project.engine, base=project.data) as engine:
        there = open_account(engine, project.tables, account_id, _TABLES)
        asked = _Asked(engine, there, since, as_of, now)
        until = _until(asked)
        features, weeks = _use(asked, until) if "events" in there else ((), ())
        happenings = sorted(_happenings(asked), key=lambda one: (one.at, one.kind), reverse=True)
    return Timeline(account_id, as_of, since, until, weeks, features, tuple(happenings))


@dataclass(frozen=True)
class _Asked:
    """The account's tables, and the times that matter."""

    engine: Engine
    there: Mapping[str, tuple[str, ...]]
    since: datetime
    as_of: datetime
    now: datetime

    def has(self, table: str, column: str) -> bool:
        return column in self.there.get(table, ())

    def known_at(self, table: str, column: str) -> str:
        """When a row could be known: when it happened, or was recorded if that is later."""
        return known_at(Available(self.there, {}), table, column)

    def column(self, table: str, name: str) -> str:
        """Return the column, or null where the table has none."""
        return name if self.has(table, name) else f"null as {name}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.engine.rows(sql)


def _stamp(moment: datetime) -> str:
    return timestamp_literal(moment)


def _until(asked: _Asked) -> datetime:
    """Return the day after the last row that is not dated in the future, and at least the run's day."""
    last = asked.as_of
    dated = {"events": "occurred_at", "complaints": "opened_at", "surveys": "answered_at"}
    for table, column in dated.items():
        if table in asked.there:
            found = asked.rows(f"select max({column}) from {table} where {column} <= {_stamp(asked.now)}")[0][
                0
            ]
            last = max(last, found or last)
    return datetime.combine(last.date(), time()) + timedelta(days=0 if last == asked.as_of else 1)


def _use(asked: _Asked, until: datetime) -> tuple[tuple[str, ...], tuple[WeekOfUse, ...]]:
    feature = "coalesce(feature, '')" if asked.has("events", "feature") else "''"
    counted = asked.rows(
        f"select floor(date_diff('day', {_stamp(asked.since)}, occurred_at) / 7)::integer as week, "
        f"{feature} as feature, {asked.known_at('events', 'occurred_at')} >= {_stamp(asked.as_of)} as later, "
        f"count(*) from events where occurred_at >= {_stamp(asked.since)} and occurred_at < {_stamp(until)} "
        "group by all"
    )
    used: dict[str, int] = {}
    for _, name, _, count in counted:
        used[name] = used.get(name, 0) + count
    features = tuple(sorted(used, key=lambda name: (-used[name], name)))
    if len(features) > _SHOWN_FEATURES:
        named = [name for name in features if name != OTHERS]
        features = (*named[: _SHOWN_FEATURES - 1], OTHERS)
    last = max(0, -(-(until - asked.since) // _WEEK) - 1)
    weeks = (_week(asked.since, number, counted, features) for number in range(last + 1))
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


def _happenings(asked: _Asked) -> Iterator[Happening]:
    for table, found in (("complaints", _complaints), ("surveys", _surveys), ("subscriptions", _contracts)):
        if table in asked.there:
            yield from (one for one in found(asked) if asked.since <= one.at)


def _complaints(asked: _Asked) -> Iterator[Happening]:
    optional = ("resolved_at", "severity", "category", "csat")
    columns = ", ".join(asked.column("complaints", name) for name in optional)
    known_at = asked.known_at("complaints", "opened_at")
    rows = asked.rows(
        f"select opened_at, {known_at} as known_at, {columns} from complaints "
        f"where opened_at <= {_stamp(asked.now)}"
    )
    for opened_at, known, resolved_at, severity, category, csat in rows:
        about = f"about {category}" if category else ""
        what = " ".join(part for part in (_SEVERITIES.get(severity, ""), "complaint", about) if part)
        yield Happening(opened_at, "complaint opened", what.capitalize(), known >= asked.as_of)
        if resolved_at is not None and resolved_at <= asked.now:
            days = max(0, (resolved_at - opened_at).days)
            took = f"{what.capitalize()} resolved after {days} {'day' if days == 1 else 'days'}"
            text = f"{took}, rated {csat:g}" if csat is not None else took
            later = max(known, resolved_at) >= asked.as_of
            yield Happening(resolved_at, "complaint resolved", text, later)


def _surveys(asked: _Asked) -> Iterator[Happening]:
    rows = asked.rows(
        f"select answered_at, {asked.known_at('surveys', 'answered_at')} as known_at, score, "
        f"{asked.column('surveys', 'kind')} from surveys where answered_at <= {_stamp(asked.now)}"
    )
    for answered_at, known, score, kind in rows:
        text = f"{(kind or 'survey').upper() if kind == 'nps' else kind or 'Survey'}: {score:g} of 10"
        yield Happening(answered_at, "survey", text, known >= asked.as_of)


def _contracts(asked: _Asked) -> Iterator[Happening]:
    """Yield beginnings and ends of terms, and the renewal ahead, which is a plan and may lie in the future."""
    columns = ", ".join(
        asked.column("subscriptions", name) for name in ("ended_at", "plan", "mrr", "renewal_at")
    )
    rows = asked.rows(
        f"select started_at, {asked.known_at('subscriptions', 'started_at')} as known_at, {columns} "
        f"from subscriptions where started_at <= {_stamp(asked.now)} order by started_at"
    )
    for started_at, known, ended_at, plan, mrr, _ in rows:
        what = f"Contract on plan {plan}" if plan else "Contract"
        worth = f", {mrr:,.0f} a month" if mrr is not None else ""
        yield Happening(started_at, "contract began", f"{what} began{worth}", known >= asked.as_of)
        if ended_at is not None and ended_at <= asked.now:
            later = max(known, ended_at) >= asked.as_of
            yield Happening(ended_at, "contract ended", f"{what} ended", later)
    if rows and rows[-1][-1] is not None:
        started_at, known, *_, renewal_at = rows[-1]
        yield Happening(renewal_at, "renewal", "Renewal date", known >= asked.as_of)
