"""Users: add, change and find them, their roles and scopes, and their passwords."""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from churnrisk.auth.settings import OidcConfig
from churnrisk.errors import UsageError
from churnrisk.records import Role, User
from churnrisk.store import HistoryStore, naive_utc, owners_of, sessions, users

if TYPE_CHECKING:
    from argon2 import PasswordHasher

#: The open store that the functions of this room take, for callers that do not know what is behind it.
Store: TypeAlias = HistoryStore

#: The columns of a :class:`User`.
USER_COLUMNS = (
    *(users.c[name] for name in User.__slots__ if name != "disabled"),
    users.c.disabled_at.is_not(None).label("disabled"),
)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+")
_MAX_TEXT = 200
_MIN_LENGTH, _MAX_LENGTH = 12, 200
_MIN_DISTINCT = 5
# Each check takes 64 MiB by design: a flood of sign-ins must not exhaust the server's memory.
_CONCURRENT_CHECKS = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to add, checked and normalised; issuer and subject link a single sign-on identity."""

    name: str
    role: Role
    display_name: str | None = None
    owner: str | None = None
    own_only: bool = False
    email: str | None = None
    issuer: str | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        name = normal_name(self.name)
        if not is_valid_name(name):
            raise UsageError(
                f"a sign-in name expects up to 64 letters, digits and . _ - + @, found {self.name!r}. "
                "Choose another; --display-name takes any text."
            )
        if self.email is not None and not _EMAIL.fullmatch(self.email):
            raise UsageError(
                f"expected an e-mail address, found {self.email!r}. Give one like ana@example.com."
            )
        for text in (self.display_name, self.owner):
            if text is not None and (not text.strip() or len(text) > _MAX_TEXT):
                raise UsageError(f"a name expects 1 to {_MAX_TEXT} characters, found {text!r}.")
        _check_scope(self.owner, self.own_only)
        # the display name first: it is made of the name as typed
        object.__setattr__(self, "display_name", (self.display_name or self.name).strip())
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "email", self.email and self.email.casefold())


def normal_name(name: str) -> str:
    """Return a sign-in name as it is stored and compared."""
    return name.strip().casefold()[:256]


def is_valid_name(name: str) -> bool:
    """Whether a user can have this normalised sign-in name."""
    return _NAME.fullmatch(name) is not None


def add_user(store: Store, new: NewUser, *, password: str | None = None, now: datetime) -> User:
    """Add a user; without a password they can sign in through single sign-on only."""
    values = asdict(new) | {
        "role": new.role.value,
        "password_hash": None if password is None else hash_password(password, name=new.name),
        "created_at": naive_utc(now),
    }
    with store.database.writing() as connection:
        try:
            connection.execute(insert(users).values(**values))
        except IntegrityError as error:
            raise UsageError(
                f"expected a new name and e-mail address, but {new.name!r} or {new.email or 'its address'} "
                "is taken. See `churnrisk user list`."
            ) from error
        return to_user(connection.execute(select(*USER_COLUMNS).where(users.c.name == new.name)).one())


def find_user(store: Store, name: str) -> User | None:
    """Return the user of a sign-in name, None if there is none."""
    with store.database.reading() as connection:
        return _find(connection, users.c.name == normal_name(name))


def get_user(store: Store, name: str) -> User:
    """Return the user of a sign-in name; raise UsageError if there is none."""
    with store.database.reading() as connection:
        return _get(connection, name)


def all_users(store: Store) -> tuple[User, ...]:
    """Return all users, by name."""
    with store.database.reading() as connection:
        rows = connection.execute(select(*USER_COLUMNS).order_by(users.c.name))
        return tuple(to_user(row) for row in rows)


def can_anybody_sign_in(store: Store, oidc: OidcConfig | None) -> bool:
    """Whether an enabled user exists, or single sign-on creates users."""
    return bool(oidc and oidc.create) or any(not user.disabled for user in all_users(store))


def assignees(store: Store) -> tuple[str, ...]:
    """Return the names that accounts can be assigned to: enabled users and owners in the latest run, sorted."""
    names = {user.owner or user.display_name for user in all_users(store) if not user.disabled}
    latest = store.latest_run()
    if latest is not None:
        with store.database.reading() as connection:
            names.update(owners_of(connection, latest.run_id))
    return tuple(sorted(names, key=str.casefold))


def change_user(
    store: Store,
    name: str,
    *,
    role: Role | None = None,
    owner: str | None = None,
    own_only: bool | None = None,
    disabled: bool | None = None,
    now: datetime,
) -> User:
    """Change a user from the next request on; None keeps a value, "" removes the owner, disabling ends all sessions."""
    changes: dict[str, Any] = {}
    if role is not None:
        changes["role"] = role.value
    if owner is not None:
        changes["owner"] = owner or None
    if own_only is not None:
        changes["own_only"] = own_only
    if disabled is not None:
        changes["disabled_at"] = naive_utc(now) if disabled else None
    with store.database.writing() as connection:
        user = _get(connection, name)
        if owner is not None or own_only is not None:
            _check_scope(changes.get("owner", user.owner), changes.get("own_only", user.own_only))
        connection.execute(update(users).where(users.c.user_id == user.user_id).values(**changes))
        if disabled:
            connection.execute(delete(sessions).where(sessions.c.user_id == user.user_id))
        return _get(connection, name)


def user_of_identity(store: Store, issuer: str, subject: str, *, email: str | None) -> User | None:
    """Return the user a provider vouches for, linking them by e-mail address the first time.

    From then on only issuer and subject count: addresses are reassigned to other people, subjects are not.
    """
    with store.database.writing() as connection:
        linked = _find(connection, (users.c.issuer == issuer) & (users.c.subject == subject))
        if linked is not None or email is None:
            return linked
        unlinked = or_(users.c.email == email, users.c.name == email) & users.c.subject.is_(None)
        found = _find(connection, unlinked)
        if found is not None:
            one_user = update(users).where(users.c.user_id == found.user_id)
            connection.execute(one_user.values(issuer=issuer, subject=subject))
    return found


def to_user(row: Any) -> User:
    """Return the user of a row with :data:`USER_COLUMNS`."""
    values = {name: getattr(row, name) for name in User.__slots__}
    return User(**values | {"role": Role(row.role)})


def _find(connection: Connection, condition: ColumnElement[bool]) -> User | None:
    row = connection.execute(select(*USER_COLUMNS).where(condition)).first()
    return None if row is None else to_user(row)


def _get(connection: Connection, name: str) -> User:
    found = _find(connection, users.c.name == normal_name(name))
    if found is None:
        raise UsageError(f"expected a known user, found none called {name!r}. See `churnrisk user list`.")
    return found


def _check_scope(owner: str | None, own_only: bool) -> None:
    if own_only and not owner:
        raise UsageError("--own-only expects an owner to limit the user to, found none. Add --owner NAME.")


def change_password(store: Store, name: str, password: str) -> User:
    """Set a user's password and end all their sessions."""
    user = get_user(store, name)
    store_hash(store, user.user_id, hash_password(password, name=user.name), end_sessions=True)
    return user


