"""Passwords: what is asked of one, its argon2 hash, and the check that takes as long for nobody as for somebody."""

from __future__ import annotations

import threading
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 12
LONGEST = 200
_FEWEST_DIFFERENT = 5
# Each check takes 64 MiB by design: a flood of sign-ins must not take the memory of the server.
_AT_ONCE = threading.BoundedSemaphore(2)


def hash_password(password: str, *, name: str) -> str:
    """Return the argon2id hash of a new password.

    Raises
    ------
    UsageError
        If it is too short, too long, too uniform, or holds the sign-in name.
    """
    text = _normal(password)
    fault = _fault(text, name)
    if fault:
        raise UsageError(
            f"a password expects {fault}. Several words in a row that nobody would guess are easy to remember."
        )
    with _AT_ONCE:
        return _hasher().hash(text)


def check_password(stored: str | None, password: str) -> tuple[bool, str | None]:
    """Compare a password with its hash.

    Parameters
    ----------
    stored : str or None
        None for a person who is unknown or has no password: it takes the same time and is never right.

    Returns
    -------
    tuple of bool and (str or None)
        Whether it is right, and a new hash to be stored where today's parameters are stronger than then.
    """
    from argon2.exceptions import InvalidHashError, VerificationError

    text = _normal(password[: LONGEST * 4])
    with _AT_ONCE:
        hasher = _hasher()
        try:
            hasher.verify(stored or _hash_of_nobody(), text)
        except (VerificationError, InvalidHashError):
            return False, None
        if stored is None:
            return False, None
        return True, hasher.hash(text) if hasher.check_needs_rehash(stored) else None


def _fault(password: str, name: str) -> str:
    if len(password) < SHORTEST:
        return f"at least {SHORTEST} characters, found {len(password)}"
    if len(password) > LONGEST:
        return f"at most {LONGEST} characters, found {len(password)}"
    if len(set(password.casefold())) < _FEWEST_DIFFERENT:
        return f"at least {_FEWEST_DIFFERENT} different characters, found {len(set(password.casefold()))}"
    if len(name) > 3 and name.casefold() in password.casefold():
        return "something else than the sign-in name, found that in it"
    return ""


def _normal(password: str) -> str:
    """Return one form of what keyboards write in several."""
    # A lone surrogate cannot be encoded; it is no character that anybody types.
    return unicodedata.normalize("NFKC", password).encode("utf-8", errors="replace").decode("utf-8")


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _hash_of_nobody() -> str:
    return _hasher().hash("nobody has this password")
