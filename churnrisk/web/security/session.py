"""The request session: who is signed in, form tokens, cookies, and messages for the next page."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Annotated, Any

from fastapi import Depends
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from churnrisk.auth import Store, WebConfig, end_session, start_session
from churnrisk.records import Role, User
from churnrisk.web.process import now
from churnrisk.web.security.signing import Signer

#: Cookies: the signed session id; the key of forms before sign-in; messages for the next page; single sign-on state.
SESSION, FORM = "churnrisk_session", "churnrisk_form"
FLASH, SSO = "churnrisk_flash", "churnrisk_sso"
_COOKIE: dict[str, Any] = {"path": "/", "httponly": True, "samesite": "Lax"}
_FLASH_SECONDS = 300
_FORM_SECONDS = 12 * 3600
_MOST_FLASHES = 5


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """The collaborators of the security layer, at ``app.state.security``."""

    store: Store
    config: WebConfig
    signer: Signer
    hosts: frozenset[str]
    #: Renders a template as a page; handed in, since the pages stand above this package.
    page: Callable[..., Response]


class SignInNeeded(HTTPException):
    """Nobody is signed in, or not any more."""

    def __init__(self) -> None:
        super().__init__(401, "Your session has ended. Sign in again.")


@dataclass(slots=True)
class RequestSession:
    """The session of one request; cookies are collected here and leave with the response."""

    security: SecurityContext
    https: bool
    user: User | None = None
    session_id: str | None = None
    form_key: str | None = None
    flashes: list[dict[str, Any]] = field(default_factory=list)
    new_flashes: list[dict[str, Any]] = field(default_factory=list)
    flashes_shown: bool = False
    cookies: list[tuple[str, str, int]] = field(default_factory=list)

    @classmethod
    def of_request(cls, connection: HTTPConnection, security: SecurityContext) -> RequestSession:
        """Return the session its cookies tell of; whose it is, is not looked up yet."""
        session = cls(security, connection.scope["scheme"] == "https" or security.config.is_https)
        lifetime = int(security.config.lifetime.total_seconds())
        session.session_id = session.open_cookie(connection, SESSION, seconds=lifetime)
        session.form_key = session.open_cookie(connection, FORM, seconds=_FORM_SECONDS)
        session.flashes = session.open_cookie(connection, FLASH, seconds=_FLASH_SECONDS) or []
        return session

    def open_cookie(self, connection: HTTPConnection, name: str, *, seconds: int) -> Any:
        """Return the value of a signed cookie; None if it is missing, forged or too old."""
        sealed = connection.cookies.get(self._full_name(name))
        return self.security.signer.open(name, sealed, seconds=seconds)

    def set_cookie(self, name: str, value: Any, *, seconds: int) -> None:
        """Set a signed cookie with the response."""
        self.cookies.append((name, self.security.signer.seal(name, value), seconds))

    def drop_cookie(self, name: str) -> None:
        """Remove a cookie with the response."""
        self.cookies.append((name, "", 0))

    def start(self, user: User) -> None:
        """Start a new session for a user and end the one the browser had."""
        self._end_stored()
        self.user = user
        lifetime = self.security.config.lifetime
        self.session_id = start_session(self.security.store, user, now=now(), lifetime=lifetime)
        self.set_cookie(SESSION, self.session_id, seconds=int(lifetime.total_seconds()))
        self.drop_cookie(FORM)

    def end(self) -> None:
        """Sign out: end the stored session and forget it."""
        self._end_stored()
        self.forget()

    def forget(self) -> None:
        """Go on without a session."""
        self.user = self.session_id = None
        self.drop_cookie(SESSION)

    def form_token(self) -> str:
        """Return a token for a form of this session, or of this browser before sign-in."""
        if self.session_id is None and self.form_key is None:
            self.form_key = secrets.token_urlsafe(24)
            self.set_cookie(FORM, self.form_key, seconds=_FORM_SECONDS)
        return self.security.signer.form_token(self.session_id or self.form_key or "")

    def accepts(self, token: object) -> bool:
        """Whether a form's token belongs to this session."""
        key = self.session_id or self.form_key
        return isinstance(token, str) and key is not None and self.security.signer.is_form_token(key, token)

    def take_flashes(self) -> tuple[dict[str, Any], ...]:
        """Return the messages for this page, once: ``text``, ``kind`` and ``undo`` each."""
        self.flashes_shown = True
        return tuple(self.flashes)

    def write_cookies(self, headers: MutableHeaders) -> None:
        """Put the cookies on a response; no script can read them and no other site can send them along."""
        if self.new_flashes:
            unseen = [] if self.flashes_shown else self.flashes
            self.set_cookie(FLASH, [*unseen, *self.new_flashes][-_MOST_FLASHES:], seconds=_FLASH_SECONDS)
        elif self.flashes_shown and self.flashes:
            self.drop_cookie(FLASH)
        for name, value, seconds in self.cookies:
            full_name = self._full_name(name)
            cookie: SimpleCookie = SimpleCookie({full_name: value})
            cookie[full_name].update({**_COOKIE, "secure": self.https, "max-age": seconds})
            headers.append("set-cookie", cookie[full_name].OutputString())

    def _end_stored(self) -> None:
        if self.session_id is not None:
            end_session(self.security.store, self.session_id)

    def _full_name(self, name: str) -> str:
        # With this prefix a browser takes the cookie from this very host only, not from a neighbouring domain.
        return f"__Host-{name}" if self.https else name


def session_of(request: HTTPConnection) -> RequestSession:
    """Return the session of a page's request, which the middleware has put there."""
    session: RequestSession = request.scope["state"]["request_session"]
    return session


def session_or_none(request: HTTPConnection) -> RequestSession | None:
    """Return the session; None for static files and the API, which have none."""
    session: RequestSession | None = request.scope.get("state", {}).get("request_session")
    return session


def flash(request: Request, text: str, *, kind: str = "good", undo: int | None = None) -> None:
    """Show a message on the next page: ``kind`` is good, bad or plain; ``undo`` is a change that can be undone."""
    session_of(request).new_flashes.append({"text": text[:500], "kind": kind, "undo": undo})


class Require:
    """A dependency that admits users with a role and returns who it is."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request) -> User:
        """Return who is signed in; 401 without a session, 403 with a lesser role."""
        session = session_or_none(request)
        if session is None or session.user is None:
            raise SignInNeeded
        user = session.user
        if not user.role.covers(self.role):
            raise HTTPException(
                403, f"This needs the role {self.role}; yours is {user.role}. Ask an administrator."
            )
        return user


def require(role: Role) -> Any:
    """Return a route's dependency: ``user: Annotated[User, require(Role.REVIEWER)]``."""
    return Depends(Require(role))


Viewer = Annotated[User, require(Role.VIEWER)]
Reviewer = Annotated[User, require(Role.REVIEWER)]
Admin = Annotated[User, require(Role.ADMIN)]
