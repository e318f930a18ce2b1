"""Reviews and overrides: written for one or several accounts, all or none, with undo and an audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from churnrisk.errors import NotFoundError, UsageError
from churnrisk.files import digest_of
from churnrisk.records import AccountState, AuditEntry
from churnrisk.store.account_state import FIELDS, entries_where, read_states, require_accounts, state_rows
from churnrisk.store.database import WriteLock, insert_row
from churnrisk.store.runs import HistoryStore
from churnrisk.store.schema import audit, desk, overrides, reviews
from churnrisk.store.scores import naive_utc, read_frame

_IN_FORCE = reviews.c.undoes.is_(None) & reviews.c.undone_by.is_(None)
Rows = Mapping[str, Mapping[Any, Any]]


@dataclass(frozen=True, slots=True)
class NewOverride:
    """A colour that a person sets for an account, in force in ``[created_at, expires_at)``; validated."""

    account_id: str
    colour: str
    author: str
    reason: str
    created_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        if self.colour not in ("green", "amber", "red"):
            raise UsageError(f"an override expects green, amber or red, found {self.colour!r}. Choose one.")
        if not self.author.strip() or not self.reason.strip():
            raise UsageError("an override expects an author and a reason, found an empty one. Give both.")
        if not naive_utc(self.created_at) < naive_utc(self.expires_at):
            raise UsageError(
                f"an override expects an expiry after {self.created_at}, found {self.expires_at}. "
                "Choose a later one."
            )


def active_overrides(store: HistoryStore, *, at: datetime) -> pd.DataFrame:
    """Return the overrides in force at an instant, indexed by account id; the last one wins."""
    moment = naive_utc(at)
    query = (
        sa.select(overrides)
        .where(overrides.c.created_at <= moment, overrides.c.expires_at > moment)
        .where(sa.or_(overrides.c.ended_at.is_(None), overrides.c.ended_at > moment))
        .order_by(overrides.c.override_id)
    )
    with store.database.reading() as connection:
        frame = read_frame(connection, query)
    return frame.drop_duplicates("account_id", keep="last").set_index("account_id")


def all_overrides(store: HistoryStore) -> pd.DataFrame:
    """Return every override ever made, oldest first: the columns of the table, instants in UTC."""
    with store.database.reading() as connection:
        return read_frame(connection, sa.select(overrides).order_by(overrides.c.override_id))


def with_overrides(store: HistoryStore, digest: str, *, at: datetime) -> str:
    """Return the digest of the inputs and the overrides made so far; without any, that of the inputs alone.

    Those that are over still count: the run after them must not be taken for the one before them.
    """
    moment = pd.Timestamp(naive_utc(at))
    made = all_overrides(store)
    made = made[made["created_at"] <= moment]
    if made.empty:
        return digest
    over = (made["expires_at"] <= moment) | (made["ended_at"] <= moment)
    states = made.assign(over=over)[["override_id", "account_id", "colour", "over"]].to_csv(index=False)
    return digest_of(f"{digest}\n{states}")


class ConflictError(UsageError):
    """Somebody else has changed accounts: by ``entries``, to ``versions``, which a change may go on top of."""

    def __init__(self, message: str, entries: Sequence[AuditEntry], versions: Mapping[str, int]) -> None:
        super().__init__(message)
        self.entries = tuple(entries)
        self.versions = dict(versions)


@dataclass(frozen=True, slots=True)
class OverrideChange:
    """A colour that a person sets until an instant; without a colour, the overrides in force are ended."""

    colour: str | None
    reason: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review as it was written, and each account's state after it; without an id after a dry run."""

    review_id: int | None
    what: str
    states: Mapping[str, AccountState]
    override_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """One changed field, as the desk holds it, and the override it is about."""

    field: str
    before: Any
    after: Any
    override_id: int | None = None


def add_review(
    store: HistoryStore,
    versions: Mapping[str, int | None],
    fields: Mapping[str, Any],
    override: OverrideChange | None,
    *,
    author: str,
    via: str,
    now: datetime,
    what: str,
    scope: str | None = None,
    dry_run: bool = False,
) -> Reviewed:
    """Change accounts at the versions that the person saw (None takes any), all of them or none.

    NotFoundError for an account outside every run or the scope, ConflictError for one that has another version.
    """
    ids, at = list(versions), naive_utc(now)
    with store.database.writing(WriteLock.REVIEWS) as connection:
        require_accounts(connection, ids, scope)
        rows = state_rows(connection, ids)
        _refuse_stale(connection, versions, rows)
        review_id = _insert_review(connection, at=at, author=author, via=via, what=what)
        made: list[int] = []
        for account_id, row in rows.items():
            lines = [_Line(name, row[name], value) for name, value in fields.items()]
            if override is not None:
                lines += _override(connection, account_id, override, author=author, at=at)
            changed = [line for line in lines if line.before is not None or line.after is not None]
            _write_lines(connection, row, changed or lines, review_id=review_id, touched=review_id)
            made += [line.override_id for line in lines if line.override_id is not None]
        done = Reviewed(review_id, what, read_states(connection, ids, now=at), tuple(made))
        return _dry(connection, done) if dry_run else done


