"""Bearer tokens of the API: authentication, roles and rate limits."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from churnrisk.auth.tokens import Token, find_token
from churnrisk.records import Role
from churnrisk.web.process import now
from churnrisk.web.security import SecurityContext
from churnrisk.web.security.origin import address_of

_SCHEME = HTTPBearer(auto_error=False, description="A token made by `churnrisk token add`.")
_GUESSES_PER_MINUTE = 240
_MOST_KEYS = 10_000


class RateLimiter:
    """A token bucket per key: ``per_minute`` requests in this process, a quarter of them in one burst."""

    def __init__(self, per_minute: int) -> None:
        self._per_second = per_minute / 60
        self._burst = max(1.0, per_minute / 4)
        self._buckets: OrderedDict[Any, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: Any, *, at: float) -> float:
        """Count a request; return 0, or the seconds to wait if it is one too many."""
        with self._lock:
            left, since = self._buckets.pop(key, (self._burst, at))
            left = min(self._burst, left + (at - since) * self._per_second)
            allowed = left >= 1
            self._buckets[key] = (left - 1 if allowed else left, at)
            while len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - left) / self._per_second


class TokenAuthenticator:
    """Finds the token of a request and limits how often it, and each guessing stranger, may ask."""

    def __init__(self, security: SecurityContext) -> None:
        self._store = security.store
        self._requests = RateLimiter(security.config.api_requests_per_minute)
        self._guesses = RateLimiter(_GUESSES_PER_MINUTE)

    def authenticate(self, request: Request, text: str | None) -> Token:
        """Return the token of a text; 401 if there is none, 429 after too many requests or guesses."""
        token = find_token(self._store, text, now=now()) if text else None
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
    def _count(limiter: RateLimiter, key: Any) -> None:
        wait = limiter.take(key, at=time.monotonic())
        if wait:
            seconds = max(1, round(wait))
            raise HTTPException(
                429, f"Too many requests. Try again in {seconds} s.", {"Retry-After": str(seconds)}
            )


class RequireToken:
    """A dependency that admits tokens with a role and returns which one it is; cookies mean nothing here."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(
        self, request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)]
    ) -> Token:
        """Return the token of the request; 401, 403 or 429 otherwise."""
        authenticator: TokenAuthenticator = request.app.state.token_authenticator
        token = authenticator.authenticate(request, given.credentials if given else None)
        if not token.role.covers(self.role):
            raise HTTPException(403, f"This needs the role {self.role}; this token has {token.role}.")
        return token


def token(role: Role) -> Any:
    """Return a route's dependency: ``asker: Annotated[Token, token(Role.VIEWER)]``."""
    return Depends(RequireToken(role))
