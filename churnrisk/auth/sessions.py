"""Who is there: sign-in with lock-outs, sessions of people, tokens of programs, and single sign-on."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churnrisk.auth.settings import OidcConfig
from churnrisk.auth.users import (
    USER_COLUMNS,
    NewUser,
    Store,
    add_user,
    change_user,
    check_password,
    digest,
    is_valid_name,
    normal_name,
    password_of,
    store_hash,
    to_user,
    user_of_identity,
)
from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.records import Role, User
from churnrisk.store import naive_utc, sessions, tokens, users
from churnrisk.store import sign_in_attempts as attempts

#: Every token begins with it, so that leaked ones can be searched for.
TOKEN_MARK = "churnrisk_"  # noqa: S105 - no secret
_PREFIX_LENGTH = 6
_ATTEMPTS_LOCK = 748_291_007
_ATTEMPTS_STORED = timedelta(days=30)
_NOBODY = "(nobody)"
# Every request reads its session or token; noting each one would turn every read into a write.
_NOTE_INTERVAL = timedelta(minutes=5)
# Built once, since every page runs it.
_ACTIVE_SESSION = (
    sa.select(*USER_COLUMNS, sessions.c.seen_at)
    .join(users, users.c.user_id == sessions.c.user_id)
    .where(sessions.c.digest == sa.bindparam("one_digest", type_=sa.String))
    .where(sessions.c.expires_at > sa.bindparam("now", type_=sa.DateTime))
    .where(sessions.c.seen_at > sa.bindparam("seen_after", type_=sa.DateTime), users.c.disabled_at.is_(None))
)


class SignInError(ChurnRiskError):
    """A sign-in was refused; ``wait`` says how long until another attempt is allowed."""

    def __init__(self, message: str, *, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``failures`` in any ``window`` that agree in the columns ``same``.

    ``spares_known`` exempts an address from which the user has signed in during the last 30 days, so that an attack
    from elsewhere cannot lock them out.
    """

    failures: int
    window: timedelta
    same: tuple[str, ...]
    spares_known: bool = False


_LIMITS = (
    Limit(5, timedelta(minutes=15), same=("name", "address")),
    Limit(30, timedelta(minutes=15), same=("address",)),
    Limit(20, timedelta(minutes=1), same=("name",), spares_known=True),
)


def sign_in(store: Store, name: str, password: str, *, address: str, now: datetime) -> User:
    """Return the user of a name and password; raise SignInError, which never reveals whether the name exists."""
    name = normal_name(name)
    if not is_valid_name(name):
        name = _NOBODY  # counted and checked like any other, so that it takes as long
    attempt_id, wait = admit_attempt(store, name, address, now=now)
    if wait:
        raise SignInError(f"Too many attempts. Try again in {_in_words(wait)}.", wait=wait)
    user, stored = password_of(store, name) or (None, None)
    matches, rehashed = check_password(stored, password)
    if user is None or user.disabled or not matches:
        raise SignInError("Name and password do not match.")
    mark_success(store, attempt_id, name, address)
    if rehashed:
        store_hash(store, user.user_id, rehashed, end_sessions=False)
    return user


def admit_attempt(
    store: Store, name: str, address: str, *, now: datetime, limits: Sequence[Limit] = _LIMITS
) -> tuple[int, timedelta]:
    """Record an attempt before its password is checked; return its id and zero, or 0 and how long to wait.

    It counts as a failure until :func:`mark_success`, so that parallel attempts cannot outrun the limits. A refused
    attempt does not count, so waiting always helps.
    """
    now = naive_utc(now)
    with store.database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": _ATTEMPTS_LOCK})
        connection.execute(sa.delete(attempts).where(attempts.c.at < now - _ATTEMPTS_STORED))
        wait = max(_wait(connection, name, address, now, limit) for limit in limits)
        if wait > timedelta():
            return 0, wait
        values = {"name": name, "address": address, "at": now, "failed": True}
        return _insert(connection, attempts, values), timedelta()


