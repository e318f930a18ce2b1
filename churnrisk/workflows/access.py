"""Who may see what: people and tokens are added, changed and listed; people sign in and out.

``now`` is an instant with an offset. The store is handed in, since the server keeps one open.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.history import HistoryStore
from churnrisk.history.access import (
    Limit,
    NewToken,
    NewUser,
    Token,
    add_token,
    add_user,
    admit,
    change_user,
    end_session,
    find_user,
    forgive,
    password_of,
    read_session,
    read_token,
    set_password,
    start_session,
)
from churnrisk.records import Role, User
from churnrisk.workflows.passwords import check_password, hash_password
from churnrisk.workflows.web_config import WebConfig

#: What stands before every token, so that leaked ones can be searched for.
TOKEN_MARK = "churnrisk_"  # noqa: S105 - no secret
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+")
_NOBODY = "(nobody)"
_LONGEST_TEXT = 200
_LIMITS = (
    Limit(5, timedelta(minutes=15), by_name=True, by_address=True),
    Limit(30, timedelta(minutes=15), by_name=False, by_address=True),
    Limit(20, timedelta(minutes=1), by_name=True, by_address=False, spares_known=True),
)


class SignInError(ChurnRiskError):
    """Somebody may not sign in, now or at all.

    Attributes
    ----------
    wait : timedelta or None
        How long until another attempt is looked at.
    """

    def __init__(self, message: str, *, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A person to be given access; see :class:`churnrisk.records.User`.

    Raises
    ------
    UsageError
        If a name or address is not usable, or somebody is limited to the accounts of nobody.
    """

    name: str
    role: Role
    display_name: str | None = None
    owner: str | None = None
    own_only: bool = False
    email: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(normal_name(self.name)):
            raise UsageError(
                f"a sign-in name expects up to 64 letters, digits and . _ - + @, found {self.name!r}. "
                "Choose such a one; --display-name takes any text."
            )
        if self.email is not None and not _EMAIL.fullmatch(self.email):
            raise UsageError(
                f"expected an e-mail address, found {self.email!r}. Give one like ana@example.com."
            )
        for text in (self.display_name, self.owner):
            if text is not None and (not text.strip() or len(text) > _LONGEST_TEXT):
                raise UsageError(f"a name expects 1 to {_LONGEST_TEXT} characters, found {text!r}.")
        _check_scope(self.owner, self.own_only)


def normal_name(name: str) -> str:
    """Return a sign-in name as it is stored and compared."""
    return name.strip().casefold()[:256]


def add_person(store: HistoryStore, person: NewPerson, password: str | None, *, now: datetime) -> User:
    """Give a person access; without a password they can only come by single sign-on.

    Raises
    ------
    UsageError
        If the name or address is taken, or the password is too easy.
    """
    name = normal_name(person.name)
    new = NewUser(
        name=name,
        display_name=(person.display_name or person.name).strip(),
        role=person.role,
        owner=person.owner,
        own_only=person.own_only,
        email=None if person.email is None else person.email.casefold(),
        password_hash=None if password is None else hash_password(password, name=name),
    )
    return add_user(store, new, at=now)


def known_user(store: HistoryStore, name: str) -> User:
    """Return the person of a sign-in name.

    Raises
    ------
    UsageError
        If there is none.
    """
    found = find_user(store, normal_name(name))
    if found is None:
        raise UsageError(f"expected a known person, found none called {name!r}. See `churnrisk user list`.")
    return found


def change_password(store: HistoryStore, name: str, password: str) -> User:
    """Set a person's password and sign them out everywhere.

    Raises
    ------
    UsageError
        If there is no such person, or the password is too easy.
    """
    user = known_user(store, name)
    set_password(store, user.user_id, hash_password(password, name=user.name), end_sessions=True)
    return user


def change_role(
    store: HistoryStore, name: str, role: Role, *, owner: str | None, own_only: bool | None, now: datetime
) -> User:
    """Change what a person may do, from the next click on; None leaves owner or limit as they are.

    Raises
    ------
    UsageError
        If there is no such person, or they would be limited to the accounts of nobody.
    """
    user = known_user(store, name)
    owner = user.owner if owner is None else owner or None
    own_only = user.own_only if own_only is None else own_only
    _check_scope(owner, own_only)
    return change_user(store, user.user_id, at=now, role=role, owner=owner, own_only=own_only)


