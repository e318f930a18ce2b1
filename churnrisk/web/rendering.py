"""Templates become pages: one environment for the process, and the context that every page shares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from threading import Lock
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

from cachetools import LRUCache
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from churnrisk.records import Role, User
from churnrisk.report import wording as report_wording
from churnrisk.report.bars import HATCH
from churnrisk.web import wording
from churnrisk.web.security import csrf_token, current_user, take_flashes


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
