"""What every response carries, which hosts are answered, and what nobody caught."""

from __future__ import annotations

import asyncio
import stat
import threading

import pytest
from starlette.websockets import WebSocketDisconnect

from churnrisk.errors import UsageError
from churnrisk.web import HeadersMiddleware, Signer, load_secret
from tests.web.running import to_its_end

from .conftest import sign_in

PAGES = [
    "/",
    "/sign-in",
    "/nowhere",
    "/admin",
    "/broken",
    "/forgotten",
    "/static/base.css",
    "/api/v1/redlist",
]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("signed_in", [False, True], ids=["outside", "inside"])
def test_every_response_carries_the_security_headers(client, path, signed_in):
    if signed_in:
        sign_in(client)
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "strict-transport-security" not in headers
    if not path.startswith("/static/"):
        assert headers["cache-control"] == "no-store"


def test_over_https_browsers_are_told_to_stay_there(make_client):
    headers = make_client(base_url="https://localhost").get("/sign-in").headers
    assert headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "", "localhost@evil.example", "127.0.0.1.evil.example",
        "[::2]", "[bad", "localhost/..", "192.168.0.7:8765",
    ],
)  # fmt: skip
def test_an_unknown_host_name_is_not_answered(client, host):
    answered = client.get("/sign-in", headers={"host": host})
    assert answered.status_code == 400
    assert "allowed_hosts" in answered.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8765", "127.0.0.1:1", "[::1]:8765", "churn.acme.org", "box"]
)
def test_the_machines_own_and_the_allowed_names_are_answered(make_client, host):
    client = make_client(allowed_hosts=("Churn.Acme.org",), hosts=("Box",))
    assert client.get("/sign-in", headers={"host": host}).status_code == 200


def test_two_host_names_at_once_are_not_answered(client):
    assert (
        client.get("/sign-in", headers=[("host", "localhost"), ("host", "evil.example")]).status_code == 400
    )


def test_a_fault_becomes_a_page_without_its_details(client, caplog):
    sign_in(client)
    answered = client.get("/broken")
    assert answered.status_code == 500
    assert "secret" not in answered.text
    assert "Traceback" not in answered.text
    assert "a fault with a secret in it" in caplog.text


def test_a_page_whose_author_forgot_the_role_is_still_closed_to_strangers(client):
    answered = client.get("/forgotten")
    assert (answered.status_code, answered.headers["location"]) == (303, "/sign-in?next=/forgotten")


def test_a_script_without_a_session_gets_401_and_no_redirect(client):
    answered = client.get("/admin", headers={"sec-fetch-dest": "empty"})
    assert answered.status_code == 401


def test_a_role_too_low_is_refused_and_a_high_one_passes(client):
    sign_in(client, "rex")
    assert client.get("/admin").status_code == 403
    client.cookies.clear()
    sign_in(client, "ana")
    assert client.get("/admin").json() == "ana"


def test_websockets_are_refused(client):
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/"):
        pass
    assert refused.value.code == 1008


def test_the_secret_is_made_once_and_private(project):
    made = load_secret(project.directory)
    assert len(made) == 64
    assert load_secret(project.directory) == made
    assert stat.S_IMODE((project.directory / "secret.key").stat().st_mode) == 0o600


def test_servers_that_start_at_once_share_one_secret(tmp_path):
    found = []
    line_up = threading.Barrier(8)

    def look():
        line_up.wait()
        found.append(load_secret(tmp_path))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def test_a_secret_that_others_can_read_is_not_used(project):
    load_secret(project.directory)
    (project.directory / "secret.key").chmod(0o644)
    with pytest.raises(UsageError, match="others may read it"):
        load_secret(project.directory)


def test_a_secret_of_the_environment_comes_first_and_must_be_long(project, monkeypatch):
    monkeypatch.setenv("CHURNRISK_SECRET_KEY", "s" * 32)
    assert load_secret(project.directory) == b"s" * 32
    monkeypatch.setenv("CHURNRISK_SECRET_KEY", "short")
    with pytest.raises(UsageError, match="at least 32 characters, found 5"):
        load_secret(project.directory)


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="CHURNRISK_SECRET_KEY"):
        load_secret(tmp_path / "file")


def test_what_is_sealed_opens_for_its_purpose_and_time_only():
    keys = Signer(b"k" * 32)
    sealed = keys.seal("kept", ["/", [["a", "ü"]]])
    assert keys.open("kept", sealed, seconds=60) == ["/", [["a", "ü"]]]
    assert keys.open("flash", sealed, seconds=60) is None
    assert keys.open("kept", sealed, seconds=-1) is None
    assert Signer(b"j" * 32).open("kept", sealed, seconds=60) is None
    assert keys.open("kept", None, seconds=60) is None


def test_a_request_that_a_stopping_server_gives_up_is_answered_without_a_traceback(make_client):
    async def given_up(scope, receive, send):
        raise asyncio.CancelledError

    security = make_client().app.state.security
    said = []

    async def send(message):
        said.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "headers": [(b"host", b"localhost")],
    }
    to_its_end(HeadersMiddleware(given_up, security)(scope, None, send))
    assert [message.get("status") for message in said] == [503, None]


def test_other_kinds_of_connections_pass_the_layer(project):
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    to_its_end(HeadersMiddleware(inner, None)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
