"""What the team has on record for accounts, how it came about, and everything else the store holds of one account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import eq, lt
from typing import Any

import sqlalchemy as sa

from churnrisk.errors import NotFoundError
from churnrisk.records import AccountState, AuditEntry, Disposition, Run, clean
from churnrisk.store.runs import LIVE, HistoryStore
from churnrisk.store.schema import (
    actions,
    audit,
    desk,
    is_listed,
    overrides,
    reviews,
    runs,
    scores,
    state_columns,
)
from churnrisk.store.scores import naive_utc
from churnrisk.store.totals import is_one_of

FIELDS = ("disposition", "snoozed_until", "snooze_reason", "assignee", "note")
# Databases limit the number of parameters of a statement.
_CHUNK = 400
_MOST_ACTIONS, _MOST_ENTRIES = 20, 100
_LATEST = (
    sa.select(runs.c.run_id).order_by(runs.c.as_of.desc(), runs.c.run_id.desc()).limit(1).scalar_subquery()
)
_ENTRIES = sa.select(
    audit.c.audit_id, audit.c.review_id, reviews.c.at, reviews.c.author, reviews.c.via, audit.c.account_id,
    audit.c.field, audit.c.before, audit.c.after, audit.c.version, reviews.c.undoes, reviews.c.undone_by,
).join(reviews, reviews.c.review_id == audit.c.review_id).order_by(audit.c.audit_id.desc())  # fmt: skip
# Built once: every account page needs them, and building them costs more than running them.
_ACCOUNT = sa.bindparam("account_id", type_=sa.Text)
_SCORE = tuple(scores.c[name] for name in ("colour", "decided_by", "rule", "probability", "owner"))
_HISTORY = (
    sa.select(runs.c.run_id, runs.c.as_of, runs.c.model_version, *_SCORE)
    .join(scores, scores.c.run_id == runs.c.run_id)
    .where(runs.c.run_id.in_(LIVE), scores.c.account_id == _ACCOUNT)
    .order_by(runs.c.as_of)
)
_CHANGES = _ENTRIES.where(audit.c.account_id == _ACCOUNT).limit(_MOST_ENTRIES)
_OVERRIDES = (
    sa.select(overrides).where(overrides.c.account_id == _ACCOUNT).order_by(overrides.c.override_id.desc())
)
_OUTLOOK = sa.select(
    *(
        scores.c[name]
        for name in ("lost_by_renewal", "lost_by_end", "half_lost_days", "expected_days", "outlook_days")
    )
).where(
    scores.c.run_id == sa.bindparam("one_run", type_=sa.Integer),
    scores.c.account_id == sa.bindparam("account_id", type_=sa.Text),
)
_ACTIONS = (
    sa.select(actions)
    .where(actions.c.account_id == _ACCOUNT)
    .order_by(actions.c.action_id.desc())
    .limit(_MOST_ACTIONS)
)


def read_states(
    connection: sa.Connection, account_ids: Iterable[str], *, now: datetime
) -> dict[str, AccountState]:
    """Return the state of accounts; one that nobody has reviewed has version 0."""
    ids = list(account_ids)
    touched = desk.outerjoin(reviews, reviews.c.review_id == desk.c.touched)
    query = (
        sa.select(desk.c.account_id, *state_columns).select_from(touched).where(desk.c.account_id.in_(ids))
    )
    found = {row["account_id"]: state_of(row, now=now) for row in connection.execute(query).mappings()}
    return {account_id: found.get(account_id, AccountState()) for account_id in ids}


def state_of(row: Mapping[Any, Any], *, now: datetime) -> AccountState:
    """Return the state in a row with the state columns; a snooze may be over."""
    state = {column.name: row[column.name] for column in state_columns} | {"version": row["version"] or 0}
    over = state["disposition"] == Disposition.SNOOZED and state["snoozed_until"] <= naive_utc(now)
    state["disposition"] = Disposition(state["disposition"]) if state["disposition"] and not over else None
    return AccountState(**state)


def state_rows(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Mapping[Any, Any]]:
    """Return the row of each account; one that nobody has reviewed has version 0."""
    empty = {"version": 0, "touched": None} | dict.fromkeys(FIELDS)
    found: dict[str, Mapping[Any, Any]] = {one: empty | {"account_id": one} for one in ids}
    for some in _chunks(ids):
        for row in connection.execute(sa.select(desk).where(desk.c.account_id.in_(some))).mappings():
            found[row["account_id"]] = row
    return found


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), _CHUNK):
        yield ids[first : first + _CHUNK]


def require_accounts(connection: sa.Connection, account_ids: Sequence[str], scope: str | None) -> None:
    """Raise NotFoundError for the first account that no run holds or that is another owner's: both look the same."""
    owners: dict[str, str | None] = {}
    # an id that no database takes is none that a run holds
    for some in _chunks([one for one in account_ids if one == clean(one)]):
        query = (
            sa.select(scores.c.account_id, scores.c.owner)
            .join(runs, runs.c.run_id == scores.c.run_id)
            .where(scores.c.run_id.in_(LIVE), scores.c.account_id.in_(some))
            .order_by(runs.c.as_of)
        )
        # the latest run comes last and has the last word
        owners |= {row[0]: row[1] for row in connection.execute(query)}
    for account_id in account_ids:
        if account_id not in owners or not is_within(owners[account_id], scope):
            raise no_account(account_id)


