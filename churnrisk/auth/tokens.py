"""API tokens: role and scope by the digest of a secret that is shown once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from churnrisk.auth.passwords import digest
from churnrisk.auth.users import Store
from churnrisk.errors import UsageError
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import tokens
from churnrisk.records import Role

#: Every token begins with it, so that leaked ones can be searched for.
TOKEN_MARK = "churnrisk_"  # noqa: S105 - no secret
_PREFIX_LENGTH = 6
_NOTE_INTERVAL = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Token:
    """A stored token: ``prefix`` tells people which one it is, ``owner`` limits it to that owner's accounts."""

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
        """Return whether it is active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        is_over = self.expires_at is not None and self.expires_at <= naive_utc(now)
        return "expired" if is_over else "active"


def check_token(name: str, *, owner: str | None, expires_at: datetime | None, now: datetime) -> None:
    """Raise UsageError if a token cannot be made like this."""
    if owner is not None and not owner.strip():
        raise UsageError(
            f"--owner expects the owner whose accounts the token may see, found {owner!r}. "
            "Leave it out for all accounts."
        )
    if not 1 <= len(name.strip()) <= 64:
        raise UsageError(f"a token expects a name of 1 to 64 characters, found {name!r}. Name its program.")
    if expires_at is not None and expires_at <= now:
        raise UsageError(
            f"--expires expects a day after today, found {expires_at:%Y-%m-%d}. Choose a later day."
        )


def add_token(
    store: Store,
    name: str,
    *,
    role: Role,
    owner: str | None = None,
    expires_at: datetime | None = None,
    created_by: str,
    now: datetime,
) -> tuple[int, str]:
    """Make a token and return its id and its text, which cannot be shown again."""
    check_token(name, owner=owner, expires_at=expires_at, now=now)
    secret = secrets.token_urlsafe(32)
    values = {
        "name": name.strip(),
        "prefix": secret[:_PREFIX_LENGTH],
        "digest": digest(TOKEN_MARK + secret),
        "role": role.value,
        "owner": owner,
        "created_by": created_by,
        "created_at": naive_utc(now),
        "expires_at": None if expires_at is None else naive_utc(expires_at),
    }
    with store.database.writing() as connection:
        try:
            key = connection.execute(insert(tokens).values(**values)).inserted_primary_key
        except IntegrityError as error:
            raise UsageError(
                f"expected a new token name, but {values['name']!r} is taken. See `churnrisk token list`."
            ) from error
    assert key is not None  # noqa: S101 - every insert of one row has one
    return int(key[0]), TOKEN_MARK + secret


def all_tokens(store: Store) -> tuple[Token, ...]:
    """Return all tokens ever made, oldest first."""
    with store.database.reading() as connection:
        return tuple(_to_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.token_id)))


def find_token(store: Store, text: str, *, now: datetime) -> Token | None:
    """Return the active token of a text; None if it is unknown, revoked or expired."""
    if not text.startswith(TOKEN_MARK):
        return None
    with store.database.reading() as connection:
        row = connection.execute(select(tokens).where(tokens.c.digest == digest(text))).first()
    if row is None:
        return None
    found, now = _to_token(row), naive_utc(now)
    if found.state(now) != "active":
        return None
    if found.used_at is None or now - found.used_at > _NOTE_INTERVAL:
        store.database.note(update(tokens).where(tokens.c.token_id == found.token_id).values(used_at=now))
    return found


def revoke_token(store: Store, token_id: int, *, now: datetime) -> None:
    """End a token for good; raise UsageError if it is unknown or revoked already."""
    in_force = (tokens.c.token_id == token_id) & tokens.c.revoked_at.is_(None)
    with store.database.writing() as connection:
        ended = connection.execute(update(tokens).where(in_force).values(revoked_at=naive_utc(now)))
    if not ended.rowcount:
        raise UsageError(
            f"expected a token in force, found none with id {token_id}. See `churnrisk token list`."
        )


def _to_token(row: Row[Any]) -> Token:
    values = {name: getattr(row, name) for name in Token.__slots__}
    return Token(**values | {"role": Role(row.role)})
