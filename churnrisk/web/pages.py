"""Templates become pages: one environment for the process, and what every page knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from churnrisk.records import Role, User
from churnrisk.report.bars import HATCH
from churnrisk.web import wording
from churnrisk.web.security import csrf_token, current_user, take_flashes


@dataclass(frozen=True, slots=True)
class Link:
    """One page in the navigation."""

    path: str
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
    """Render a template as a page.

    Parameters
    ----------
    template : str
        Its name under ``templates/``; it extends ``base.html``.
    context : mapping, optional
        What it shows, besides what every page knows: ``me``, ``links``, ``here``, ``company``, ``csrf_token``,
        ``flashes``, ``back``, ``say`` and ``asset``.
    """
    known = _everywhere(request) | dict(context or {})
    content = environment().get_template(template).render(known)
    return HTMLResponse(content.encode("utf-8", errors="replace"), status_code=status, headers=headers)


def fragment(template: str, context: Mapping[str, Any]) -> Markup:
    """Render a part that knows nothing of the request, to be put into a page."""
    return Markup(environment().get_template(template).render(context))  # noqa: S704 - escaped by the template


def may_review(user: User | None) -> bool:
    """Whether a person may change anything."""
    return user is not None and user.role.covers(Role.REVIEWER)


def account_path(account_id: str) -> str:
    """Return the address of an account's page."""
    return "/accounts/" + quote(account_id, safe="")


def leading_back(up: str) -> str:
    """Return what an account's address carries, so that its page leads back to the view one came from."""
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
    made.globals.update(say=wording, asset=asset, account_path=account_path, leading_back=leading_back)
    made.globals.update(badges=wording.BADGES, big_badges=wording.BIG_BADGES, HATCH=HATCH)
    return made


@cache
def asset(name: str) -> str:
    """Return the address of a static file; it changes with the content, so browsers may keep it for good."""
    content = files("churnrisk.web").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def _everywhere(request: Request) -> dict[str, Any]:
    me = current_user(request)
    return {
        "me": me,
        "may_review": may_review(me),
        "links": _links(me),
        "here": request.url.path,
        "back": address(request),
        "company": request.app.state.project.name,
        "csrf_token": csrf_token(request),
        "flashes": take_flashes(request),
    }


def _links(me: User | None) -> tuple[Link, ...]:
    if me is None:
        return ()
    links = _ADMIN_LINKS if me.role is Role.ADMIN else _LINKS
    # the colours' contract counts the whole team's accounts
    return links if me.scope is None else tuple(link for link in links if link.path != "/promises")


def address(request: Request) -> str:
    """Return path and query of a request, as a form sends it to come back."""
    query = request.scope.get("query_string", b"").decode("latin-1")
    return request.url.path + (f"?{query}" if query else "")
