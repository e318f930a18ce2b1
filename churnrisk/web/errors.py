"""What went wrong becomes a page with the way back, and what the person typed is shown again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from churnrisk.errors import ChurnRiskError, NotFoundError, UnavailableError
from churnrisk.web.log import one_line
from churnrisk.web.pages import page

log = logging.getLogger("churnrisk.web")

#: Never shown again.
SECRET_FIELDS = ("csrf_token", "kept", "token")


@dataclass(frozen=True, slots=True)
class Way:
    """A way on from a message."""

    href: str
    text: str


_LIST = Way("/", "To the red list")
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
    ways: tuple[Way, ...] = (_LIST,),
    typed: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Return a page that says what happened and leads on."""
    context = {"code": status, "title": title, "lines": lines, "ways": ways, "typed": typed}
    return page(request, "message.html", context, status=status)


def install_errors(app: FastAPI) -> None:
    """Turn every exception that reaches the application into a page."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(ChurnRiskError, _told)
    app.add_exception_handler(Exception, _internal)


async def _http(request: Request, error: Exception) -> Response:
    status = cast("HTTPException", error).status_code
    detail = str(cast("HTTPException", error).detail or "")
    title = _TITLES.get(status, "This did not work")
    said = detail if detail and " " in detail and not detail.startswith("Not ") else ""
    lines = tuple(line for line in (said, _WHAT_TO_DO.get(status, "")) if line)
    ways = (Way("/sign-in", "Sign in"),) if status == 401 else (_LIST, Way("/help", "Help"))
    return message(request, status, title, *lines, ways=ways, typed=await what_was_typed(request))


async def _unreadable(request: Request, error: Exception) -> Response:
    problems = cast("RequestValidationError", error).errors()
    lines = tuple(f"{item['loc'][-1]}: {str(item['msg']).lower()}" for item in problems[:5])
    return message(request, 400, _TITLES[400], *lines, typed=await what_was_typed(request))


async def _told(request: Request, error: Exception) -> Response:
    typed = await what_was_typed(request)
    if isinstance(error, UnavailableError):
        log.warning("database away: %s", one_line(error))
        lines = ("The database does not answer right now. Nothing was changed. Try again in a moment.",)
        again = Way(str(request.url.path) if request.method == "GET" else "/", "Try again")
        return message(request, 503, "The database is away", *lines, ways=(again,), typed=typed)
    if isinstance(error, NotFoundError):
        lines = ("No published run holds this account, or it is not among those that you may see.",)
        return message(request, 404, "There is no such account", *lines, typed=typed)
    return message(request, 400, _TITLES[400], _sentence(str(error)), typed=typed)


async def _internal(request: Request, error: Exception) -> Response:
    lines = (
        "This is a fault of churnrisk, not of yours. Nothing half-done was saved; the details are in the server's log.",
    )
    typed = await what_was_typed(request)
    return message(request, 500, "Something broke", *lines, typed=typed)


async def what_was_typed(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the texts of a form that was sent, without secrets; empty for other requests."""
    if request.method != "POST" or not hasattr(request, "_form"):
        return ()
    form = getattr(request, "_form", None)
    if form is None:
        return ()
    return tuple(
        (name.replace("_", " "), value)
        for name, value in form.multi_items()
        if isinstance(value, str) and value.strip() and name not in SECRET_FIELDS and "password" not in name
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
