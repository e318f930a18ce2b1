"""Errors of the security layer, and how a layer below the routes answers with the app's own error pages."""

from __future__ import annotations

import inspect

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


class SignInNeeded(HTTPException):
    """Nobody is signed in, or not any more."""

    def __init__(self) -> None:
        super().__init__(401, "Your session has ended. Sign in again.")


class FormRefused(HTTPException):
    """A form came from elsewhere, from an old session, or without its token."""

    def __init__(self, detail: str) -> None:
        super().__init__(403, detail)


async def answer_to(request: Request, error: Exception) -> Response:
    """Return what the app's own handler makes of an error, so that every refusal looks alike."""
    handlers = request.app.exception_handlers
    status = getattr(error, "status_code", 500)
    chosen = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    handler = handlers.get(status, chosen)
    if handler is None:
        text = getattr(error, "detail", "Something went wrong here. It has been written to the server's log.")
        return PlainTextResponse(f"{text}\n", status)
    if inspect.iscoroutinefunction(handler):
        made: Response = await handler(request, error)
    else:
        made = await run_in_threadpool(handler, request, error)
    return made