def is_within(owner: str | None, scope: str | None) -> bool:
    """Whether somebody limited to a scope may see an owner's account."""
    return scope is None or (owner or "").casefold() == scope.casefold()


def no_account(account_id: str) -> NotFoundError:
    """Return the error for an account that does not exist, or not for this person."""
    return NotFoundError(f"no published run holds account {account_id!r}. Check the id.")


def entries_where(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None
) -> tuple[AuditEntry, ...]:
    """Return the entries that meet conditions on audit and reviews, the newest first."""
    found = connection.execute(_ENTRIES.where(*conditions).limit(limit))
    return tuple(AuditEntry(*row) for row in found)


def trail(
    store: HistoryStore,
    *,
    account_id: str | None = None,
    author: str | None = None,
    scope: str | None = None,
    before: int | None = None,
    before_review: int | None = None,
    limit: int = 100,
) -> tuple[AuditEntry, ...]:
    """Return what people changed, the newest first; ``before`` and ``before_review`` are ids, for the next page."""
    limits: tuple[tuple[Any, Any, Any], ...] = (
        (audit.c.account_id, eq, account_id),
        (reviews.c.author, eq, author),
        (audit.c.audit_id, lt, before),
        (audit.c.review_id, lt, before_review),
    )
    conditions = [compare(column, value) for column, compare, value in limits if value is not None]
    if scope is not None and account_id is None:
        mine = (scores.c.run_id == _LATEST) & (sa.func.lower(scores.c.owner) == sa.func.lower(scope))
        conditions.append(audit.c.account_id.in_(sa.select(scores.c.account_id).where(mine)))
    with store.database.reading() as connection:
        if account_id is not None:
            require_accounts(connection, [account_id], scope)
        return entries_where(connection, *conditions, limit=limit)


def reviews_with(store: HistoryStore, dispositions: Sequence[str]) -> list[dict[str, Any]]:
    """Return every review in force that gave an account one of the dispositions, the newest first."""
    query = (
        sa.select(audit.c.review_id, audit.c.account_id, reviews.c.author, reviews.c.at)
        .add_columns(audit.c.after.label("disposition"))
        .join(reviews, reviews.c.review_id == audit.c.review_id)
        .where(audit.c.field == "disposition", audit.c.after.in_([str(one) for one in dispositions]))
        .where(reviews.c.undoes.is_(None), reviews.c.undone_by.is_(None))
        .order_by(audit.c.audit_id.desc())
    )
    with store.database.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def read_history(connection: sa.Connection, account_id: str) -> Sequence[sa.Row[Any]]:
    """Return the account at every live run, oldest first, as rows of run, model version and :data:`_SCORE`."""
    if account_id != clean(account_id):
        return ()
    return connection.execute(_HISTORY, {"account_id": account_id}).fetchall()


def read_outlook(connection: sa.Connection, run_id: int, account_id: str) -> Mapping[str, float | None]:
    """Return when an account of a run is likely to be lost; all None where the run does not say."""
    row = connection.execute(_OUTLOOK, {"one_run": run_id, "account_id": account_id}).mappings().one()
    return {str(name): value for name, value in row.items()}


def read_changes(connection: sa.Connection, account_id: str) -> tuple[AuditEntry, ...]:
    """Return the last changes of the account by people, the newest first."""
    return tuple(AuditEntry(*row) for row in connection.execute(_CHANGES, {"account_id": account_id}))


def read_overrides(connection: sa.Connection, account_id: str) -> list[Mapping[Any, Any]]:
    """Return every override of the account, the newest first."""
    return list(connection.execute(_OVERRIDES, {"account_id": account_id}).mappings())


