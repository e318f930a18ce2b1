"""Middleware before every page: host names, security headers, authentication, form tokens."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from churnrisk.auth import session_user
from churnrisk.errors import ChurnRiskError
from churnrisk.web.process import now, one_line
from churnrisk.web.security.session import RequestSession, SecurityContext, SignInNeeded
from churnrisk.web.security.sign_in import UnsentForm, sign_in_page
from churnrisk.web.security.signing import comes_from_here, page_before

#: Paths without sessions: files that are no secret, and the API, which knows tokens only.
_WITHOUT_SESSION = ("/static/", "/api/")
#: Pages that work before sign-in.
_OPEN = frozenset({"/sign-in", "/sign-in/sso", "/sign-in/sso/callback"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LARGEST_FORM = 1_000_000
_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": browsers would then send no origin with forms, and it is checked.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_HSTS = "max-age=31536000"
_UNKNOWN_HOST = (
    "Unknown host name. An administrator adds it to allowed_hosts under [web] in churnrisk.toml.\n"
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)
_LOG = logging.getLogger("churnrisk.web")


class HeadersMiddleware:
    """Answers only under known host names, adds security headers, and turns uncaught errors into pages.

    A foreign host name that points here would let another site's page read ours.
    """

    def __init__(self, app: ASGIApp, security: SecurityContext) -> None:
        self._app = app
        self._security = security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        request = Request(scope, receive)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                self._add_headers(headers, scope)
                headers["server-timing"] = f"total;dur={1000 * (time.perf_counter() - begun):.1f}"
            await send(message)

        if not self._is_known_host(request):
            await PlainTextResponse(_UNKNOWN_HOST, 400)(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            if started:
                raise
            # The server is shutting down and has waited long enough: an answer instead of a traceback.
            await PlainTextResponse("The server is stopping.\n", 503)(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                raise
            _LOG.exception("%s %s failed", scope["method"], one_line(scope["path"]))
            await (await _error_page(request, error))(scope, receive, send_with_headers)

    def _is_known_host(self, request: Request) -> bool:
        given = request.headers.getlist("host")
        host = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        return host is not None and host[1].lower() in self._security.hosts

    def _add_headers(self, headers: MutableHeaders, scope: Scope) -> None:
        headers.update(_HEADERS)
        if scope["scheme"] == "https" or self._security.config.is_https:
            headers["strict-transport-security"] = _HSTS
        if not scope["path"].startswith("/static/"):
            headers["cache-control"] = "no-store"


class AuthMiddleware:
    """Admits a request if somebody is signed in and, where it changes something, its form is ours.

    Every path it does not know as open is closed, so a page that is added later is closed from the start.
    """

    def __init__(self, app: ASGIApp, security: SecurityContext) -> None:
        self._app = app
        self._security = security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or scope["path"].startswith(_WITHOUT_SESSION):
            await self._app(scope, receive, send)
            return
        session = RequestSession.of_request(Request(scope), self._security)
        scope.setdefault("state", {})["request_session"] = session

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                session.write_cookies(MutableHeaders(scope=message))
            await send(message)

        body = _ReplayableBody(receive)
        refusal = await self._refusal(Request(scope, body), session, body)
        await (refusal or self._app)(scope, body, send_with_cookies)

    async def _refusal(
        self, request: Request, session: RequestSession, body: _ReplayableBody
    ) -> Response | None:
        try:
            await run_in_threadpool(self._look_up_user, session)
            if request.method not in _SAFE_METHODS:
                return await self._check_form(request, session, body)
        except (HTTPException, ChurnRiskError) as error:
            return await _error_page(request, error)
        if session.user is not None or request.url.path in _OPEN:
            return None
        if request.headers.get("sec-fetch-dest") == "empty":
            # From a script: a redirect would put the sign-in page into the middle of another one.
            return await _error_page(request, SignInNeeded())
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/sign-in" if path == "/" else f"/sign-in?next={quote(path, safe='/')}", 303)

    def _look_up_user(self, session: RequestSession) -> None:
        if session.session_id is None:
            return
        idle = self._security.config.idle
        session.user = session_user(self._security.store, session.session_id, now=now(), idle=idle)
        if session.user is None:
            session.forget()

    async def _check_form(
        self, request: Request, session: RequestSession, body: _ReplayableBody
    ) -> Response | None:
        from_here = comes_from_here(request, self._security.config)
        if from_here is False:
            raise HTTPException(403, "This form was sent by another site. Nothing was changed.")
        await body.read()
        try:
            fields = await request.form()
        except HTTPException as error:
            raise HTTPException(403, "This form cannot be read. Nothing was changed.") from error
        finally:
            body.sent = False
        if session.user is None and request.url.path not in _OPEN:
            unsent = UnsentForm.of_fields(request.url.path, fields) if from_here else None
            target = page_before(request)
            return await run_in_threadpool(sign_in_page, request, status=401, unsent=unsent, target=target)
        if not session.accepts(request.headers.get("x-csrf-token") or fields.get("csrf_token")):
            raise HTTPException(
                403,
                "This form is out of date, or not one of ours. Nothing was changed. Go back, reload the page "
                "and send the form again.",
            )
        return None


class _ReplayableBody:
    """A request body that can be read here and again further in."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._content: bytes | None = None
        #: Whether a reader has had it; set it back for the next one.
        self.sent = False

    async def read(self) -> None:
        """Read the whole body; 413 if it is larger than any form of ours, 400 if it breaks off half-way."""
        content = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise HTTPException(400, "The form did not arrive whole. Nothing was changed.")
            content += message.get("body", b"")
            if len(content) > _LARGEST_FORM:
                raise HTTPException(413, f"A form holds at most {_LARGEST_FORM:,} bytes. Shorten the text.")
            more = message.get("more_body", False)
        self._content = bytes(content)

    async def __call__(self) -> Message:
        """Give the body once, and then whatever the client sends."""
        if self._content is None or self.sent:
            return await self._receive()
        self.sent = True
        return {"type": "http.request", "body": self._content, "more_body": False}


async def _error_page(request: Request, error: Exception) -> Response:
    """Return the app's own page for an error, so that every refusal looks alike."""
    response: Response = await request.app.exception_handlers[Exception](request, error)
    return response
