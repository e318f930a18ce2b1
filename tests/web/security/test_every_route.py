"""A walk over every route of the real application: nobody gets further than their role, whatever is added later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from churnrisk.records import Role
from churnrisk.web import Require, RequireToken

from .conftest import TestClient, World, token_of

#: All that may be had without a role. A route that is added later does not belong here by itself.
OPEN = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/sign-in/sso"),
    ("GET", "/sign-in/sso/callback"),
    ("GET", "/api/v1/openapi.json"),
}
#: What a viewer may send: nothing of it changes what others see.
OF_VIEWERS = {("POST", "/sign-out"), ("POST", "/password")}
SAFE = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class Door:
    """One method of one route, with the roles that it needs."""

    method: str
    path: str
    roles: tuple[Role, ...]
    is_api: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path

    @property
    def address(self) -> str:
        return re.sub(r"\{[^}]*\}", "1", self.path)


def doors(routes: Iterable[Any], prefix: str = "") -> Iterator[Door]:
    """Yield every method of every route, those of routers and mounted applications too."""
    for route in routes:
        if isinstance(route, Mount):
            if not isinstance(route.app, StaticFiles):
                yield from doors(route.routes, prefix + route.path)
        elif hasattr(route, "effective_route_contexts"):
            yield from (door for one in route.effective_route_contexts() for door in doors_of(one, prefix))
        else:
            assert isinstance(route, Route), f"the walk does not know {type(route)}: teach it"
            yield from doors_of(route, prefix)


def doors_of(route: Any, prefix: str) -> Iterator[Door]:
    roles = tuple(roles_of(getattr(route, "dependant", None)))
    for method in sorted(set(route.methods or ["GET"]) - {"HEAD"}):
        yield Door(method, prefix + route.path, roles, prefix.startswith("/api"))


def roles_of(dependant: Any) -> Iterator[Role]:
    for one in dependant.dependencies if dependant is not None else ():
        if isinstance(one.call, Require | RequireToken):
            yield one.call.role
        yield from roles_of(one)


def without_role(app: FastAPI) -> set[tuple[str, str]]:
    return {door.key for door in doors(app.routes) if not door.roles} - OPEN


@pytest.fixture(scope="module")
def browsers(world: World) -> dict[str, TestClient]:
    """A browser of each role, and "nobody"."""
    return {"nobody": world.stranger()} | {str(role): world.browser(str(role)) for role in Role}


def test_every_route_needs_a_role(world):
    assert without_role(world.app) == set()


def test_the_walk_sees_all_kinds_of_routes(world):
    found = {door.key for door in doors(world.app.routes)}
    expected = {
        ("GET", "/"),
        ("POST", "/sign-out"),
        ("GET", "/api/v1/redlist"),
        ("POST", "/api/v1/actions/hand-out"),
    }
    assert found >= expected | OPEN
    assert len(found) > 20


def test_a_route_that_forgets_its_role_is_caught_wherever_it_is_added(world):
    from fastapi import APIRouter

    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    router.add_api_route("/in-router", lambda: None)
    app.include_router(router)
    app.add_api_route("/in-app", lambda: None, methods=["POST"])
    app.add_route("/plain", lambda _request: None)
    inner = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    inner.add_api_route("/inside", lambda: None)
    app.mount("/api/v2", inner)
    assert without_role(app) == {
        ("GET", "/in-router"), ("POST", "/in-app"), ("GET", "/plain"), ("GET", "/api/v2/inside")
    }  # fmt: skip


def test_the_walk_does_not_pass_over_what_it_does_not_know():
    with pytest.raises(AssertionError, match="teach it"):
        list(doors([BaseRoute()]))


def test_what_changes_something_needs_more_than_a_viewer(world):
    weak = {
        door.key
        for door in doors(world.app.routes)
        if door.method not in SAFE and not any(role.covers(Role.REVIEWER) for role in door.roles)
    }
    assert weak - OPEN - OF_VIEWERS == set()


def test_without_a_session_every_page_leads_to_sign_in_and_every_api_route_refuses(world, browsers):
    for door in doors(world.app.routes):
        if door.key in OPEN:
            continue
        answered = browsers["nobody"].request(door.method, door.address)
        if door.is_api:
            assert answered.status_code == 401, door
            assert answered.headers["content-type"] == "application/problem+json"
        elif door.method in SAFE:
            assert answered.status_code == 303, door
            assert answered.headers["location"].startswith("/sign-in"), door
        else:
            assert answered.status_code == 401, door


def test_with_a_lesser_role_every_route_refuses(world, browsers):
    seen = 0
    for door in doors(world.app.routes):
        for role in Role:
            if not door.roles or all(role.covers(needed) for needed in door.roles):
                continue
            seen += 1
            if door.is_api:
                headers = {"authorization": f"Bearer {world.tokens[role]}"}
                answered = browsers["nobody"].request(door.method, door.address, headers=headers)
            else:
                browser = browsers[str(role)]
                token = token_of(browser.get("/"))
                answered = browser.request(door.method, door.address, headers={"x-csrf-token": token})
            assert answered.status_code == 403, (door, role)
    assert seen >= 5


def test_without_a_form_token_nothing_is_taken_from_anybody(world, browsers):
    for door in doors(world.app.routes):
        if door.is_api or door.method in SAFE:
            continue
        for name, browser in browsers.items():
            if name == "nobody" and door.key not in OPEN:
                continue
            for fields in ({}, {"csrf_token": "forged"}):
                answered = browser.request(door.method, door.address, data=fields)
                assert answered.status_code == 403, (door, name)


def test_a_session_means_nothing_to_the_api_and_a_token_nothing_to_the_pages(world, browsers):
    admin = browsers["admin"]
    for door in doors(world.app.routes):
        if door.key in OPEN:
            continue
        if door.is_api:
            token = {"x-csrf-token": token_of(admin.get("/"))}
            assert admin.request(door.method, door.address, headers=token).status_code == 401, door
        elif door.method in SAFE:
            bearer = {"authorization": f"Bearer {world.tokens[Role.ADMIN]}"}
            assert browsers["nobody"].request(door.method, door.address, headers=bearer).status_code == 303, (
                door
            )


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2f..%2fpages.py", "/static/....//pages.py",
        "/static//etc/passwd", "/static/%00", "/static/..%5c..%5cpages.py", "/static/",
    ],
)  # fmt: skip
def test_nothing_but_static_files_is_served_as_one(world, path):
    answered = world.stranger().get(path)
    assert answered.status_code in (303, 404, 405)
    assert "import" not in answered.text


def test_addresses_with_line_breaks_put_nothing_into_the_headers(world):
    for path in ("/%0d%0aset-cookie:%20x=1", "/sign-in?next=/%0d%0aset-cookie:%20x=1", "/x?a=%0d%0ab:%20c"):
        answered = world.stranger().get(path)
        assert "x" not in answered.cookies
        assert "\n" not in str(answered.headers.get("location"))
        assert "b" not in answered.headers
