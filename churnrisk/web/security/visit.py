"""One request as the security layer sees it: who, in which session, with which messages."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request

from churnrisk.records import User
from churnrisk.web.security.access import Access
from churnrisk.web.security.cookies import FLASH, FORM, SESSION, read_cookie, set_cookie

_FLASH_SECONDS = 300
_FORM_SECONDS = 12 * 3600


@dataclass(slots=True)
class Visit:
    """Who asks; cookies to be set are collected here and leave with the response."""

    access: Access
    https: bool
    user: User | None = None
    session_id: str | None = None
    form_key: str | None = None
    incoming: list[dict[str, Any]] = field(default_factory=list)
    outgoing: list[dict[str, Any]] = field(default_factory=list)
    taken: bool = False
    cookies: list[tuple[str, str, int | None]] = field(default_factory=list)

    def start(self, session_id: str) -> None:
        """Go on in a new session; whatever id the browser brought is forgotten."""
        self.session_id = session_id
        seconds = int(self.access.config.longest.total_seconds())
        self.cookies.append((SESSION, self.access.keys.seal(SESSION, session_id), seconds))
        self.cookies.append((FORM, "", 0))

    def leave(self) -> None:
        """Go on without a session."""
        self.user = self.session_id = None
        self.cookies.append((SESSION, "", 0))

    def token(self) -> str:
        """Return a token for a form of this visit."""
        if self.session_id is None and self.form_key is None:
            self.form_key = secrets.token_urlsafe(24)
            self.cookies.append((FORM, self.access.keys.seal(FORM, self.form_key), _FORM_SECONDS))
        return self.access.keys.form_token(self.session_id or self.form_key or "")

    def accepts(self, token: str) -> bool:
        """Whether a form's token belongs to this visit."""
        key = self.session_id or self.form_key
        return key is not None and self.access.keys.fits(key, token)

    def write(self, headers: MutableHeaders) -> None:
        """Put the cookies on a response."""
        if self.outgoing:
            left = [] if self.taken else self.incoming
            sealed = self.access.keys.seal(FLASH, [*left, *self.outgoing][-5:])
            self.cookies.append((FLASH, sealed, _FLASH_SECONDS))
        elif self.taken and self.incoming:
            self.cookies.append((FLASH, "", 0))
        for name, value, seconds in self.cookies:
            set_cookie(headers, name, value, https=self.https, seconds=seconds)


def read_visit(connection: HTTPConnection, access: Access) -> Visit:
    """Return the visit that the cookies tell of; whose session it is, is not looked up yet."""
    https = connection.scope["scheme"] == "https" or access.config.is_https

    def opened(name: str, seconds: float) -> Any:
        return access.keys.open(name, read_cookie(connection, name, https=https), seconds=int(seconds))

    visit = Visit(access, https)
    visit.session_id = opened(SESSION, access.config.longest.total_seconds())
    visit.form_key = opened(FORM, _FORM_SECONDS)
    visit.incoming = opened(FLASH, _FLASH_SECONDS) or []
    return visit


def visit_of(request: HTTPConnection) -> Visit | None:
    """Return the visit of a request; None where there is no layer before it (static files, the API)."""
    found: Visit | None = request.scope.get("state", {}).get("visit")
    return found


def current_user(request: HTTPConnection) -> User | None:
    """Return who is signed in."""
    visit = visit_of(request)
    return visit.user if visit else None


def csrf_token(request: HTTPConnection) -> str:
    """Return the token that every form of this page has to carry as ``csrf_token``."""
    visit = visit_of(request)
    return visit.token() if visit else ""


def flash(request: Request, text: str, *, kind: str = "good", undo: int | None = None) -> None:
    """Say something on the next page: ``kind`` is good, bad or plain; ``undo`` is a change that can be undone."""
    visit = visit_of(request)
    if visit is not None:
        visit.outgoing.append({"text": text[:500], "kind": kind, "undo": undo})


def take_flashes(request: Request) -> tuple[dict[str, Any], ...]:
    """Return what is to be said on this page, once: ``text``, ``kind`` and ``undo`` each."""
    visit = visit_of(request)
    if visit is None:
        return ()
    visit.taken = True
    return tuple(visit.incoming)
