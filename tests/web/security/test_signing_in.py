"""Signing in and out: sessions, their cookies, and limits of trying."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from churnrisk.auth import change_password, change_user
from churnrisk.store import sessions, sign_in_attempts, users
from churnrisk.web import Signer, load_secret

from .conftest import PASSWORD, sign_in, token_of

COOKIE = "churnrisk_session"


def all_rows(store, table):
    with store.database.reading() as connection:
        return connection.execute(select(table)).mappings().all()


def test_somebody_with_name_and_password_gets_in_and_sees_their_name(client):
    assert client.get("/").status_code == 303
    answered = sign_in(client, "  REX ")
    assert (answered.status_code, answered.headers["location"]) == (303, "/")
    assert "hello rex" in client.get("/").text


@pytest.mark.parametrize(
    ("name", "password"),
    [("rex", "wrong password!"), ("nobody", PASSWORD), ("", ""), ("rex", "x" * 999), ("rex", PASSWORD + " ")],
)
def test_anything_else_is_refused_alike_and_keeps_the_name(client, name, password):
    answered = sign_in(client, name, password)
    assert answered.status_code == 401
    assert "Name and password do not match." in answered.text
    assert f'value="{name}"' in answered.text
    assert password not in answered.text or not password
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("name", ["\x00", "rex\x00", "é" * 300, "x" * 900, "(nobody)", "'; --"])
def test_a_name_that_nobody_can_have_is_refused_like_any_other(client, name):
    assert sign_in(client, name, "wrong password!").status_code == 401


def test_a_disabled_person_learns_no_more_than_a_stranger(client, store):
    change_user(store, "rex", disabled=True, now=datetime.now(UTC))
    assert "Name and password do not match." in sign_in(client).text


def test_an_unknown_name_takes_as_long_as_a_wrong_password(client):
    import time

    def took(name):
        started = time.process_time()
        sign_in(client, name, "wrong password!")
        return time.process_time() - started

    took("rex")
    assert took("nobody") > 0.4 * took("vic")


def test_the_session_cookie_is_signed_and_closed_to_scripts_and_other_sites(client):
    cookie = next(c for c in sign_in(client).headers.get_list("set-cookie") if c.startswith(COOKIE))
    for mark in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"):
        assert mark in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie


def test_over_https_cookies_are_secure_and_tied_to_the_host(make_client):
    client = make_client(base_url="https://localhost")
    cookies = sign_in(client).headers.get_list("set-cookie")
    cookie = next(c for c in cookies if c.startswith(f"__Host-{COOKIE}"))
    assert "Secure" in cookie
    assert client.get("/").status_code == 200


def test_behind_a_proxy_that_speaks_https_cookies_are_secure_too(make_client):
    client = make_client(base_url="http://churn.example.com", public_url="https://churn.example.com")
    shown = client.get("/sign-in")
    assert "__Host-churnrisk_form" in shown.headers["set-cookie"]
    assert "strict-transport-security" in shown.headers


def test_only_a_digest_of_the_session_is_stored(rex, store):
    (row,) = all_rows(store, sessions)
    assert re.fullmatch("[0-9a-f]{64}", row["digest"])
    assert row["digest"] not in rex.cookies[COOKIE]
    stored = (
        str(all_rows(store, sessions)) + str(all_rows(store, users)) + str(all_rows(store, sign_in_attempts))
    )
    assert PASSWORD not in stored
    assert all(user["password_hash"].startswith("$argon2id$") for user in all_rows(store, users))


def test_signing_in_takes_a_new_session_and_ends_the_one_brought_along(rex, store):
    brought = rex.cookies[COOKIE]
    form = {"csrf_token": token_of(rex.get("/")), "name": "vic", "password": PASSWORD}
    assert rex.post("/sign-in", data=form).status_code == 303
    assert rex.cookies[COOKIE] != brought
    assert "hello vic" in rex.get("/").text
    rex.cookies.clear()
    assert rex.get("/", headers={"cookie": f"{COOKIE}={brought}"}).status_code == 303
    assert len(all_rows(store, sessions)) == 1


def test_an_id_that_an_attacker_chose_is_never_taken_up(client, store):
    fixed = Signer(b"x" * 32).seal(COOKIE, "chosen by the attacker")
    client.cookies.set(COOKIE, fixed)
    assert client.get("/").status_code == 303
    sign_in(client)
    assert fixed not in client.cookies.get(COOKIE, domain="localhost.local", default="")
    assert "chosen" not in str(all_rows(store, sessions))


def test_a_tampered_cookie_is_no_session(rex):
    good = rex.cookies[COOKIE]
    rex.cookies.clear()
    for bad in (
        # not the last character, some bits of which say nothing
        good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
        "x" + good,
        good.partition(".")[0],
        "",
        "....",
        "\x7f",
    ):
        assert rex.get("/", headers={"cookie": f"{COOKIE}={bad}"}).status_code == 303
    assert rex.get("/", headers={"cookie": f"{COOKIE}={good}"}).status_code == 200


def test_a_cookie_of_one_purpose_does_not_serve_another(client, store, project):
    keys = Signer(load_secret(project.directory))
    client.get("/sign-in")
    for purpose in ("churnrisk_form", "churnrisk_flash", "kept"):
        client.cookies.set(COOKIE, keys.seal(purpose, "x"))
        assert client.get("/").status_code == 303


def test_signing_out_ends_the_session_on_the_server_too(rex, store):
    cookie = rex.cookies[COOKIE]
    answered = rex.post("/sign-out", data={"csrf_token": token_of(rex.get("/"))})
    assert (answered.status_code, answered.headers["location"]) == (303, "/sign-in")
    assert all_rows(store, sessions) == []
    assert "You are signed out." in rex.get("/sign-in").text
    rex.cookies.clear()
    assert rex.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 303


def move_sessions(store, **changes):
    with store.database.writing() as connection:
        connection.execute(update(sessions).values(**changes))


@pytest.mark.parametrize(
    "over",
    [
        {"seen_at": datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=13)},
        {"expires_at": datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1)},
    ],
    ids=["unused", "too old"],
)
def test_an_expired_session_leads_to_sign_in_and_back(rex, store, over):
    move_sessions(store, **over)
    answered = rex.get("/admin?colour=red&q=a b")
    assert answered.status_code == 303
    assert answered.headers["location"] == "/sign-in?next=/admin%3Fcolour%3Dred%26q%3Da%2520b"
    shown = rex.get(answered.headers["location"])
    assert 'name="next" value="/admin?colour=red&amp;q=a%20b"' in shown.text


def test_what_was_typed_when_the_session_ran_out_can_be_sent_after_signing_in(rex, store):
    form = {"csrf_token": token_of(rex.get("/")), "text": "<b>long story</b>", "new_password": "secret!"}
    move_sessions(store, expires_at=datetime(2026, 1, 1))
    headers = {"origin": "http://localhost", "referer": "http://localhost/admin?x=1"}
    refused = rex.post("/note", data=form | {"up": "/", "kind": "note"}, headers=headers)
    assert refused.status_code == 401
    assert 'name="next" value="/admin?x=1"' in refused.text
    assert "&lt;b&gt;long story&lt;/b&gt;" in refused.text
    assert "secret!" not in refused.text
    sealed = re.search(r'name="kept" value="([^"]+)"', refused.text).group(1)
    entered = rex.post(
        "/sign-in",
        data={"csrf_token": token_of(refused), "name": "rex", "password": PASSWORD, "kept": sealed},
    )
    assert "Send it now?" in entered.text
    assert 'action="/note"' in entered.text
    again = {name: value for name, value in form.items() if name == "text"} | {
        "csrf_token": token_of(entered)
    }
    assert rex.post("/note", data=again).text == "rex: <b>long story</b>"


def test_a_form_without_texts_says_what_it_was_to_change(client):
    refused = client.post(
        "/note", data={"kind": "end_override"}, headers={"referer": "http://localhost/a//b"}
    )
    assert "end_override" in refused.text


@pytest.mark.parametrize(
    "page", ["http://localhost//evil.example", "http://localhost/\\evil", "http://localhost"]
)
def test_after_a_lost_form_one_comes_back_to_our_own_pages_only(client, page):
    refused = client.post("/note", data={"text": "x"}, headers={"referer": page})
    assert 'name="next" value="/"' in refused.text


def test_what_another_site_sent_is_not_stored(client):
    refused = client.post("/note", data={"text": "planted"}, headers={"origin": "http://evil.example"})
    assert refused.status_code == 403
    unsaid = client.post("/note", data={"text": "planted"})
    assert unsaid.status_code == 401
    assert 'name="kept"' not in unsaid.text


def test_a_forged_unsent_form_is_ignored(client):
    entered = sign_in(client, kept="WyIvbm90ZSIsW1sidGV4dCIsImV2aWwiXV1d.aaaa.bbbb")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)",
        "/\t/evil.example", "/ok\r\nset-cookie: x=1", "evil", "", "http:evil.example", "/a\\b",
    ],
)  # fmt: skip
def test_signing_in_never_leads_to_another_site(client, target):
    answered = sign_in(client, next=target)
    assert (answered.status_code, answered.headers["location"]) == (303, "/")
    assert "x=1" not in str(answered.headers.get_list("set-cookie"))
    assert client.get("/sign-in", params={"next": target}).headers["location"] == "/"


def test_signing_in_leads_to_the_requested_page(client):
    answered = sign_in(client, next="/accounts/A%2F1?q=x#top")
    assert answered.headers["location"] == "/accounts/A%2F1?q=x#top"


def test_after_five_wrong_passwords_the_page_says_how_long_to_wait(client):
    for _ in range(5):
        assert sign_in(client, password="wrong password!").status_code == 401
    waiting = sign_in(client)
    assert waiting.status_code == 429
    assert "Too many attempts. Try again in 15 minutes." in waiting.text
    assert 880 <= int(waiting.headers["retry-after"]) <= 900


def test_the_limit_survives_a_restart_and_spares_others(client, make_client, store):
    for _ in range(5):
        sign_in(client, password="wrong password!")
    another = make_client()
    assert sign_in(another).status_code == 429
    assert sign_in(another, "vic").status_code == 303


def test_waiting_helps(client, store):
    for _ in range(5):
        sign_in(client, password="wrong password!")
    earlier = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=15)
    with store.database.writing() as connection:
        connection.execute(update(sign_in_attempts).values(at=earlier))
    assert sign_in(client).status_code == 303


def test_a_password_changed_elsewhere_ends_the_session(rex, store):
    change_password(store, "rex", "another long password")
    assert rex.get("/").status_code == 303


def change(client, **fields):
    form = {
        "csrf_token": token_of(client.get("/password")), "present_password": PASSWORD,
        "new_password": "a new long password", "new_password_again": "a new long password",
    }  # fmt: skip
    return client.post("/password", data=form | fields)


def test_people_change_their_own_password_and_stay_signed_in_here_only(rex, make_client, store):
    elsewhere = make_client()
    sign_in(elsewhere)
    cookie = rex.cookies[COOKIE]
    assert change(rex).status_code == 303
    assert rex.cookies[COOKIE] != cookie
    assert "Your password is changed" in rex.get("/").text
    assert elsewhere.get("/").status_code == 303
    assert sign_in(elsewhere).status_code == 401
    assert sign_in(elsewhere, password="a new long password").status_code == 303


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"present_password": "not mine at all"}, "The present password is wrong."),
        ({"new_password_again": "something else!!"}, "passwords differ"),
        ({"new_password": "short", "new_password_again": "short"}, "at least 12 characters, found 5"),
        ({"new_password": "a" * 20, "new_password_again": "a" * 20}, "different characters"),
        ({"new_password": "I am Rexxxx", "new_password_again": "I am Rexxxx"}, "at least 12"),
    ],
)
def test_a_password_that_cannot_be_is_refused_and_changes_nothing(rex, fields, message):
    answered = change(rex, **fields)
    assert answered.status_code == 422
    assert message in answered.text
    assert rex.get("/").status_code == 200


def test_a_message_is_shown_once_and_cannot_be_forged(rex, project):
    rex.post("/note", data={"csrf_token": token_of(rex.get("/")), "text": "<i>x</i>"})
    shown = rex.get("/").text
    assert "noted &lt;i&gt;x&lt;/i&gt;" in shown
    assert "/changes/7/undo" in shown
    assert "noted" not in rex.get("/").text
    rex.cookies.set("churnrisk_flash", Signer(b"y" * 32).seal("churnrisk_flash", [{"text": "forged"}]))
    assert "forged" not in rex.get("/").text
