"""Sign-in through a real OpenID Connect provider, in a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from sqlalchemy import select

from churnrisk.auth import NewUser, OidcConfig, add_user, all_users, change_user, find_user
from churnrisk.errors import UsageError
from churnrisk.records import Role
from churnrisk.store import users

from .conftest import TestClient

PEOPLE = [
    {"sub": "s-eva", "email": "Eva@acme.org", "email_verified": True, "name": "Eva Ø", "groups": ["staff"]},
    {"sub": "s-lead", "email": "lead@acme.org", "email_verified": True, "groups": ["staff", "leads"]},
    {"sub": "s-liar", "email": "eva@acme.org", "email_verified": False},
    {"sub": "s-silent", "email": "quiet@acme.org"},
    {"sub": "s-other", "email": "kim@elsewhere.org", "email_verified": True},
]
SECRET = "a secret of the client"


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a running provider that knows the people above."""
    port = free_port()
    claims = [part for person in PEOPLE for part in ("--user-claims", json.dumps(person))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *claims]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{address}/jwks")
                break
            except httpx.TransportError:
                assert process.poll() is None
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


MakeSso = Callable[..., TestClient]


@pytest.fixture
def make_sso(make_client: Any, provider: str, monkeypatch: pytest.MonkeyPatch) -> MakeSso:
    """Return a function that makes a browser before an application with single sign-on."""
    monkeypatch.setenv("CHURNRISK_OIDC_SECRET", SECRET)

    def make(**settings: Any) -> TestClient:
        config = OidcConfig(**({"issuer": provider, "client_id": "churnrisk"} | settings))
        made: TestClient = make_client(oidc=config)
        return made

    return make


def depart(client: TestClient, target: str = "/") -> str:
    answered = client.get("/sign-in/sso", params={"next": target})
    assert answered.status_code == 302, answered.text
    return str(answered.headers["location"])


def at_provider(address: str, subject: str, **form: str) -> str:
    """Say who one is at the provider; return where it sends the browser."""
    answered = httpx.post(address, data={"sub": subject} | form)
    assert answered.status_code == 302, answered.text
    return str(answered.headers["location"])


def sso(client: TestClient, subject: str, target: str = "/") -> Any:
    return client.get(at_provider(depart(client, target), subject))


def changed(address: str, **parameters: str) -> str:
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | parameters
    return urlunsplit(parts._replace(query=urlencode(query)))


@pytest.fixture
def eva(store: Any) -> Any:
    return add_user(store, NewUser("eva", Role.REVIEWER, email="eva@acme.org"), now=datetime.now(UTC))


def test_a_known_person_comes_in_through_the_provider(make_sso, eva):
    client = make_sso()
    assert "Sign in with your company account" in client.get("/sign-in").text
    answered = sso(client, "s-eva", "/admin?x=1")
    assert (answered.status_code, answered.headers["location"]) == (303, "/admin?x=1")
    assert "hello eva" in client.get("/").text


def test_the_request_has_state_nonce_and_a_hashed_verifier(make_sso, provider):
    address = depart(make_sso())
    query = parse_qs(urlsplit(address).query)
    assert address.startswith(provider)
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://localhost/sign-in/sso/callback"]
    assert all(len(query[name][0]) >= 20 for name in ("state", "nonce", "code_challenge"))
    assert SECRET not in address


def test_without_a_password_nobody_comes_in_by_form(make_sso, eva, store):
    from .conftest import sign_in

    with store.database.reading() as connection:
        assert connection.execute(select(users.c.password_hash).where(users.c.name == "eva")).scalar() is None
    for password in ("", "None", "null"):
        assert sign_in(make_sso(), "eva", password).status_code == 401


def test_a_stranger_is_told_to_ask(make_sso, store):
    answered = sso(make_sso(), "s-eva")
    assert answered.status_code == 403
    assert "You have no access here yet." in answered.text
    assert len(all_users(store)) == 3


def test_a_stranger_is_added_where_the_settings_say_so(make_sso, store):
    client = make_sso(create=True)
    assert sso(client, "s-eva").status_code == 303
    made = find_user(store, "eva@acme.org")
    assert (made.display_name, made.role, made.email) == ("Eva Ø", Role.VIEWER, "eva@acme.org")
    assert client.get("/admin").status_code == 403
    assert sso(make_sso(create=True), "s-eva").status_code == 303
    assert len(all_users(store)) == 4


def test_an_address_that_is_not_verified_opens_nobodys_access(make_sso, eva):
    for settings in ({}, {"create": True}, {"trust_email": True, "create": True}):
        assert sso(make_sso(**settings), "s-liar").status_code == 403


def test_a_provider_that_gives_the_addresses_out_itself_may_be_trusted(make_sso, store):
    assert sso(make_sso(create=True), "s-silent").status_code == 403
    assert sso(make_sso(create=True, trust_email=True), "s-silent").status_code == 303
    assert find_user(store, "quiet@acme.org") is not None


