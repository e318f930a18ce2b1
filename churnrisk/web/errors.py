"""Errors become pages that lead on and show again what the person typed."""

from __future__ import annotations

import logging
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from churnrisk.errors import ChurnRiskError, NotFoundError, UnavailableError
from churnrisk.web.process import one_line
from churnrisk.web.rendering import Link, page

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
