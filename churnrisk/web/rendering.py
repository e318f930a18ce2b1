"""Templates become pages: one environment for the process, and the context that every page shares."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from threading import Lock
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, urlencode

from cachetools import LRUCache
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException

from churnrisk.errors import ChurnRiskError, NotFoundError, UnavailableError
from churnrisk.present import HATCH
from churnrisk.present import wording as report_wording
from churnrisk.records import Role, User
from churnrisk.web import wording
from churnrisk.web.process import one_line
from churnrisk.web.security.session import csrf_token, current_user, take_flashes


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its text: in the navigation, or a way on from a message."""

    href: str
    text: str


_LINKS = (
    Link("/", "Red list"),
    Link("/monday", "Monday"),
    Link("/promises", "Colours"),
    Link("/help", "Help"),
)
_ADMIN_LINKS = (*_LINKS[:3], Link("/audit", "Audit"), *_LINKS[3:])


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


class FragmentCache:
    """The last rendered parts of pages by key, each valid while its source is the very same object."""

    def __init__(self, maxsize: int = 64) -> None:
        self._fragments: LRUCache[Hashable, tuple[object, Markup]] = LRUCache(maxsize)
        self._lock = Lock()

    def get(self, key: Hashable, source: object, render: Callable[[], Markup]) -> Markup:
        """Return the fragment of a key; render it if its source has changed.

        The query cache returns the same object until something changes, so identity is enough.
        """
        with self._lock:
            cached = self._fragments.get(key)
        if cached is not None and cached[0] is source:
            return cached[1]
        rendered = render()
        with self._lock:
            self._fragments[key] = (source, rendered)
        return rendered


def fragment(template: str, context: Mapping[str, Any]) -> Markup:
    """Render a part of a page that needs nothing of the request."""
    return Markup(environment().get_template(template).render(context))  # noqa: S704 - escaped by the template


def may_review(user: User | None) -> bool:
    """Whether a person may change anything."""
    return user is not None and user.role.covers(Role.REVIEWER)


def account_path(account_id: str) -> str:
    """Return the address of an account's page."""
    return "/accounts/" + quote(account_id, safe="")


def leading_back(up: str) -> str:
    """Return the query that makes an account's page link back to the view it was opened from."""
    return "" if up == "/" else "?" + urlencode({"up": up})


@cache
def environment() -> Environment:
    """Return the templates of the process, compiled once."""
    made = Environment(
        loader=PackageLoader("churnrisk.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
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


def _shared_context(request: Request) -> dict[str, Any]:
    me = current_user(request)
    return {
        "me": me,
        "may_review": may_review(me),
        "links": _links(me),
        "here": request.url.path,
        "back": _address(request),
        "company": request.app.state.project.name,
        "csrf_token": csrf_token(request),
        "flashes": take_flashes(request),
    }


def _links(me: User | None) -> tuple[Link, ...]:
    if me is None:
        return ()
    links = _ADMIN_LINKS if me.role is Role.ADMIN else _LINKS
    # the promises of the colours count the whole team's accounts
    return links if me.scope is None else tuple(link for link in links if link.href != "/promises")


def _address(request: Request) -> str:
    """Return path and query of a request, which a form sends to come back."""
    query = request.scope.get("query_string", b"").decode("latin-1")
    return request.url.path + (f"?{query}" if query else "")


log = logging.getLogger("churnrisk.web")

_SECRET_FIELDS = ("csrf_token", "kept", "token")
_LIST = Link("/", "To the red list")
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
_WHAT_TO_DO = {
    401: "Your session has ended or you have not signed in yet.",
    403: "Your role does not allow it, or the form came from an earlier session. An admin can change your role.",
    404: "The address may be mistyped, or the account is not among those that you may see.",
    405: "Go back and use the form of the page.",
    413: "Make the text shorter and send it again.",
}


def message(
    request: Request,
    status: int,
    title: str,
    *lines: str,
    ways: tuple[Link, ...] = (_LIST,),
    typed: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Return a page that says what happened and where to go next."""
    context = {"code": status, "title": title, "lines": lines, "ways": ways, "typed": typed}
    return page(request, "message.html", context, status=status)


def install_errors(app: FastAPI) -> None:
    """Answer every exception that reaches the application with a page."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(ChurnRiskError, _expected)
    app.add_exception_handler(Exception, _internal)


async def _http(request: Request, error: Exception) -> Response:
    status = cast("HTTPException", error).status_code
    detail = str(cast("HTTPException", error).detail or "")
    title = _TITLES.get(status, "This did not work")
    # the framework's own details are the status in words, such as "Not Found"
    is_ours = " " in detail and not detail.startswith("Not ")
    lines = tuple(line for line in (detail if is_ours else "", _WHAT_TO_DO.get(status, "")) if line)
    ways = (Link("/sign-in", "Sign in"),) if status == 401 else (_LIST, Link("/help", "Help"))
    return message(request, status, title, *lines, ways=ways, typed=_typed(request))


async def _unreadable(request: Request, error: Exception) -> Response:
    problems = cast("RequestValidationError", error).errors()
    lines = tuple(f"{item['loc'][-1]}: {str(item['msg']).lower()}" for item in problems[:5])
    return message(request, 400, _TITLES[400], *lines, typed=_typed(request))


async def _expected(request: Request, error: Exception) -> Response:
    typed = _typed(request)
    if isinstance(error, UnavailableError):
        log.warning("database away: %s", one_line(error))
        lines = ("The database does not answer right now. Nothing was changed. Try again in a moment.",)
        again = Link(str(request.url.path) if request.method == "GET" else "/", "Try again")
        return message(request, 503, "The database is away", *lines, ways=(again,), typed=typed)
    if isinstance(error, NotFoundError):
        lines = ("No published run holds this account, or it is not among those that you may see.",)
        return message(request, 404, "There is no such account", *lines, typed=typed)
    return message(request, 400, _TITLES[400], _sentence(str(error)), typed=typed)


async def _internal(request: Request, error: Exception) -> Response:
    lines = (
        "This is a fault of churnrisk, not of yours. Nothing half-done was saved; the details are in the server's log.",
    )
    typed = _typed(request)
    return message(request, 500, "Something broke", *lines, typed=typed)


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


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
