"""People with access: name, role, password hash, and as whom a single sign-on provider knows them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from churnrisk.errors import UsageError
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import sessions, users
from churnrisk.history.store import HistoryStore
from churnrisk.records import Role, User

#: What a :class:`User` is made of.
USER_COLUMNS = (
    users.c.user_id,
    users.c.name,
    users.c.display_name,
    users.c.role,
    users.c.owner,
    users.c.own_only,
    users.c.email,
    users.c.disabled_at,
)


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to be added; ``password_hash`` is None for one who only comes by single sign-on."""

    name: str
    display_name: str
    role: Role
    owner: str | None = None
    own_only: bool = False
    email: str | None = None
    password_hash: str | None = None
    issuer: str | None = None
    subject: str | None = None


def add_user(store: HistoryStore, new: NewUser, *, at: datetime) -> User:
    """Add a person.

    Raises
    ------
    UsageError
        If there is one of this name or e-mail address.
    """
    values = asdict(new) | {"role": new.role.value, "created_at": naive_utc(at)}
    with store.database.writing() as connection:
        try:
            key = connection.execute(insert(users).values(**values)).inserted_primary_key
        except IntegrityError as error:
            raise UsageError(
                f"expected a new name and e-mail address, found that {new.name!r} or {new.email or 'its address'} "
                "is taken. See `churnrisk user list`."
            ) from error
        assert key is not None  # noqa: S101 - every insert of one row has one
        made = _one(connection, users.c.user_id == key[0])
    assert made is not None  # noqa: S101 - inserted above
    return made


def find_user(store: HistoryStore, name: str) -> User | None:
    """Return the person of a sign-in name."""
    with store.database.reading() as connection:
        return _one(connection, users.c.name == name)


def all_users(store: HistoryStore) -> tuple[User, ...]:
    """Return everybody, by name."""
    with store.database.reading() as connection:
        found = connection.execute(select(*USER_COLUMNS).order_by(users.c.name))
        return tuple(to_user(row) for row in found)


def password_of(store: HistoryStore, name: str) -> tuple[User, str | None] | None:
    """Return the person of a sign-in name with the hash of the password."""
    with store.database.reading() as connection:
        row = connection.execute(
            select(*USER_COLUMNS, users.c.password_hash).where(users.c.name == name)
        ).first()
    return None if row is None else (to_user(row), row.password_hash)


def set_password(store: HistoryStore, user_id: int, password_hash: str, *, end_sessions: bool) -> None:
    """Store a new hash; ``end_sessions`` signs the person out everywhere in the same step."""
    with store.database.writing() as connection:
        changed = update(users).where(users.c.user_id == user_id).values(password_hash=password_hash)
        connection.execute(changed)
        if end_sessions:
            connection.execute(delete(sessions).where(sessions.c.user_id == user_id))


def change_user(store: HistoryStore, user_id: int, *, at: datetime, **changes: Any) -> User:
    """Change role, owner, own_only, email, display_name or disabled; one who is disabled is signed out."""
    if "disabled" in changes:
        changes["disabled_at"] = naive_utc(at) if changes.pop("disabled") else None
    if "role" in changes:
        changes["role"] = Role(changes["role"]).value
    with store.database.writing() as connection:
        connection.execute(update(users).where(users.c.user_id == user_id).values(**changes))
        if changes.get("disabled_at"):
            connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
        changed = _one(connection, users.c.user_id == user_id)
    if changed is None:
        raise UsageError(f"expected a known person, found none of id {user_id}. See `churnrisk user list`.")
    return changed


def user_of_identity(
    store: HistoryStore, issuer: str, subject: str, *, email: str | None
) -> tuple[User, bool] | None:
    """Return whom a provider means, and whether this was the first time.

    The first time a person is found by e-mail address, and from then on by issuer and subject alone, since
    addresses are given to other people and subjects are not.
    """
    known = (users.c.issuer == issuer) & (users.c.subject == subject)
    with store.database.writing() as connection:
        found = _one(connection, known)
        if found is not None or email is None:
            return None if found is None else (found, False)
        unlinked = or_(users.c.email == email, users.c.name == email) & users.c.subject.is_(None)
        found = _one(connection, unlinked)
        if found is None:
            return None
        link = update(users).where(users.c.user_id == found.user_id)
        connection.execute(link.values(issuer=issuer, subject=subject))
    return found, True


def to_user(row: Any) -> User:
    """Return the person of a row with :data:`USER_COLUMNS`."""
    return User(
        user_id=row.user_id,
        name=row.name,
        display_name=row.display_name,
        role=Role(row.role),
        owner=row.owner,
        own_only=row.own_only,
        email=row.email,
        disabled=row.disabled_at is not None,
    )


def _one(connection: Connection, condition: Any) -> User | None:
    row = connection.execute(select(*USER_COLUMNS).where(condition)).first()
    return None if row is None else to_user(row)
