"""Tokens of programs: role and scope by the digest of a secret that is shown once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from churnrisk.errors import UsageError
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import tokens
from churnrisk.history.store import HistoryStore
from churnrisk.records import Role

_NOTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be added; ``owner`` limits it to that owner's accounts."""

    name: str
    prefix: str
    digest: str
    role: Role
    owner: str | None
    created_by: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept; the prefix tells which one it is."""

    token_id: int
    name: str
    prefix: str
    role: Role
    owner: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """Return whether it is active, expired or revoked at an instant in UTC."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def add_token(store: HistoryStore, new: NewToken, *, at: datetime) -> int:
    """Keep a token and return its id.

    Raises
    ------
    UsageError
        If there is one of this name in force.
    """
    expires_at = None if new.expires_at is None else naive_utc(new.expires_at)
    values = asdict(new) | {
        "role": new.role.value,
        "expires_at": expires_at,
        "created_at": naive_utc(at),
    }
    with store.database.writing() as connection:
        try:
            key = connection.execute(insert(tokens).values(**values)).inserted_primary_key
        except IntegrityError as error:
            raise UsageError(
                f"expected a new token name, found that {new.name!r} is taken. See `churnrisk token list`."
            ) from error
    assert key is not None  # noqa: S101 - every insert of one row has one
    return int(key[0])


def all_tokens(store: HistoryStore) -> tuple[Token, ...]:
    """Return every token ever made, oldest first."""
    with store.database.reading() as connection:
        found = connection.execute(select(tokens).order_by(tokens.c.token_id))
        return tuple(_to_token(row) for row in found)


def read_token(store: HistoryStore, digest: str, *, at: datetime) -> Token | None:
    """Return the token of a digest; None when it is unknown, revoked or expired."""
    moment = naive_utc(at)
    with store.database.reading() as connection:
        row = connection.execute(select(tokens).where(tokens.c.digest == digest)).first()
    if row is None or row.revoked_at is not None:
        return None
    if row.expires_at is not None and row.expires_at <= moment:
        return None
    if row.used_at is None or moment - row.used_at > _NOTED_EVERY:
        store.database.note(update(tokens).where(tokens.c.token_id == row.token_id).values(used_at=moment))
    return _to_token(row)


def revoke_token(store: HistoryStore, token_id: int, *, at: datetime) -> None:
    """End a token for good.

    Raises
    ------
    UsageError
        If none of that id is in force.
    """
    in_force = (tokens.c.token_id == token_id) & tokens.c.revoked_at.is_(None)
    with store.database.writing() as connection:
        ended = connection.execute(update(tokens).where(in_force).values(revoked_at=naive_utc(at)))
    if not ended.rowcount:
        raise UsageError(
            f"expected a token in force, found none with id {token_id}. See `churnrisk token list`."
        )


def _to_token(row: Row[Any]) -> Token:
    return Token(
        **{name: getattr(row, name) for name in Token.__slots__ if name != "role"}, role=Role(row.role)
    )