def end_override(store: HistoryStore, override_id: int, *, author: str, via: str, at: datetime) -> Reviewed:
    """End one open override before it expires."""
    named, moment, what = overrides.c.override_id == override_id, naive_utc(at), "override ended"
    with store.database.writing(WriteLock.REVIEWS) as connection:
        is_open = named & overrides.c.ended_at.is_(None)
        if not connection.execute(sa.update(overrides).where(is_open).values(ended_at=moment)).rowcount:
            raise UsageError(
                f"expected an open override, found none with id {override_id}. See the list of overrides."
            )
        ended = connection.execute(sa.select(overrides).where(named)).mappings().one()
        account_id = ended["account_id"]
        review_id = _insert_review(connection, at=moment, author=author, via=via, what=what)
        line = _Line("override", _override_text(ended), None, override_id)
        row = state_rows(connection, [account_id])[account_id]
        _write_lines(connection, row, [line], review_id=review_id, touched=review_id)
        return Reviewed(review_id, what, read_states(connection, [account_id], now=moment), (override_id,))


def undo(
    store: HistoryStore,
    *,
    author: str,
    via: str,
    now: datetime,
    review_id: int | None = None,
    anybodys: bool = False,
    scope: str | None = None,
    dry_run: bool = False,
) -> Reviewed:
    """Undo a review, by default the author's last one in force, by another one that restores every field.

    ``anybodys`` lets an admin undo those of others; ConflictError if a later one in force has changed its accounts.
    """
    with store.database.writing(WriteLock.REVIEWS) as connection:
        found = _find_review(connection, review_id, author, anybodys=anybodys)
        done = _undo(connection, found, author=author, via=via, at=naive_utc(now), scope=scope)
        return _dry(connection, done) if dry_run else done


def _dry(connection: sa.Connection, done: Reviewed) -> Reviewed:
    connection.rollback()
    return replace(done, review_id=None)


def _refuse_stale(connection: sa.Connection, versions: Mapping[str, int | None], rows: Rows) -> None:
    now = {account_id: row["version"] for account_id, row in rows.items()}
    stale = {name: seen for name, seen in versions.items() if seen is not None and seen != now[name]}
    if not stale:
        return
    changed = sa.or_(
        *((audit.c.account_id == name) & (audit.c.version > seen) for name, seen in stale.items())
    )
    raise _conflict(entries_where(connection, changed), now, sorted(stale))


def _conflict(
    entries: Sequence[AuditEntry], versions: Mapping[str, int], accounts: Sequence[str]
) -> ConflictError:
    who = "; ".join(
        f"{entry.author} set {entry.field.replace('_', ' ')} of {entry.account_id} to {entry.after or 'nothing'} "
        f"on {entry.at:%Y-%m-%d at %H:%M}"
        for entry in entries[:3]
    )
    message = (
        f"not written: {', '.join(accounts[:3])} changed in the meantime ({who or 'another version'}). "
        "Look at it and decide again."
    )
    return ConflictError(message, entries, versions)


def _override(
    connection: sa.Connection, account_id: str, change: OverrideChange, *, author: str, at: datetime
) -> list[_Line]:
    """Set or end the account's override."""
    in_force = connection.execute(
        sa.select(overrides)
        .where(overrides.c.account_id == account_id, overrides.c.ended_at.is_(None))
        .where(overrides.c.expires_at > at)
        .order_by(overrides.c.override_id.desc())
    ).mappings()
    before = [(row["override_id"], _override_text(row)) for row in in_force]
    if change.colour is not None:
        assert change.expires_at is not None  # noqa: S101 - a colour comes with an end
        new = NewOverride(account_id, change.colour, author, change.reason, at, naive_utc(change.expires_at))
        made = insert_row(connection, overrides, asdict(new))
        after = f"{change.colour} until {change.expires_at:%Y-%m-%d}: {change.reason}"
        return [_Line("override", before[0][1] if before else None, after, made)]
    if not before:
        raise UsageError(
            f"expected an override of {account_id} in force, found none. See the list of overrides."
        )
    ids = [override_id for override_id, _ in before]
    connection.execute(sa.update(overrides).where(overrides.c.override_id.in_(ids)).values(ended_at=at))
    return [_Line("override", said, None, override_id) for override_id, said in before]


def _override_text(row: Mapping[Any, Any]) -> str:
    return f"{row['colour']} until {row['expires_at']:%Y-%m-%d}: {row['reason']}"


