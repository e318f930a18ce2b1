"""The security layer before a small application, in this process, with a real history."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Form, Request
from starlette.responses import PlainTextResponse, Response

from churnrisk.auth import NewUser, WebConfig, add_token, add_user
from churnrisk.records import Role, User
from churnrisk.settings import Project, load_project
from churnrisk.store import HistoryStore
from churnrisk.web import create_app, flash, install_errors, page, require, security

with warnings.catch_warnings():
    # It warns of the httpx that everything else here works with.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "correct horse battery staple"
HERE = "http://localhost"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')

Make = Callable[..., TestClient]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder without scores, and one person of each role; ana is the admin."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "churnrisk.toml").write_text('[project]\nname = "Acme"\n')
    with HistoryStore(load_project(folder).store_url) as opened:
        for name, role in (("ana", Role.ADMIN), ("rex", Role.REVIEWER), ("vic", Role.VIEWER)):
            add_user(opened, NewUser(name, role), password=PASSWORD, now=datetime.now(UTC))
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Project:
    """A copy of that project."""
    return load_project(Path(shutil.copytree(prepared, tmp_path / "project")))


@pytest.fixture
def store(project: Project) -> Iterator[HistoryStore]:
    """Its history."""
    with HistoryStore(project.store_url, pooled=True) as opened:
        yield opened


@pytest.fixture
def make_client(project: Project, store: HistoryStore) -> Make:
    """Return a function that makes a browser before a small application."""

    def make(*, base_url: str = HERE, hosts: tuple[str, ...] = (), **settings: Any) -> TestClient:
        changed = replace(project, web=WebConfig(**settings))
        app = small_app(changed, store, hosts)
        return TestClient(app, base_url=base_url, follow_redirects=False, raise_server_exceptions=False)

    return make


@pytest.fixture
def client(make_client: Make) -> TestClient:
    """A browser that nobody has signed in with."""
    return make_client()


def small_app(project: Project, store: HistoryStore, hosts: tuple[str, ...] = ()) -> FastAPI:
    """Return an application with a page of each kind behind the security layer."""
    app = FastAPI(openapi_url=None)
    app.state.project, app.state.store = project, store
    install_errors(app)
    security.install(app, project, page=page, hosts=hosts)

    @app.get("/")
    def first(request: Request, user: Annotated[User, require(Role.VIEWER)]) -> Response:
        lines = (f"hello {user.name}",)
        return page(
            request, "message.html", {"code": 200, "title": "First", "lines": lines, "ways": (), "typed": ()}
        )

    @app.post("/note")
    def note(
        request: Request, user: Annotated[User, require(Role.REVIEWER)], text: Annotated[str, Form()] = ""
    ) -> Response:
        flash(request, f"noted {text}", undo=7)
        return PlainTextResponse(f"{user.name}: {text}")

    @app.get("/admin")
    def admin(user: Annotated[User, require(Role.ADMIN)]) -> str:
        return user.name

    @app.get("/forgotten")
    def forgotten() -> str:
        return "a page whose author forgot to ask for a role"

    @app.get("/broken")
    def broken(_user: Annotated[User, require(Role.VIEWER)]) -> str:
        raise RuntimeError("a fault with a secret in it")

    return app


def token_of(response: Any) -> str:
    """Return the token of the first form of a page."""
    found = _TOKEN.search(response.text)
    assert found, response.text
    return unescape(found.group(1))


def sign_in(client: TestClient, name: str = "rex", password: str = PASSWORD, **fields: str) -> Any:
    """Sign in as a person would: load the form, fill it in, send it."""
    form = {"csrf_token": token_of(client.get("/sign-in")), "name": name, "password": password}
    return client.post("/sign-in", data=form | fields, headers={"origin": str(client.base_url)})


@dataclass(frozen=True)
class World:
    """The real application over a scored project, with a person and a token of each role."""

    app: FastAPI
    tokens: dict[Role, str]
    signed_in: dict[str, TestClient] = field(default_factory=dict)

    def stranger(self) -> TestClient:
        """A browser that nobody has signed in with."""
        return TestClient(self.app, base_url=HERE, follow_redirects=False, raise_server_exceptions=False)

    def browser(self, name: str) -> TestClient:
        """The browser of a person; they sign in once."""
        if name not in self.signed_in:
            made = self.stranger()
            assert sign_in(made, name).status_code == 303
            self.signed_in[name] = made
        return self.signed_in[name]


@pytest.fixture(scope="module")
def world(scored_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = Path(shutil.copytree(scored_world, tmp_path_factory.mktemp("walk") / "project"))
    project = load_project(folder)
    tokens = {}
    with HistoryStore(project.store_url) as store:
        now = datetime.now(UTC)
        for role in Role:
            add_user(store, NewUser(role.value, role), password=PASSWORD, now=now)
            _, tokens[role] = add_token(
                store, role.value, role=role, owner=None, expires_at=None, created_by="test", now=now
            )
    app = create_app(project)
    yield World(app, tokens)
    app.state.store.close()


@pytest.fixture
def rex(client: TestClient) -> TestClient:
    """The browser after rex, a reviewer, has signed in."""
    assert sign_in(client).status_code == 303
    return client
