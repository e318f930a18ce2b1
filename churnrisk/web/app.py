"""The application factory: one project, one open store, the pages, the API and their security."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.responses import Response
from starlette.staticfiles import StaticFiles

from churnrisk import __version__
from churnrisk.scoring import deadlines_of
from churnrisk.settings import Project, open_store
from churnrisk.web import security
from churnrisk.web.api.app import install_api
from churnrisk.web.dependencies import assignee_options
from churnrisk.web.pages import account, audit, lead, redlist, reviews
from churnrisk.web.rendering import FragmentCache, install_errors, page

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
