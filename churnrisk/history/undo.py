"""The way back: a review is taken back by another one, which restores what was before, and both stay on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, null, select, update

from churnrisk.errors import NotFoundError
from churnrisk.history.audit import Line, entries_where, insert_review, stored, write_lines
from churnrisk.history.desk import desk_rows, read_desk, require_accounts
from churnrisk.history.reviews import Reviewed, conflict, written
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import audit, overrides, reviews
from churnrisk.history.store import HistoryStore

_STANDS = reviews.c.undoes.is_(None) & reviews.c.undone_by.is_(None)


def undo_review(
    store: HistoryStore,
    review_id: int | None,
    *,
    author: str,
    via: str,
    at: datetime,
    anybodys: bool = False,
    scope: str | None = None,
    dry_run: bool = False,
) -> Reviewed:
    """Take a review back: every field is again what it was before, and the trail says so.

    Parameters
    ----------
    review_id : int, optional
        Default: the author's last one that has not been taken back.
    anybodys : bool
        Whether the author may take back what others did.

    Raises
    ------
    NotFoundError
        If there is no such review, or it is not the author's.
    ConflictError
        If a later one that stands has changed one of its accounts.
    """

    def undo(connection: Connection) -> Reviewed:
        found = _to_undo(connection, review_id, author, anybodys=anybodys)
        return _undo(connection, found, author=author, via=via, at=naive_utc(at), scope=scope)

    return written(store, undo, dry_run=dry_run)


def _to_undo(
    connection: Connection, review_id: int | None, author: str, *, anybodys: bool
) -> Mapping[Any, Any]:
    query = select(reviews).where(_STANDS)
    query = query if anybodys and review_id is not None else query.where(reviews.c.author == author)
    query = query if review_id is None else query.where(reviews.c.review_id == review_id)
    found = connection.execute(query.order_by(reviews.c.review_id.desc()).limit(1)).mappings().first()
    if found is None:
        what = "one of yours" if review_id is None else f"one with id {review_id} that is yours"
        raise NotFoundError(f"expected a change to take back, found none: {what}, and not taken back yet.")
    return found


def _undo(
    connection: Connection,
    found: Mapping[Any, Any],
    *,
    author: str,
    via: str,
    at: datetime,
    scope: str | None,
) -> Reviewed:
    lines = connection.execute(
        select(audit).where(audit.c.review_id == found["review_id"]).order_by(audit.c.audit_id.desc())
    )
    changed: dict[str, list[Mapping[Any, Any]]] = {}
    for line in lines.mappings():
        changed.setdefault(line["account_id"], []).append(line)
    ids = list(changed)
    require_accounts(connection, ids, scope)
    rows = desk_rows(connection, ids)
    _refuse_newer(connection, found["review_id"], rows)
    what = f"undid: {found['what']}"
    review_id = insert_review(connection, at=at, author=author, via=via, what=what, undoes=found["review_id"])
    taken = reviews.c.review_id == found["review_id"]
    connection.execute(update(reviews).where(taken).values(undone_by=review_id))
    touched = _last_touches(connection, ids)
    for account_id, its_lines in changed.items():
        back: list[Line] = [
            (line["field"], line["after"], stored(line["field"], line["before"]), line["override_id"])
            for line in its_lines
        ]
        _turn_overrides(connection, back, at)
        write_lines(connection, rows[account_id], back, review_id=review_id, touched=touched.get(account_id))
    return Reviewed(review_id, what, read_desk(connection, ids, now=at))


def _refuse_newer(connection: Connection, review_id: int, rows: Mapping[str, Mapping[Any, Any]]) -> None:
    newer = entries_where(
        connection, audit.c.account_id.in_(list(rows)), audit.c.review_id > review_id, _STANDS
    )
    if newer:
        versions = {account_id: row["version"] for account_id, row in rows.items()}
        raise conflict(newer, versions, sorted({entry.account_id for entry in newer}))


def _last_touches(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the last review of each account that stands; accounts without one are left out."""
    query = (
        select(audit.c.account_id, func.max(audit.c.review_id))
        .join(reviews, reviews.c.review_id == audit.c.review_id)
        .where(audit.c.account_id.in_(ids), _STANDS)
        .group_by(audit.c.account_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _turn_overrides(connection: Connection, lines: Sequence[Line], at: datetime) -> None:
    """End the overrides that the review set, and open again those that it ended."""
    ids = [override_id for *_, override_id in lines if override_id is not None]
    if ids:
        turned = case((overrides.c.ended_at.is_(None), at), else_=null())
        connection.execute(update(overrides).where(overrides.c.override_id.in_(ids)).values(ended_at=turned))