def test_only_addresses_of_the_allowed_domains_come_in(make_sso):
    settings = {"create": True, "email_domains": ("@ACME.org",)}
    answered = sso(make_sso(**settings), "s-other")
    assert answered.status_code == 403
    assert "domain" in answered.text
    assert sso(make_sso(**settings), "s-eva").status_code == 303


def test_the_highest_role_that_the_provider_gives_counts_and_is_followed(make_sso, store, eva):
    settings = {"role_claim": "groups", "create": True}
    assert sso(make_sso(**settings, roles={"staff": "viewer", "leads": "admin"}), "s-lead").status_code == 303
    assert find_user(store, "lead@acme.org").role is Role.ADMIN
    assert sso(make_sso(**settings, roles={"staff": "viewer"}), "s-lead").status_code == 303
    assert find_user(store, "lead@acme.org").role is Role.VIEWER
    answered = sso(make_sso(**settings, roles={"board": "admin"}), "s-eva")
    assert answered.status_code == 403
    assert "no role here" in answered.text


def test_a_disabled_person_stays_outside(make_sso, eva, store):
    assert sso(make_sso(), "s-eva").status_code == 303
    change_user(store, "eva", disabled=True, now=datetime.now(UTC))
    assert sso(make_sso(), "s-eva").status_code == 403


def test_an_answer_to_another_browsers_request_is_refused(make_sso, eva):
    attacker, victim = make_sso(), make_sso()
    planted = at_provider(depart(attacker), "s-eva")
    for _ in range(2):
        answered = victim.get(planted)
        assert answered.status_code == 403
        assert "started elsewhere" in answered.text
        depart(victim)
    assert victim.get("/").status_code == 303


def test_an_answer_is_taken_once(make_sso, eva):
    client = make_sso()
    back = at_provider(depart(client), "s-eva")
    assert client.get(back).status_code == 303
    client.cookies.delete("churnrisk_session")
    assert client.get(back).status_code == 403


@pytest.mark.parametrize("change", [{"state": "forged"}, {"state": ""}, {"code": "forged"}])
def test_a_forged_answer_is_refused(make_sso, eva, change):
    client = make_sso()
    back = at_provider(depart(client), "s-eva")
    assert client.get(changed(back, **change)).status_code == 403
    assert client.get("/").status_code == 303


def test_a_nonce_that_was_swapped_is_refused(make_sso, eva):
    client = make_sso()
    back = at_provider(changed(depart(client), nonce="n" * 30), "s-eva")
    answered = client.get(back)
    assert answered.status_code == 403
    assert "sign-in failed" in answered.text
    assert client.get("/").status_code == 303


def test_saying_no_at_the_provider_leads_back_to_sign_in(make_sso, eva):
    client = make_sso()
    answered = client.get(at_provider(depart(client), "s-eva", action="deny"))
    assert answered.status_code == 403
    assert 'name="password"' in answered.text


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_it_never_leads_to_another_site(make_sso, eva, target):
    assert sso(make_sso(), "s-eva", target).headers["location"] == "/"


def test_a_session_from_before_is_replaced(make_sso, eva, store):
    from .conftest import sign_in

    client = make_sso()
    sign_in(client)
    before = client.cookies["churnrisk_session"]
    sso(client, "s-eva")
    assert client.cookies["churnrisk_session"] != before
    assert client.get("/", headers={"cookie": f"churnrisk_session={before}"}).status_code in (200, 303)
    fresh = make_sso()
    assert fresh.get("/", headers={"cookie": f"churnrisk_session={before}"}).status_code == 303


def test_a_provider_that_is_away_is_reported(make_sso):
    answered = make_sso(issuer=f"http://127.0.0.1:{free_port()}").get("/sign-in/sso")
    assert answered.status_code == 503
    assert "does not answer" in answered.text
    assert 'name="password"' in answered.text


def test_a_provider_that_is_another_one_is_not_trusted(make_sso, provider):
    answered = make_sso(issuer=provider.replace("127.0.0.1", "localhost") + "/").get("/sign-in/sso")
    assert answered.status_code in (302, 503)
    assert make_sso(issuer=provider + "/elsewhere").get("/sign-in/sso").status_code == 503


def test_without_the_setting_there_is_no_such_page(client):
    assert client.get("/sign-in/sso").status_code == 404
    assert client.get("/sign-in/sso/callback?code=x&state=y").status_code == 404
    assert "company account" not in client.get("/sign-in").text


def test_a_missing_secret_is_reported_before_anything_is_served(make_client):
    config = OidcConfig(issuer="https://id.example", client_id="c", client_secret_env="NOT_SET_ANYWHERE")
    with pytest.raises(UsageError, match="NOT_SET_ANYWHERE"):
        make_client(oidc=config)