def set_disabled(store: HistoryStore, name: str, disabled: bool, *, now: datetime) -> User:
    """Take a person's access, at once and everywhere, or give it back."""
    return change_user(store, known_user(store, name).user_id, at=now, disabled=disabled)


def sign_in(store: HistoryStore, name: str, password: str, *, address: str, now: datetime) -> User:
    """Return the person whose name and password these are.

    Raises
    ------
    SignInError
        If they do not fit (whether the name is known is not told), or there were too many attempts.
    """
    name = normal_name(name)
    if not _NAME.fullmatch(name):
        name = _NOBODY  # counted and checked like any other, so that it takes as long
    attempt, wait = admit(store, name, address, at=now, limits=_LIMITS)
    if wait:
        raise SignInError(f"Too many attempts. Try again in {_in_words(wait)}.", wait=wait)
    user, stored = password_of(store, name) or (None, None)
    is_right, rehashed = check_password(stored, password)
    if user is None or user.disabled or not is_right:
        raise SignInError("Name and password do not fit.")
    forgive(store, attempt)
    if rehashed:
        set_password(store, user.user_id, rehashed, end_sessions=False)
    return user


def open_session(store: HistoryStore, user: User, *, now: datetime, config: WebConfig) -> str:
    """Begin a session and return its id, of which only the digest is stored."""
    session_id = secrets.token_urlsafe(32)
    start_session(store, digest(session_id), user.user_id, at=now, expires_at=now + config.longest)
    return session_id


def session_user(store: HistoryStore, session_id: str, *, now: datetime, config: WebConfig) -> User | None:
    """Return whose session it is; None when it is over."""
    return read_session(store, digest(session_id), at=now, idle=config.idle)


def close_session(store: HistoryStore, session_id: str) -> None:
    """End a session."""
    end_session(store, digest(session_id))


def make_token(
    store: HistoryStore,
    name: str,
    *,
    role: Role,
    owner: str | None,
    expires_at: datetime | None,
    created_by: str,
    now: datetime,
) -> tuple[int, str]:
    """Make a token for a program and return its id and its text, which cannot be shown again.

    Raises
    ------
    UsageError
        If the name is empty or taken, it would be limited to nobody's accounts, or it would be over at once.
    """
    check_token(name, owner=owner, expires_at=expires_at, now=now)
    text = TOKEN_MARK + secrets.token_urlsafe(32)
    new = NewToken(name.strip(), shown_part(text), digest(text), role, owner, created_by, expires_at)
    return add_token(store, new, at=now), text


def check_token(name: str, *, owner: str | None, expires_at: datetime | None, now: datetime) -> None:
    """Raise UsageError when a token cannot be made like this."""
    if owner is not None and not owner.strip():
        raise UsageError(
            f"--owner expects whose accounts the token may see, found {owner!r}. Leave it out for all accounts."
        )
    if not 1 <= len(name.strip()) <= 64:
        raise UsageError(f"a token expects a name of 1 to 64 characters, found {name!r}. Name its program.")
    if expires_at is not None and expires_at <= now:
        raise UsageError(
            f"a token expects an end after today, found {expires_at:%Y-%m-%d}. Choose a later day."
        )


def token_of(store: HistoryStore, text: str, *, now: datetime) -> Token | None:
    """Return the token in force whose text this is."""
    return read_token(store, digest(text), at=now) if text.startswith(TOKEN_MARK) else None


def shown_part(text: str) -> str:
    """Return as much of a token as may be shown, so that people can tell which one it is."""
    return text[len(TOKEN_MARK) :][:6]


def digest(secret: str) -> str:
    """Return what is stored of a long random secret; it needs no slow hash, since it cannot be guessed."""
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).hexdigest()


def _check_scope(owner: str | None, own_only: bool) -> None:
    if own_only and not owner:
        raise UsageError(
            "--own-only expects an owner whose accounts these are, found none. Add --owner NAME."
        )


def _in_words(wait: timedelta) -> str:
    seconds = max(1, round(wait.total_seconds()))
    if seconds < 90:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"