def _find_review(
    connection: sa.Connection, review_id: int | None, author: str, *, anybodys: bool
) -> Mapping[Any, Any]:
    query = sa.select(reviews).where(_IN_FORCE)
    query = query if anybodys and review_id is not None else query.where(reviews.c.author == author)
    query = query if review_id is None else query.where(reviews.c.review_id == review_id)
    found = connection.execute(query.order_by(reviews.c.review_id.desc()).limit(1)).mappings().first()
    if found is None:
        what = "one of yours" if review_id is None else f"one with id {review_id} that is yours"
        raise NotFoundError(f"expected a change to take back, found none: {what}, and not taken back yet.")
    return found


def _undo(
    connection: sa.Connection,
    found: Mapping[Any, Any],
    *,
    author: str,
    via: str,
    at: datetime,
    scope: str | None,
) -> Reviewed:
    undone, what = found["review_id"], f"undid: {found['what']}"
    entries = sa.select(audit).where(audit.c.review_id == undone).order_by(audit.c.audit_id.desc())
    lines: dict[str, list[_Line]] = {}
    for row in connection.execute(entries).mappings():
        line = _Line(row["field"], row["after"], stored(row["field"], row["before"]), row["override_id"])
        lines.setdefault(row["account_id"], []).append(line)
    ids = list(lines)
    require_accounts(connection, ids, scope)
    rows = state_rows(connection, ids)
    _refuse_newer(connection, undone, rows)
    review_id = _insert_review(connection, at=at, author=author, via=via, what=what, undoes=undone)
    connection.execute(sa.update(reviews).where(reviews.c.review_id == undone).values(undone_by=review_id))
    touched = _last_touches(connection, ids)
    for account_id, its_lines in lines.items():
        _switch_overrides(connection, its_lines, at)
        _write_lines(
            connection, rows[account_id], its_lines, review_id=review_id, touched=touched.get(account_id)
        )
    return Reviewed(review_id, what, read_states(connection, ids, now=at))


def _refuse_newer(connection: sa.Connection, review_id: int, rows: Rows) -> None:
    newer = entries_where(
        connection, audit.c.account_id.in_(list(rows)), audit.c.review_id > review_id, _IN_FORCE
    )
    if newer:
        versions = {account_id: row["version"] for account_id, row in rows.items()}
        raise _conflict(newer, versions, sorted({entry.account_id for entry in newer}))


def _last_touches(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the last review in force of each account that has one."""
    query = (
        sa.select(audit.c.account_id, sa.func.max(audit.c.review_id))
        .join(reviews, reviews.c.review_id == audit.c.review_id)
        .where(audit.c.account_id.in_(ids), _IN_FORCE)
        .group_by(audit.c.account_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _switch_overrides(connection: sa.Connection, lines: Sequence[_Line], at: datetime) -> None:
    """End the overrides that the review set, and reopen those that it ended."""
    ids = [line.override_id for line in lines if line.override_id is not None]
    if ids:
        switched = sa.case((overrides.c.ended_at.is_(None), at), else_=sa.null())
        connection.execute(
            sa.update(overrides).where(overrides.c.override_id.in_(ids)).values(ended_at=switched)
        )


def _insert_review(
    connection: sa.Connection, *, at: datetime, author: str, via: str, what: str, undoes: int | None = None
) -> int:
    values = {"at": at, "author": author, "via": via, "what": what, "undoes": undoes}
    return insert_row(connection, reviews, values)


def _write_lines(
    connection: sa.Connection,
    row: Mapping[str, Any],
    lines: Sequence[_Line],
    *,
    review_id: int,
    touched: int | None,
) -> None:
    """Write the changed fields of one account to the desk and to the audit; ``row`` is the desk's before."""
    account_id, version = row["account_id"], row["version"] + 1
    changed = {line.field: line.after for line in lines if line.field in FIELDS}
    values = {"version": version, "touched": touched, **changed}
    if row["version"]:
        connection.execute(sa.update(desk).where(desk.c.account_id == account_id).values(**values))
    else:
        connection.execute(sa.insert(desk).values(account_id=account_id, **values))
    entries = [
        {
            "review_id": review_id, "account_id": account_id, "field": line.field, "before": _shown(line.before),
            "after": _shown(line.after), "override_id": line.override_id, "version": version,
        }
        for line in lines
    ]  # fmt: skip
    connection.execute(sa.insert(audit), entries)


def _shown(value: Any) -> str | None:
    """Return a value as the audit keeps it; :func:`stored` is the inverse."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    return None if value is None else str(value)


def stored(field: str, value: str | None) -> Any:
    """Return what the desk holds for a value of the audit."""
    return datetime.fromisoformat(value) if field == "snoozed_until" and value else value