def password_of(store: Store, name: str) -> tuple[User, str | None] | None:
    """Return the user of a normalised sign-in name, and the password hash if they have one."""
    query = select(*USER_COLUMNS, users.c.password_hash).where(users.c.name == name)
    with store.database.reading() as connection:
        row = connection.execute(query).first()
    return None if row is None else (to_user(row), row.password_hash)


def store_hash(store: Store, user_id: int, password_hash: str, *, end_sessions: bool) -> None:
    """Store a password hash; ``end_sessions`` signs the user out everywhere in the same transaction."""
    with store.database.writing() as connection:
        one_user = update(users).where(users.c.user_id == user_id)
        connection.execute(one_user.values(password_hash=password_hash))
        if end_sessions:
            connection.execute(delete(sessions).where(sessions.c.user_id == user_id))


def hash_password(password: str, *, name: str) -> str:
    """Return the argon2id hash of a new password; raise UsageError if it is too weak for this sign-in name."""
    text = _normalised(password)
    weakness = _weakness(text, name)
    if weakness:
        raise UsageError(f"a password expects {weakness}. Several unrelated words are easy to remember.")
    with _CONCURRENT_CHECKS:
        return _hasher().hash(text)


def check_password(stored: str | None, password: str) -> tuple[bool, str | None]:
    """Return whether a password matches its hash, and a new hash if today's parameters are stronger.

    None as the hash (no such user, or no password) never matches, and takes just as long.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    text = _normalised(password[: _MAX_LENGTH * 4])
    with _CONCURRENT_CHECKS:
        hasher = _hasher()
        try:
            hasher.verify(stored or _dummy_hash(), text)
        except (VerificationError, InvalidHashError):
            return False, None
        if stored is None:
            return False, None
        return True, hasher.hash(text) if hasher.check_needs_rehash(stored) else None


def digest(secret: str) -> str:
    """Return what is stored of a long random secret; it cannot be guessed, so it needs no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).hexdigest()


def _weakness(password: str, name: str) -> str:
    distinct = len(set(password.casefold()))
    if len(password) < _MIN_LENGTH:
        return f"at least {_MIN_LENGTH} characters, found {len(password)}"
    if len(password) > _MAX_LENGTH:
        return f"at most {_MAX_LENGTH} characters, found {len(password)}"
    if distinct < _MIN_DISTINCT:
        return f"at least {_MIN_DISTINCT} different characters, found {distinct}"
    if len(name) > 3 and name.casefold() in password.casefold():
        return "anything but the sign-in name, found it inside the password"
    return ""


def _normalised(password: str) -> str:
    """Return one form of what keyboards write in several."""
    # A lone surrogate cannot be encoded; nobody can type one.
    return unicodedata.normalize("NFKC", password).encode("utf-8", errors="replace").decode("utf-8")


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _dummy_hash() -> str:
    return _hasher().hash("nobody has this password")
