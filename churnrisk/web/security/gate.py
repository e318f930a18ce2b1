"""The layer before every page: nobody passes without a session, no form without its token."""

from __future__ import annotations

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from churnrisk.errors import ChurnRiskError
from churnrisk.web.security.access import Access
from churnrisk.web.security.answers import FormRefused, SignInNeeded, answer_to
from churnrisk.web.security.keeping import Kept
from churnrisk.web.security.origin import comes_from_here, page_before
from churnrisk.web.security.sign_in import sign_in_page
from churnrisk.web.security.visit import Visit, read_visit
from churnrisk.workflows.access import session_user

#: Below these, sessions mean nothing: files that are no secret, and the API, which knows tokens only.
UNWATCHED = ("/static/", "/api/")
#: What must work before anybody has signed in.
OPEN = frozenset({"/sign-in", "/sign-in/sso", "/sign-in/sso/callback"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_FORM = 1_000_000


class Gate:
    """Lets a request pass when somebody is signed in and, where it changes something, the form is ours.

    It refuses whatever it does not know, so a page that is added later is closed from the start.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or scope["path"].startswith(UNWATCHED):
            await self._app(scope, receive, send)
            return
        visit = read_visit(Request(scope), self._access)
        scope.setdefault("state", {})["visit"] = visit

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.write(MutableHeaders(scope=message))
            await send(message)

        body = Body(receive)
        request = Request(scope, body)
        refusal = await self._refusal(request, visit, body)
        if refusal is None:
            await self._app(scope, body, send_with_cookies)
        else:
            await refusal(scope, body, send_with_cookies)

    async def _refusal(self, request: Request, visit: Visit, body: Body) -> Response | None:
        try:
            await run_in_threadpool(self._recognise, visit)
            if request.method not in SAFE_METHODS:
                return await self._check_form(request, visit, body)
        except (HTTPException, ChurnRiskError) as error:
            return await answer_to(request, error)
        if visit.user is None and request.url.path not in OPEN:
            return await self._to_sign_in(request)
        return None

    def _recognise(self, visit: Visit) -> None:
        if visit.session_id is None:
            return
        visit.user = session_user(
            self._access.store, visit.session_id, now=self._access.now(), config=self._access.config
        )
        if visit.user is None:
            visit.leave()

    async def _to_sign_in(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-dest") == "empty":
            # A script asked: a redirect would put the sign-in page into the middle of another one.
            return await answer_to(request, SignInNeeded())
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = "/sign-in" if path == "/" else f"/sign-in?next={quote(path, safe='/')}"
        return RedirectResponse(target, 303)

    async def _check_form(self, request: Request, visit: Visit, body: Body) -> Response | None:
        from_here = comes_from_here(request, self._access.config)
        if from_here is False:
            raise FormRefused("This form was sent by another site. Nothing was changed.")
        await body.fill()
        fields = await _fields(request, body)
        if visit.user is None and request.url.path not in OPEN:
            kept = Kept.of(request.url.path, fields) if from_here else None
            target = page_before(request)
            return await run_in_threadpool(sign_in_page, request, status=401, kept=kept, target=target)
        token = request.headers.get("x-csrf-token") or fields.get("csrf_token")
        if not isinstance(token, str) or not visit.accepts(token):
            raise FormRefused(
                "This form is out of date, or not one of ours. Nothing was changed. Go back, load the page again "
                "and send the form once more."
            )
        return None


class Body:
    """A request's body that can be read here and again further in."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._content: bytes | None = None
        self._sent = False

    async def fill(self) -> None:
        """Read the whole body.

        Raises
        ------
        HTTPException
            413 when it is larger than any form of ours, 400 when it breaks off: half a text is not what was typed.
        """
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise HTTPException(400, "The form did not arrive whole. Nothing was changed.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > LARGEST_FORM:
                raise HTTPException(413, f"A form holds at most {LARGEST_FORM:,} bytes. Shorten the text.")
            more = message.get("more_body", False)
        self._content = b"".join(parts)

    def rewind(self) -> None:
        """Begin again for the next reader."""
        self._sent = False

    async def __call__(self) -> Message:
        """Give the body once, and after that what the client says."""
        if self._content is None or self._sent:
            return await self._receive()
        self._sent = True
        return {"type": "http.request", "body": self._content, "more_body": False}


async def _fields(request: Request, body: Body) -> FormData:
    """Return the fields of a form; a body that is none has no fields."""
    try:
        return await request.form()
    except HTTPException as error:
        raise FormRefused("This form cannot be read. Nothing was changed.") from error
    finally:
        body.rewind()
