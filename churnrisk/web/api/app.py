"""The API's application under ``/api/v1``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from churnrisk import __version__
from churnrisk.web.api import accounts, runs
from churnrisk.web.api.problems import TokenAuthenticator, install_problems

if TYPE_CHECKING:
    from churnrisk.settings import Project
    from churnrisk.web.security.session import SecurityContext

PATH = "/api/v1"
_LARGEST_BODY = 100_000
_ABOUT = """The red list for other programs, such as a CRM.

Every request carries a token: `Authorization: Bearer churnrisk_…`, made by `churnrisk token add NAME --role viewer`.
A viewer reads; a reviewer also records reviews and hands out actions. A token may be limited to one owner's accounts:
whatever lies outside does not exist for it. Instants are in UTC. Errors are problem details (RFC 9457).
"""


def install_api(app: FastAPI, project: Project) -> None:
    """Mount the API on an application whose security layer is installed."""
    security: SecurityContext = app.state.security
    api = FastAPI(
        title="churnrisk",
        version=__version__,
        description=_ABOUT,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.project, api.state.store = project, security.store
    api.state.deadlines = getattr(app.state, "deadlines", None)
    api.state.token_authenticator = TokenAuthenticator(security)
    install_problems(api)
    for router in (accounts.router, runs.actions_router, runs.router):
        api.include_router(router)
    api.add_middleware(_BodyLimit)
    api.openapi = _described(api)  # type: ignore[method-assign]  # as FastAPI documents
    app.mount(PATH, api, name="api")


def _described(api: FastAPI) -> Any:
    """Return the OpenAPI function of the API, with the media type of problems for its errors."""
    plain = api.openapi

    @cache
    def describe() -> dict[str, Any]:
        made = plain()
        for operations in made["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status >= "4" and "application/json" in response.get("content", {}):
                        response["content"] = {
                            "application/problem+json": response["content"]["application/json"]
                        }
        return made

    return describe


class _BodyLimit:
    """Refuses a body that is larger than any of ours; the framework's own limit answers in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > _LARGEST_BODY:
                raise HTTPException(413, f"A body holds at most {_LARGEST_BODY:,} bytes. Shorten the note.")
            return message

        await self._app(scope, counted, send)