def mark_success(store: Store, attempt_id: int, name: str, address: str) -> None:
    """Mark an attempt as successful, and delete the other ones of the same name and address."""
    same = (attempts.c.name == name) & (attempts.c.address == address)
    this = attempts.c.attempt_id == attempt_id
    with store.database.writing() as connection:
        connection.execute(sa.delete(attempts).where(same, ~this))
        connection.execute(sa.update(attempts).where(this).values(failed=False))


def _wait(connection: sa.Connection, name: str, address: str, now: datetime, limit: Limit) -> timedelta:
    """Return how long until the limit admits one more attempt."""
    given = {"name": name, "address": address}
    recent = attempts.c.failed & (attempts.c.at > now - limit.window)
    counted = [recent, *(attempts.c[column] == given[column] for column in limit.same)]
    newest = sa.select(attempts.c.at).where(*counted).order_by(attempts.c.at.desc()).limit(limit.failures)
    failures = connection.execute(newest).scalars().all()
    if len(failures) < limit.failures or (limit.spares_known and _is_known(connection, name, address)):
        return timedelta()
    oldest: datetime = failures[-1]
    return oldest + limit.window - now


def _is_known(connection: sa.Connection, name: str, address: str) -> bool:
    same = (attempts.c.name == name) & (attempts.c.address == address)
    succeeded = sa.select(attempts.c.attempt_id).where(same, ~attempts.c.failed)
    return connection.execute(succeeded.limit(1)).first() is not None


def _in_words(wait: timedelta) -> str:
    seconds = max(1, round(wait.total_seconds()))
    if seconds < 90:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


def start_session(store: Store, user: User, *, now: datetime, lifetime: timedelta) -> str:
    """Start a session and return its id; expired sessions are deleted on the way."""
    session_id = secrets.token_urlsafe(32)
    now = naive_utc(now)
    values = {"digest": digest(session_id), "user_id": user.user_id, "created_at": now, "seen_at": now}
    with store.database.writing() as connection:
        connection.execute(sa.delete(sessions).where(sessions.c.expires_at <= now))
        connection.execute(sa.insert(sessions).values(**values, expires_at=now + lifetime))
    return session_id


def session_user(store: Store, session_id: str, *, now: datetime, idle: timedelta) -> User | None:
    """Return the user of a session; None if it has expired, idled too long, or the user is disabled."""
    now, key = naive_utc(now), digest(session_id)
    with store.database.reading() as connection:
        row = connection.execute(
            _ACTIVE_SESSION, {"one_digest": key, "now": now, "seen_after": now - idle}
        ).first()
    if row is None:
        return None
    if now - row.seen_at > min(_NOTE_INTERVAL, idle / 4):
        store.database.note(sa.update(sessions).where(sessions.c.digest == key).values(seen_at=now))
    return to_user(row)


def end_session(store: Store, session_id: str) -> None:
    """End a session, if it has not ended yet."""
    with store.database.writing() as connection:
        connection.execute(sa.delete(sessions).where(sessions.c.digest == digest(session_id)))


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
            token_id = _insert(connection, tokens, values)
        except IntegrityError as error:
            raise UsageError(
                f"expected a new token name, but {values['name']!r} is taken. See `churnrisk token list`."
            ) from error
    return token_id, TOKEN_MARK + secret


def all_tokens(store: Store) -> tuple[Token, ...]:
    """Return all tokens ever made, oldest first."""
    with store.database.reading() as connection:
        rows = connection.execute(sa.select(tokens).order_by(tokens.c.token_id))
        return tuple(_to_token(row) for row in rows)


def find_token(store: Store, text: str, *, now: datetime) -> Token | None:
    """Return the active token of a text; None if it is unknown, revoked or expired."""
    if not text.startswith(TOKEN_MARK):
        return None
    with store.database.reading() as connection:
        row = connection.execute(sa.select(tokens).where(tokens.c.digest == digest(text))).first()
    if row is None:
        return None
    found, now = _to_token(row), naive_utc(now)
    if found.state(now) != "active":
        return None
    if found.used_at is None or now - found.used_at > _NOTE_INTERVAL:
        store.database.note(sa.update(tokens).where(tokens.c.token_id == found.token_id).values(used_at=now))
    return found


