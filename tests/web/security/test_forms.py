"""Forms: forged, replayed, missing or foreign ones change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.running import to_its_end

from .conftest import PASSWORD, sign_in, token_of


def note(client, token, **headers):
    fields = {"text": "hello"} | ({"csrf_token": token} if token is not None else {})
    return client.post("/note", data=fields, headers=headers)


def test_a_form_of_ones_own_session_is_taken(rex):
    assert note(rex, token_of(rex.get("/"))).text == "rex: hello"


def test_a_form_may_be_sent_again_in_the_same_session_from_two_open_pages(rex):
    first, second = token_of(rex.get("/")), token_of(rex.get("/"))
    assert first != second
    assert [note(rex, token).status_code for token in (first, second, first)] == [200, 200, 200]


@pytest.mark.parametrize("forge", [None, "", "x", "x" * 80, "é" * 80, "\x00"])
def test_a_form_without_its_token_is_refused(rex, forge):
    answered = note(rex, forge)
    assert answered.status_code == 403
    assert "Nothing was changed" in answered.text


def test_a_token_with_any_letter_changed_is_refused(rex):
    token = token_of(rex.get("/"))
    for place in (0, 15, 16, len(token) - 1):
        changed = token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]
        assert note(rex, changed).status_code == 403
    assert note(rex, token[:-1]).status_code == 403
    assert note(rex, token + "0").status_code == 403


def test_a_token_of_somebody_elses_session_is_refused(rex, make_client):
    other = make_client()
    sign_in(other, "ana")
    assert note(rex, token_of(other.get("/"))).status_code == 403


def test_a_token_from_before_signing_in_is_refused_after_it(client):
    before = token_of(client.get("/sign-in"))
    sign_in(client)
    assert note(client, before).status_code == 403


def test_a_form_left_open_is_dead_after_signing_out_and_in_again(rex):
    old = token_of(rex.get("/"))
    rex.post("/sign-out", data={"csrf_token": old})
    assert note(rex, old).status_code == 401
    sign_in(rex)
    assert note(rex, old).status_code == 403


def test_nobody_is_signed_out_by_another_sites_form(rex):
    assert rex.post("/sign-out").status_code == 403
    assert rex.get("/").status_code == 200


def test_nobody_is_signed_in_by_another_sites_form(client):
    form = {"name": "rex", "password": PASSWORD}
    assert client.post("/sign-in", data=form).status_code == 403
    elsewhere = token_of(client.get("/sign-in"))
    client.cookies.clear()
    assert client.post("/sign-in", data=form | {"csrf_token": elsewhere}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:81"},
        {"origin": "http://localhost.evil.example"}, {"referer": "http://evil.example/localhost"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://[bad"},
    ],
)  # fmt: skip
def test_a_form_that_the_browser_says_is_foreign_is_refused_with_the_right_token_too(rex, headers):
    answered = note(rex, token_of(rex.get("/")), **headers)
    assert answered.status_code == 403
    assert "another site" in answered.text


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://localhost"}, {"referer": "http://localhost/x"}, {"sec-fetch-site": "same-origin"}],
)
def test_a_form_of_our_own_pages_is_taken(rex, headers):
    assert note(rex, token_of(rex.get("/")), **headers).status_code == 200


def test_a_script_sends_the_token_as_a_header(rex):
    token = token_of(rex.get("/"))
    assert note(rex, None, **{"x-csrf-token": token}).status_code == 200
    assert rex.post("/note", json={"csrf_token": token}).status_code == 403


def test_a_form_in_parts_is_checked_and_read_all_the_same(rex):
    token = token_of(rex.get("/"))
    parts = {"csrf_token": (None, token), "text": (None, "in parts")}
    assert rex.post("/note", files=parts).text == "rex: in parts"
    assert rex.post("/note", files={"text": (None, "in parts")}).status_code == 403


def test_a_body_that_is_no_form_is_refused_in_plain_words(rex):
    broken = rex.post(
        "/note", content=b"--x\r\nno", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert broken.status_code == 403
    assert rex.post("/note", content=b"\xff\xfe%00%zz", headers={"content-type": "x/y"}).status_code == 403


def test_a_form_larger_than_any_of_ours_is_refused(rex):
    token = token_of(rex.get("/"))
    answered = rex.post("/note", data={"csrf_token": token, "text": "x" * 1_100_000})
    assert answered.status_code == 413
    assert "too long" in answered.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST", "OPTION", "TRACE"])
def test_every_method_that_might_change_something_needs_the_token(rex, method):
    assert rex.request(method, "/note").status_code == 403


def test_a_viewer_sees_which_role_it_takes(client):
    sign_in(client, "vic")
    answered = note(client, token_of(client.get("/")))
    assert answered.status_code == 403
    assert "This needs the role reviewer; yours is viewer." in answered.text


def test_no_password_is_shown_again_when_the_form_is_refused(rex):
    fields = {f"{name}_password": f"{name} secret words" for name in ("present", "new")}
    fields |= {"new_password_again": "again secret words", "csrf_token": "old"}
    answered = rex.post("/password", data=fields)
    assert answered.status_code == 403
    assert "secret words" not in answered.text
    too_long = rex.post("/password", data=fields | {"csrf_token": token_of(rex.get("/")), "name": "x" * 2000})
    assert "secret words" not in too_long.text


def test_a_form_that_breaks_off_on_the_way_is_not_taken(rex):
    body = f"csrf_token={token_of(rex.get('/'))}&text=call+them+befo".encode()
    cookies = "; ".join(f"{name}={value}" for name, value in rex.cookies.items())
    scope = {
        "type": "http", "method": "POST", "path": "/note", "raw_path": b"/note", "query_string": b"",
        "scheme": "http", "http_version": "1.1", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"localhost"), (b"cookie", cookies.encode()),
            (b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"2000"),
        ],
    }  # fmt: skip
    coming = [{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return coming.pop(0) if len(coming) > 1 else coming[0]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    to_its_end(rex.app(scope, receive, send))
    assert b"call them" not in b"".join(message.get("body", b"") for message in sent)
    assert sent[0]["status"] == 400
