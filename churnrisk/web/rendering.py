"""Templates become pages: the context that every page shares, cached parts, and a page for every error."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from threading import Lock
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

from cachetools import LRUCache
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment
from markupsafe import Markup
from starlette.exceptions import HTTPException

from churnrisk.errors import ChurnRiskError, NotFoundError, UnavailableError
from churnrisk.present import HATCH, environment_of
from churnrisk.present import wording as report_wording
from churnrisk.records import Role, User
from churnrisk.web import wording
from churnrisk.web.process import one_line
from churnrisk.web.security.session import session_or_none


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link with its text; ``is_current`` says that it leads to where one is."""

    href: str
    text: str
    is_current: bool = False


_LOG = logging.getLogger("churnrisk.web")
_HELP, _LIST = PageLink("/help", "Help"), PageLink("/", "To the red list")
_LINKS = (PageLink("/", "Red list"), PageLink("/monday", "Monday"), PageLink("/promises", "Colours"))
_SECRET_FIELDS = ("csrf_token", "kept", "token")
_TITLES = {
    400: "This cannot be read",
    401: "Please sign in",
    403: "You may not do this",
    404: "There is no such page",
    405: "This cannot be done here",
    413: "This is too long",
    422: "This cannot be read",
    429: "Too many attempts",
}
_BUG = "This is a fault of churnrisk, not of yours. Nothing half-done was saved; the details are in the server's log."
_WHAT_TO_DO = {
    401: "Your session has ended or you have not signed in yet.",
    403: "Your role does not allow it, or the form came from an earlier session. An admin can change your role.",
    404: "The address may be mistyped, or the account is not among those that you may see.",
    405: "Go back and use the form of the page.",
    413: "Make the text shorter and send it again.",
}


def page(
    request: Request,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Render a template that extends ``base.html``, with the context given and that of every page."""
    known = _shared_context(request) | dict(context or {})
    content = environment().get_template(template).render(known)
    return HTMLResponse(content.encode("utf-8", errors="replace"), status_code=status, headers=headers)


def _shared_context(request: Request) -> dict[str, Any]:
    session = session_or_none(request)
    me = session.user if session else None
    query = request.scope.get("query_string", b"").decode("latin-1")
    return {
        "me": me,
        "may_review": may_review(me),
        "links": _links(me),
        "here": request.url.path,
        "back": request.url.path + (f"?{query}" if query else ""),
        "company": request.app.state.project.name,
        "horizon_days": request.app.state.project.churn.horizon_days,
        "csrf_token": session.form_token() if session else "",
        "flashes": session.take_flashes() if session else (),
    }


def may_review(user: User | None) -> bool:
    """Whether a person may change anything."""
    return user is not None and user.role.covers(Role.REVIEWER)


def _links(me: User | None) -> tuple[PageLink, ...]:
    if me is None:
        return ()
    links = (*_LINKS, PageLink("/audit", "Audit"), _HELP) if me.role is Role.ADMIN else (*_LINKS, _HELP)
    # the promises of the colours count the whole team's accounts
    return links if me.scope is None else tuple(link for link in links if link.href != "/promises")


@cache
def environment() -> Environment:
    """Return the templates of the pages."""
    made = environment_of("churnrisk.web")
    # where both have a word, the pages' own counts
    made.globals["say"] = SimpleNamespace(**(vars(report_wording) | vars(wording)))
    made.globals.update(asset=asset, account_path=account_path, leading_back=leading_back)
    made.globals.update(badges=wording.BADGES, big_badges=wording.BIG_BADGES, HATCH=HATCH)
    return made


@cache
def asset(name: str) -> str:
    """Return the address of a static file; it changes with the content, so browsers may cache it for good."""
    content = files("churnrisk.web").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def account_path(account_id: str) -> str:
    """Return the address of an account's page."""
    return "/accounts/" + quote(account_id, safe="")


def leading_back(up: str) -> str:
    """Return the query that makes an account's page link back to the view it was opened from."""
    return "" if up == "/" else "?" + urlencode({"up": up})


class FragmentCache:
    """The last rendered parts of pages by key, each valid while the query cache returns the same source object."""

    def __init__(self, maxsize: int = 64) -> None:
        self._fragments: LRUCache[Hashable, tuple[object, Markup]] = LRUCache(maxsize)
        self._lock = Lock()

    def get(self, key: Hashable, source: object, render: Callable[[], Markup]) -> Markup:
        """Return the fragment of a key; render it if its source has changed."""
        with self._lock:
            cached = self._fragments.get(key)
        if cached is not None and cached[0] is source:
            return cached[1]
        rendered = render()
        with self._lock:
            self._fragments[key] = (source, rendered)
        return rendered


def message(
    request: Request,
    status: int,
    title: str,
    *lines: str,
    ways: tuple[PageLink, ...] = (_LIST,),
    typed: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Return a page that says what happened and where to go next."""
    context = {"code": status, "title": title, "lines": lines, "ways": ways, "typed": typed}
    return page(request, "message.html", context, status=status)


def install_errors(app: FastAPI) -> None:
    """Answer every exception that reaches the application with a page."""
    for kind in (HTTPException, RequestValidationError, ChurnRiskError, Exception):
        app.add_exception_handler(kind, _error_page)


async def _error_page(request: Request, error: Exception) -> Response:
    status, title, lines = 500, "Something broke", [_BUG]
    ways: tuple[PageLink, ...] = (_LIST,)
    match error:
        case HTTPException(status_code=status, detail=detail):
            title = _TITLES.get(status, "This did not work")
            # the framework's own details are the status in words, such as "Not Found"
            is_ours = " " in detail and not detail.startswith("Not ")
            lines = [line for line in (detail if is_ours else "", _WHAT_TO_DO.get(status, "")) if line]
            ways = (PageLink("/sign-in", "Sign in"),) if status == 401 else (_LIST, _HELP)
        case RequestValidationError():
            status, title = 400, _TITLES[400]
            lines = [f"{item['loc'][-1]}: {str(item['msg']).lower()}" for item in error.errors()[:5]]
        case UnavailableError():
            _LOG.warning("database away: %s", one_line(error))
            status, title = 503, "The database is away"
            lines = ["The database does not answer right now. Nothing was changed. Try again in a moment."]
            ways = (PageLink(request.url.path if request.method == "GET" else "/", "Try again"),)
        case NotFoundError():
            status, title = 404, "There is no such account"
            lines = ["No published run holds this account, or it is not among those that you may see."]
        case ChurnRiskError():
            status, title = 400, _TITLES[400]
            lines = [str(error)[:1].upper() + str(error)[1:]]
    return message(request, status, title, *lines, ways=ways, typed=_typed(request))


def _typed(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the texts of a submitted form, without secrets."""
    form = getattr(request, "_form", None)
    if request.method != "POST" or form is None:
        return ()
    return tuple(
        (name.replace("_", " "), value)
        for name, value in form.multi_items()
        if isinstance(value, str) and value.strip() and name not in _SECRET_FIELDS and "password" not in name
    )
