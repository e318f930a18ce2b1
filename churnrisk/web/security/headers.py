"""The outermost layer: which hosts are answered, the headers of every response, and the last resort."""

from __future__ import annotations

import asyncio
import logging
import re
import time

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from churnrisk.web.process import one_line
from churnrisk.web.security.access import Access
from churnrisk.web.security.answers import answer_to

_LOG = logging.getLogger("churnrisk.web")
_ALWAYS = {
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
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)
_HSTS = "max-age=31536000"


class Headers:
    """Answers only under known host names, adds security headers, and turns what nobody caught into a page.

    Host names are checked, since a foreign name that points here would let another page read ours.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

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
                self._add(headers, scope)
                headers["server-timing"] = f"total;dur={1000 * (time.perf_counter() - begun):.1f}"
            await send(message)

        if not self._is_known(request):
            refusal = PlainTextResponse(
                "Unknown host name. An administrator adds it to allowed_hosts under [web] in churnrisk.toml.\n",
                400,
            )
            await refusal(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            if started:
                raise
            # The server stops and has waited long enough: the browser is told, and nobody a traceback.
            await PlainTextResponse("The server is stopping.\n", 503)(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                raise
            _LOG.exception("%s %s failed", scope["method"], one_line(scope["path"]))
            response = await answer_to(request, error)
            await response(scope, receive, send_with_headers)

    def _is_known(self, request: Request) -> bool:
        given = request.headers.getlist("host")
        host = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        return host is not None and host[1].lower() in self._access.hosts

    def _add(self, headers: MutableHeaders, scope: Scope) -> None:
        for name, value in _ALWAYS.items():
            headers[name] = value
        if scope["scheme"] == "https" or self._access.config.is_https:
            headers["strict-transport-security"] = _HSTS
        if not scope["path"].startswith("/static/"):
            headers["cache-control"] = "no-store"
