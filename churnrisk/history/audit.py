"""The audit trail: who changed what, when, from what to what, and by which door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, text, update

from churnrisk.history.desk import FIELDS, require_accounts
from churnrisk.history.schema import audit, desk, reviews, runs, scores
from churnrisk.history.store import HistoryStore
from churnrisk.records import AuditEntry

_LOCK = 748_291_006

#: The rows of :class:`churnrisk.records.AuditEntry`, to be narrowed and ordered.
ENTRIES = select(
    audit.c.audit_id, audit.c.review_id, reviews.c.at, reviews.c.author, reviews.c.via, audit.c.account_id,
    audit.c.field, audit.c.before, audit.c.after, audit.c.version, reviews.c.undoes, reviews.c.undone_by,
).join(reviews, reviews.c.review_id == audit.c.review_id)  # fmt: skip

#: Field, value before, value after, and the override it is about.
Line = tuple[str, Any, Any, int | None]


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
    """Return what people changed, the newest first.

    Parameters
    ----------
    account_id, author : str, optional
        Only theirs.
    scope : str, optional
        Only accounts of this owner.
    before : int, optional
        Only entries with a smaller id: the next page begins at the last id of the one before.
    before_review : int, optional
        Only entries of reviews with a smaller id.
    """
    query = ENTRIES.order_by(audit.c.audit_id.desc()).limit(limit)
    for column, value in ((audit.c.account_id, account_id), (reviews.c.author, author)):
        query = query if value is None else query.where(column == value)
    if scope is not None and account_id is None:
        query = query.where(audit.c.account_id.in_(_accounts_of(scope)))
    if before is not None:
        query = query.where(audit.c.audit_id < before)
    if before_review is not None:
        query = query.where(audit.c.review_id < before_review)
    with store.database.reading() as connection:
        if account_id is not None:
            require_accounts(connection, [account_id], scope)
        return tuple(AuditEntry(*row) for row in connection.execute(query))


def said_of_accounts(store: HistoryStore, dispositions: Sequence[str]) -> list[dict[str, Any]]:
    """Return every review that stands and gave an account one of the dispositions, the newest first."""
    query = (
        select(audit.c.review_id, audit.c.account_id, reviews.c.author, reviews.c.at, audit.c.after)
        .join(reviews, reviews.c.review_id == audit.c.review_id)
        .where(audit.c.field == "disposition", audit.c.after.in_([str(one) for one in dispositions]))
        .where(reviews.c.undoes.is_(None), reviews.c.undone_by.is_(None))
        .order_by(audit.c.audit_id.desc())
    )
    names = ("review_id", "account_id", "author", "at", "disposition")
    with store.database.reading() as connection:
        return [dict(zip(names, row, strict=True)) for row in connection.execute(query)]


def entries_where(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[AuditEntry, ...]:
    """Return the entries that meet conditions on audit and reviews, the newest first."""
    query = ENTRIES.where(*conditions).order_by(audit.c.audit_id.desc())
    return tuple(AuditEntry(*row) for row in connection.execute(query))


def take_turns(connection: Connection) -> None:
    """Wait until nobody else is changing the desk; on SQLite a writing transaction has done so already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def insert_review(
    connection: Connection, *, at: datetime, author: str, via: str, what: str, undoes: int | None = None
) -> int:
    """Insert a review and return its id."""
    values = {"at": at, "author": author, "via": via, "what": what, "undoes": undoes}
    key = connection.execute(insert(reviews).values(**values)).inserted_primary_key
    assert key is not None  # noqa: S101 - every insert of one row has one
    return int(key[0])


def write_lines(
    connection: Connection,
    row: Mapping[str, Any],
    lines: Sequence[Line],
    *,
    review_id: int,
    touched: int | None,
) -> None:
    """Write the changed fields of one account to the desk and to the audit.

    Parameters
    ----------
    row : mapping
        The account's row of the desk before.
    touched : int or None
        The review by which the account was touched last.
    """
    account_id, version = row["account_id"], row["version"] + 1
    changed = {name: after for name, _, after, _ in lines if name in FIELDS}
    values = {"version": version, "touched": touched, **changed}
    if row["version"]:
        connection.execute(update(desk).where(desk.c.account_id == account_id).values(**values))
    else:
        connection.execute(insert(desk).values(account_id=account_id, **values))
    written = [
        {
            "review_id": review_id, "account_id": account_id, "field": name, "before": shown(before),
            "after": shown(after), "override_id": override_id, "version": version,
        }
        for name, before, after, override_id in lines
    ]  # fmt: skip
    connection.execute(insert(audit), written)


def shown(value: Any) -> str | None:
    """Return a value as the trail keeps it; :func:`stored` turns it back."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    return None if value is None else str(value)


def stored(field: str, value: str | None) -> Any:
    """Return what the desk holds of a value of the trail."""
    return datetime.fromisoformat(value) if field == "snoozed_until" and value else value


def _accounts_of(scope: str) -> Select[Any]:
    latest = select(runs.c.run_id).order_by(runs.c.as_of.desc(), runs.c.run_id.desc()).limit(1)
    return select(scores.c.account_id).where(
        scores.c.run_id == latest.scalar_subquery(), func.lower(scores.c.owner) == func.lower(scope)
    )
