"""What every route of the API shares: tokens and their limits, and errors as problem details (RFC 9457)."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, JsonValue
from starlette.exceptions import HTTPException

from churnrisk.auth import Token, find_token
from churnrisk.errors import ChurnRiskError, NotFoundError, UnavailableError
from churnrisk.records import Role
from churnrisk.team import ConflictError, FieldChange
from churnrisk.web.api.shapes import changes_of
from churnrisk.web.process import now
from churnrisk.web.security.session import SecurityContext
from churnrisk.web.security.signing import address_of

MEDIA_TYPE = "application/problem+json"
_SCHEME = HTTPBearer(auto_error=False, description="A token made by `churnrisk token add`.")
_GUESSES_PER_MINUTE = 240
_MOST_KEYS = 10_000
_EXAMPLE: dict[str, JsonValue] = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "There is no such account.",
}
_DESCRIPTIONS = {
    400: "The request asks for something that cannot be done.",
    401: "The token is missing, unknown, expired or revoked.",
    403: "The token's role does not allow it.",
    404: "There is none, or not for this token.",
    409: "Somebody else changed the account in the meantime; nothing was written.",
    413: "The body is too large.",
    422: "The request is not understood.",
    429: "Too many requests; the header Retry-After says how many seconds to wait.",
    503: "The database does not answer right now.",
}


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


Reader = Annotated[Token, Depends(RequireToken(Role.VIEWER))]
Writer = Annotated[Token, Depends(RequireToken(Role.REVIEWER))]


class Problem(BaseModel):
    """What went wrong and what to do."""

    model_config = {"json_schema_extra": {"examples": [_EXAMPLE]}}

    type: str = Field(
        "about:blank", description="Always about:blank: the status says what kind of problem it is."
    )
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="For a person: what was expected, what was found, what to do.")


class InvalidField(BaseModel):
    """One field that is not as it should be."""

    field: str = Field(examples=["body.version"])
    detail: str = Field(examples=["field required"])


class InvalidProblem(Problem):
    """A request that is not understood, field by field."""

    errors: list[InvalidField] = []


class ConflictProblem(Problem):
    """Somebody else changed the account in the meantime."""

    version: int | None = Field(
        None, description="The account's version now: sent with it, the review is on top."
    )
    changes: list[FieldChange] = Field([], description="What they changed, the newest first.")


_MODELS: dict[int, type[Problem]] = {409: ConflictProblem, 422: InvalidProblem}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for the errors of a route and those of every route."""
    every = sorted({*statuses, 400, 401, 403, 422, 429, 503})
    return {
        status: {"model": _MODELS.get(status, Problem), "description": _DESCRIPTIONS[status]}
        for status in every
    }


def install_problems(api: FastAPI) -> None:
    """Answer every exception with a problem."""
    for kind in (HTTPException, RequestValidationError, ChurnRiskError, Exception):
        api.add_exception_handler(kind, _problem)


def _problem(request: Request, error: Exception) -> Response:
    match error:
        case HTTPException(status_code=405):
            allowed = _allowed(request)
            return _response(405, f"This address takes {allowed}.", headers={"Allow": allowed})
        case HTTPException():
            return _response(error.status_code, error.detail, headers=error.headers)
        case RequestValidationError():
            fields = [
                InvalidField(field=".".join(map(str, item["loc"])), detail=str(item["msg"]).lower())
                for item in error.errors()[:20]
            ]
            detail = "; ".join(f"{one.field}: {one.detail}" for one in fields[:3])
            return _response(422, detail, InvalidProblem, errors=fields)
        case ConflictError():
            version = next(iter(error.versions.values()), None)
            changes = changes_of(error.entries)
            return _response(409, str(error), ConflictProblem, version=version, changes=changes)
        case UnavailableError():
            return _response(
                503, "The database does not answer right now. Nothing was changed. Try again in a moment."
            )
        case ChurnRiskError():
            return _response(404 if isinstance(error, NotFoundError) else 400, str(error))
    return _response(500, "This is a fault of churnrisk, not of yours. The details are in the server's log.")


def _response(
    status: int, detail: str, shape: type[Problem] = Problem, *, headers: Any = None, **fields: Any
) -> Response:
    problem = shape(title=HTTPStatus(status).phrase, status=status, detail=detail, **fields)
    return JSONResponse(problem.model_dump(mode="json"), status, headers, media_type=MEDIA_TYPE)


def _allowed(request: Request) -> str:
    """Return every method of an address; the framework knows only those of one of its routes."""
    described: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    for template, operations in described.items():
        if re.fullmatch(re.sub(r"\{\w+\}", ".+", template), path):
            return ", ".join(sorted(method.upper() for method in operations))
    return "GET"
