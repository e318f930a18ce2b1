"""Tokens of programs: who asks, with which role, and how often."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from churnrisk.history.access import Token
from churnrisk.records import Role
from churnrisk.web.security.access import Access
from churnrisk.web.security.origin import address_of
from churnrisk.workflows.access import token_of

_SCHEME = HTTPBearer(auto_error=False, description="A token made by `churnrisk token add`.")
_GUESSES_PER_MINUTE = 240
_MOST_KEYS = 10_000


class Pace:
    """So many requests a minute for each key, in bursts of at most a quarter of that.

    Parameters
    ----------
    per_minute : int
        Counted in this process: several workers let through several times as much.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_second = per_minute / 60
        self._burst = max(1.0, per_minute / 4)
        self._left: OrderedDict[Any, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: Any, *, at: float) -> float:
        """Count a request; return 0, or the seconds to wait where it is one too many."""
        with self._lock:
            left, since = self._left.pop(key, (self._burst, at))
            left = min(self._burst, left + (at - since) * self._per_second)
            allowed = left >= 1
            self._left[key] = (left - 1 if allowed else left, at)
            while len(self._left) > _MOST_KEYS:
                self._left.popitem(last=False)
            return 0.0 if allowed else (1 - left) / self._per_second


class Doorkeeper:
    """Knows the tokens, and how often each of them, and each stranger, may knock."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._requests = Pace(access.config.api_requests_per_minute)
        self._guesses = Pace(_GUESSES_PER_MINUTE)

    def admit(self, request: Request, text: str | None) -> Token:
        """Return the token whose text this is.

        Raises
        ------
        HTTPException
            401 when there is none, 429 when there were too many requests or guesses.
        """
        token = token_of(self._access.store, text, now=self._access.now()) if text else None
        if token is None:
            if text:
                self._count(self._guesses, address_of(request))
            raise HTTPException(
                401,
                "Send a token that is in force: Authorization: Bearer churnrisk_…",
                {"WWW-Authenticate": "Bearer"},
            )
        self._count(self._requests, token.token_id)
        return token

    @staticmethod
    def _count(pace: Pace, key: Any) -> None:
        wait = pace.take(key, at=time.monotonic())
        if wait:
            seconds = max(1, round(wait))
            raise HTTPException(
                429, f"Too many requests. Try again in {seconds} s.", {"Retry-After": str(seconds)}
            )


class RequireToken:
    """A dependency that lets tokens of a role pass and returns which one it is."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(
        self, request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)]
    ) -> Token:
        """Return the token of the request; cookies mean nothing here.

        Raises
        ------
        HTTPException
            401, 403 or 429.
        """
        doorkeeper: Doorkeeper = request.app.state.doorkeeper
        token = doorkeeper.admit(request, given.credentials if given else None)
        if not token.role.covers(self.role):
            raise HTTPException(403, f"This takes the role {self.role}; this token's is {token.role}.")
        return token


def token(role: Role) -> Any:
    """Return what a route depends on: ``asker: Annotated[Token, token(Role.VIEWER)]``."""
    return Depends(RequireToken(role))
