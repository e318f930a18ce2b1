"""The application factory: one project, one open store, the pages, the API under ``/api/v1``, and their security."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from churnrisk import __version__
from churnrisk.scoring import deadlines_of
from churnrisk.settings import Project, open_store
from churnrisk.web import security
from churnrisk.web.api import accounts, runs
from churnrisk.web.api.problems import TokenAuthenticator, install_problems
from churnrisk.web.dependencies import assignee_options
from churnrisk.web.pages import account, audit, lead, redlist, reviews
from churnrisk.web.rendering import FragmentCache, install_errors, page

if TYPE_CHECKING:
    from churnrisk.settings import Project
    from churnrisk.web.security.session import SecurityContext

# With SQLite, pages are bound by the interpreter lock: more threads only slow each other down (measured: six cost
# half as much again). A database server is waited for, so more threads pay off.
_THREADS, _THREADS_WITH_SERVER = 2, 8
_IMMUTABLE = "public, max-age=31536000, immutable"


def create_app(project: Project, *, hosts: Iterable[str] = ()) -> FastAPI:
    """Return the application of a project, which answers to ``hosts`` too; its store closes when the server stops."""
    # Without an OpenAPI address there are no pages of documentation either.
    app = FastAPI(title="churnrisk", version=__version__, openapi_url=None, lifespan=_life)
    app.state.project = project
    app.state.store = open_store(project, pooled=True)
    app.state.fragments = FragmentCache()
    app.state.assignee_options = assignee_options(app.state.store)
    app.state.deadlines = deadlines_of(project)
    install_errors(app)
    for module in (redlist, reviews, account, lead, audit):
        app.include_router(module.router)
    app.mount("/static", _Assets(directory=str(files("churnrisk.web").joinpath("static"))), name="static")
    security.install(app, project, page=page, hosts=hosts)
    install_api(app, project)
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    in_file = app.state.project.store_url.startswith("sqlite")
    threads = _THREADS if in_file else _THREADS_WITH_SERVER
    anyio.to_thread.current_default_thread_limiter().total_tokens = threads
    # Everything loaded by now stays: scanning it again and again would take a twentieth of every page's time.
    gc.collect()
    gc.freeze()
    yield
    app.state.store.close()


class _Assets(StaticFiles):
    """Static files; their addresses change with their content, so browsers may cache them for good."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = _IMMUTABLE
        return response


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
