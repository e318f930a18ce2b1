"""The application: one project, one store that stays open, pages, API and what protects them."""

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
from churnrisk.history import HistoryStore
from churnrisk.web import security
from churnrisk.web.api import install_api
from churnrisk.web.drawings import Drawings
from churnrisk.web.errors import install_errors
from churnrisk.web.pages import page
from churnrisk.web.people import People
from churnrisk.web.routes import account, help, lead, redlist, several, timeline, undo
from churnrisk.workflows.plays import deadlines_of
from churnrisk.workflows.project import Project

# Pages take their time from the interpreter, which does one thing at once: with SQLite, more threads only take it
# from each other (measured: six cost half as much again). A server is waited for, so there more are worth it.
_THREADS, _THREADS_WITH_A_SERVER = 2, 8
_FOR_GOOD = "public, max-age=31536000, immutable"


def create_app(project: Project, *, hosts: Iterable[str] = ()) -> FastAPI:
    """Return the application of a project; its store is opened here and closed when the server stops.

    Parameters
    ----------
    hosts : iterable of str
        Host names that are answered, besides those of the settings.

    Raises
    ------
    UsageError
        If the history cannot be opened.
    """
    app = FastAPI(
        title="churnrisk",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_life,
    )
    app.state.project = project
    app.state.store = HistoryStore(project.store_url, pooled=True)
    app.state.drawings = Drawings()
    app.state.people = People(app.state.store)
    app.state.deadlines = deadlines_of(project)
    install_errors(app)
    for module in (redlist, several, timeline, account, undo, lead, help):
        app.include_router(module.router)
    app.mount("/static", _Assets(directory=str(files("churnrisk.web").joinpath("static"))), name="static")
    security.install(app, project, page=page, hosts=hosts)
    install_api(app, project)
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    in_file = app.state.project.store_url.startswith("sqlite")
    threads = _THREADS if in_file else _THREADS_WITH_A_SERVER
    anyio.to_thread.current_default_thread_limiter().total_tokens = threads
    # What is there now stays: looking through it again and again would take a twentieth of every page's time.
    gc.collect()
    gc.freeze()
    yield
    app.state.store.close()


class _Assets(StaticFiles):
    """Static files; their addresses change with their content, so browsers keep them."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = _FOR_GOOD
        return response