def read_actions(connection: sa.Connection, account_id: str) -> list[Mapping[Any, Any]]:
    """Return the last actions handed out for the account, the newest first."""
    return list(connection.execute(_ACTIONS, {"account_id": account_id}).mappings())


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Red and amber accounts that nobody has touched since they have their colour, alike in what due dates need."""

    owner: str | None
    colour: str
    play: str | None
    colour_since: datetime
    handed_due_at: datetime | None
    accounts: int


@dataclass(frozen=True, slots=True)
class Saved:
    """An account that somebody reviewed as saved, and that has not churned since."""

    account_id: str
    name: str | None
    owner: str | None
    annual_value: float | None
    at: datetime
    author: str


@dataclass(frozen=True, slots=True)
class AllSaved:
    """The accounts saved last, how many there are in all, and what they are worth a year."""

    accounts: tuple[Saved, ...]
    count: int
    annual_value: float


def open_work(
    connection: sa.Connection,
    run: Run,
    *,
    now: datetime,
    owners: Sequence[str | None] | None = None,
    account_id: str | None = None,
) -> list[OpenWork]:
    """Return what nobody has touched at a run; accounts that are snoozed or churned are nobody's work."""
    handed_due_at = (
        sa.select(actions.c.due_at)
        .where(actions.c.account_id == scores.c.account_id, actions.c.handed_out_at >= scores.c.colour_since)
        .order_by(actions.c.action_id.desc())
        .limit(1)
        .scalar_subquery()
        .label("handed_due_at")
    )
    groups = (scores.c.owner, scores.c.colour, scores.c.play, scores.c.colour_since)
    conditions = [scores.c.run_id == run.run_id, is_listed, ~_is_done(now)]
    if owners is not None:
        conditions.append(is_one_of(scores.c.owner, owners))
    if account_id is not None:
        conditions.append(scores.c.account_id == account_id)
    statement = (
        sa.select(*groups, handed_due_at, sa.func.count())
        .where(*conditions)
        .group_by(*groups, "handed_due_at")
    )
    return [OpenWork(*row) for row in connection.execute(statement)]


def _is_done(now: datetime) -> sa.ColumnElement[bool]:
    touched = desk.join(reviews, reviews.c.review_id == desk.c.touched)
    return (
        sa.select(sa.literal_column("1"))
        .select_from(touched)
        .where(desk.c.account_id == scores.c.account_id)
        .where(
            sa.or_(
                reviews.c.at >= scores.c.colour_since,
                desk.c.disposition == str(Disposition.CHURNED),
                sa.and_(desk.c.disposition == str(Disposition.SNOOZED), desk.c.snoozed_until > now),
            )
        )
        .exists()
    )


def read_saved(
    connection: sa.Connection, *, since: datetime, owners: Sequence[str | None] | None, limit: int = 200
) -> AllSaved:
    """Return the accounts last reviewed as saved since an instant, unless undone or churned since, the latest first."""
    said_saved = (audit.c.field == "disposition") & (audit.c.after == str(Disposition.SAVED))
    stands = (reviews.c.at >= since) & reviews.c.undoes.is_(None) & reviews.c.undone_by.is_(None)
    last = (
        sa.select(sa.func.max(audit.c.audit_id))
        .join(reviews, reviews.c.review_id == audit.c.review_id)
        .where(said_saved, stands)
        .group_by(audit.c.account_id)
    )
    scored = (scores.c.account_id == audit.c.account_id) & (scores.c.run_id == _LATEST)
    joined = (
        audit.join(reviews, reviews.c.review_id == audit.c.review_id)
        .join(desk, desk.c.account_id == audit.c.account_id)
        .outerjoin(scores, scored)
    )
    conditions = [
        audit.c.audit_id.in_(last),
        desk.c.disposition.is_distinct_from(str(Disposition.CHURNED)),
        *([] if owners is None else [is_one_of(scores.c.owner, owners)]),
    ]
    counted = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(scores.c.annual_value), 0.0))
    count, value = connection.execute(counted.select_from(joined).where(*conditions)).one()
    shown = (audit.c.account_id, scores.c.name, scores.c.owner, scores.c.annual_value)
    listed = (
        sa.select(*shown, reviews.c.at, reviews.c.author)
        .select_from(joined)
        .where(*conditions)
        .order_by(reviews.c.review_id.desc())
        .limit(limit)
    )
    return AllSaved(tuple(Saved(*row) for row in connection.execute(listed)), int(count), float(value))