def revoke_token(store: Store, token_id: int, *, now: datetime) -> None:
    """End a token for good; raise UsageError if it is unknown or revoked already."""
    in_force = (tokens.c.token_id == token_id) & tokens.c.revoked_at.is_(None)
    with store.database.writing() as connection:
        ended = connection.execute(sa.update(tokens).where(in_force).values(revoked_at=naive_utc(now)))
    if not ended.rowcount:
        raise UsageError(
            f"expected a token in force, found none with id {token_id}. See `churnrisk token list`."
        )


def _insert(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> int:
    """Insert one row and return its id."""
    key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
    assert key is not None  # noqa: S101 - every insert of one row has one
    return int(key[0])


def _to_token(row: sa.Row[Any]) -> Token:
    values = {name: getattr(row, name) for name in Token.__slots__}
    return Token(**values | {"role": Role(row.role)})


_UNKNOWN = "You have no access here yet. An administrator gives it with `churnrisk user add --email`."


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider says of a person; issuer and subject never change and are never reassigned."""

    issuer: str
    subject: str
    email: str | None
    name: str | None
    roles: tuple[str, ...] = ()

    @classmethod
    def of_claims(cls, claims: Mapping[str, Any], config: OidcConfig) -> Self:
        """Return the identity of a validated ID token; an unverified e-mail address counts as none."""
        email = str(claims.get("email") or "").strip().casefold()
        verified = claims.get("email_verified")
        is_trusted = verified is True or (config.trust_email and verified is not False)
        claim = claims.get(config.role_claim) if config.role_claim else None
        values = [claim] if isinstance(claim, str) else claim if isinstance(claim, Iterable) else []
        return cls(
            issuer=str(claims["iss"]),
            subject=str(claims["sub"]),
            email=email if email and is_trusted else None,
            name=str(claims.get("name") or "").strip()[:200] or None,
            roles=tuple(str(value) for value in values),
        )


def signed_on_user(store: Store, identity: Identity, config: OidcConfig, *, now: datetime) -> User:
    """Return the user of an identity, created or updated as the settings say; raise SignInError if refused."""
    domain = (identity.email or "").rpartition("@")[2]
    admitted = {name.casefold().lstrip("@") for name in config.email_domains}
    if admitted and domain not in admitted:
        raise SignInError("Addresses of your domain have no access here. Ask an administrator.")
    role = _role(identity, config)
    user = user_of_identity(store, identity.issuer, identity.subject, email=identity.email)
    if user is None:
        return _create(store, identity, role or Role(config.default_role), config, now=now)
    if user.disabled:
        raise SignInError("Your access has been taken away. Ask an administrator.")
    if role is not None and role is not user.role:
        return change_user(store, user.name, role=role, now=now)
    return user


def _role(identity: Identity, config: OidcConfig) -> Role | None:
    """Return the highest role the provider grants; None where it has no say."""
    if config.role_claim is None:
        return None
    granted = [Role(config.roles[value]) for value in identity.roles if value in config.roles]
    if not granted:
        raise SignInError("Your account has no role here. Ask an administrator.")
    return max(granted, key=list(Role).index)


def _create(store: Store, identity: Identity, role: Role, config: OidcConfig, *, now: datetime) -> User:
    email = identity.email
    if not config.create or email is None:
        raise SignInError(_UNKNOWN)
    try:
        new = NewUser(
            email, role, identity.name, email=email, issuer=identity.issuer, subject=identity.subject
        )
        return add_user(store, new, now=now)
    except UsageError as error:
        # The address belongs to a user that the provider knows under another subject.
        raise SignInError(_UNKNOWN) from error
