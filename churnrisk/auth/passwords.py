"""Passwords: the rules for new ones, argon2 hashing, a constant-time check; digests of other secrets."""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_MIN_LENGTH, _MAX_LENGTH = 12, 200
_MIN_DISTINCT = 5
# Each check takes 64 MiB by design: a flood of sign-ins must not exhaust the server's memory.
_CONCURRENT_CHECKS = threading.BoundedSemaphore(2)


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
