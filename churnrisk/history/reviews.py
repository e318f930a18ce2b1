"""Reviews: what people found out about accounts, one or several at once, all of them or none.

A change names the version of each account that it was made on, so nobody overwrites what they have not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select, update

from churnrisk.errors import UsageError
from churnrisk.history.audit import Line, entries_where, insert_review, take_turns, write_lines
from churnrisk.history.desk import desk_rows, read_desk, require_accounts, untouched
from churnrisk.history.overrides import NewOverride, insert_override
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import audit, overrides
from churnrisk.history.store import HistoryStore
from churnrisk.records import AuditEntry, DeskState


class ConflictError(UsageError):
    """Somebody else has changed an account in the meantime; nothing was written.

    Attributes
    ----------
    entries : tuple of AuditEntry
        What they changed, the newest first.
    versions : mapping of str to int
        The versions that the accounts have now: made on these, the change would be on top of theirs.
    """

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
class NewReview:
    """One change to be made.

    Attributes
    ----------
    versions : mapping of str to int or None
        Account ids to the version that the person saw; None takes whatever there is.
    fields : mapping of str to value
        New values of :data:`churnrisk.history.desk.FIELDS`; fields left out stay.
    override : OverrideChange, optional
        Of each of the accounts.
    what : str
        The change in a few words.
    """

    versions: Mapping[str, int | None]
    author: str
    via: str
    at: datetime
    what: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    override: OverrideChange | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review as it was written, and each account's state after it; without an id after a dry run."""

    review_id: int | None
    what: str
    desks: Mapping[str, DeskState]
    override_ids: tuple[int, ...] = ()


def add_review(
    store: HistoryStore, new: NewReview, *, scope: str | None = None, dry_run: bool = False
) -> Reviewed:
    """Change accounts, all of them or none.

    Raises
    ------
    NotFoundError
        If no published run holds one of them, or it is not the scope's.
    ConflictError
        If one has another version than the change was made on.
    """
    return written(store, lambda connection: _add(connection, new, scope), dry_run=dry_run)


def end_override(store: HistoryStore, override_id: int, *, author: str, via: str, at: datetime) -> Reviewed:
    """End one override before it expires.

    Raises
    ------
    UsageError
        If there is none of that id still open.
    """
    named, moment = overrides.c.override_id == override_id, naive_utc(at)

    def end(connection: Connection) -> Reviewed:
        is_open = named & overrides.c.ended_at.is_(None)
        if not connection.execute(update(overrides).where(is_open).values(ended_at=moment)).rowcount:
            raise UsageError(
                f"expected an open override, found none with id {override_id}. See the list of overrides."
            )
        ended = connection.execute(select(overrides).where(named)).mappings().one()
        account_id, what = ended["account_id"], "override ended"
        review_id = insert_review(connection, at=moment, author=author, via=via, what=what)
        row = desk_rows(connection, [account_id]).get(account_id) or untouched(account_id)
        line: Line = ("override", override_text(ended), None, override_id)
        write_lines(connection, row, [line], review_id=review_id, touched=review_id)
        return Reviewed(review_id, what, read_desk(connection, [account_id], now=moment), (override_id,))

    return written(store, end, dry_run=False)


def written(store: HistoryStore, make: Callable[[Connection], Reviewed], *, dry_run: bool) -> Reviewed:
    """Return what ``make`` writes in one transaction that takes its turn; a dry run takes it back."""
    made: list[Reviewed] = []
    try:
        with store.database.writing() as connection:
            take_turns(connection)
            made.append(make(connection))
            if dry_run:
                raise _DryRunError
    except _DryRunError:
        return replace(made[0], review_id=None)
    return made[0]


class _DryRunError(Exception):
    """Takes back what a dry run has written."""


def _add(connection: Connection, new: NewReview, scope: str | None) -> Reviewed:
    ids, at = list(new.versions), naive_utc(new.at)
    require_accounts(connection, ids, scope)
    rows = desk_rows(connection, ids)
    _refuse_stale(connection, new.versions, rows)
    review_id = insert_review(connection, at=at, author=new.author, via=new.via, what=new.what)
    made: list[int] = []
    for account_id in ids:
        row = rows.get(account_id) or untouched(account_id)
        lines: list[Line] = [(name, row[name], value, None) for name, value in new.fields.items()]
        if new.override is not None:
            lines += _override(connection, account_id, new.override, author=new.author, at=at)
        said = [line for line in lines if line[1] is not None or line[2] is not None]
        write_lines(connection, row, said or lines, review_id=review_id, touched=review_id)
        made += [override_id for *_, override_id in lines if override_id is not None]
    return Reviewed(review_id, new.what, read_desk(connection, ids, now=at), tuple(made))


def _refuse_stale(
    connection: Connection, versions: Mapping[str, int | None], rows: Mapping[str, Mapping[Any, Any]]
) -> None:
    now = {account_id: rows[account_id]["version"] if account_id in rows else 0 for account_id in versions}
    stale = {name: seen for name, seen in versions.items() if seen is not None and seen != now[name]}
    if not stale:
        return
    changed = or_(*((audit.c.account_id == name) & (audit.c.version > seen) for name, seen in stale.items()))
    raise conflict(entries_where(connection, changed), now, sorted(stale))


def conflict(
    entries: Sequence[AuditEntry], versions: Mapping[str, int], accounts: Sequence[str]
) -> ConflictError:
    """Return the error that says who changed what in the meantime."""
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
    connection: Connection, account_id: str, change: OverrideChange, *, author: str, at: datetime
) -> list[Line]:
    """Set or end the account's override and return the lines of the audit."""
    in_force = connection.execute(
        select(overrides)
        .where(overrides.c.account_id == account_id, overrides.c.ended_at.is_(None))
        .where(overrides.c.expires_at > at)
        .order_by(overrides.c.override_id.desc())
    ).mappings()
    before = [(row["override_id"], override_text(row)) for row in in_force]
    if change.colour is not None:
        assert change.expires_at is not None  # noqa: S101 - a colour comes with an end
        new = NewOverride(account_id, change.colour, author, change.reason, at, change.expires_at)
        made = insert_override(connection, new)
        after = f"{change.colour} until {change.expires_at:%Y-%m-%d}: {change.reason}"
        return [("override", before[0][1] if before else None, after, made)]
    if not before:
        raise UsageError(
            f"expected an override of {account_id} in force, found none. See the list of overrides."
        )
    ids = [override_id for override_id, _ in before]
    connection.execute(update(overrides).where(overrides.c.override_id.in_(ids)).values(ended_at=at))
    return [("override", said, None, override_id) for override_id, said in before]


def override_text(row: Mapping[Any, Any]) -> str:
    """Return an override as the trail shows it."""
    return f"{row['colour']} until {row['expires_at']:%Y-%m-%d}: {row['reason']}"
