"""People and tokens through the command line."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time

import pytest

from churnrisk.auth import check_password, password_of
from churnrisk.store import HistoryStore

PASSWORD = "correct horse battery staple"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "churnrisk.toml").write_text("")
    return tmp_path


@pytest.fixture
def typed(monkeypatch):
    """Return a function that puts text on standard input."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def add(cli, folder, typed, *options, name="ana", password=PASSWORD):
    typed(password + "\n")
    return cli("--project", folder, "user", "add", name, "--password-stdin", *options)


def people(cli, folder):
    return json.loads(cli("--project", folder, "user", "list", "--format", "json").out)


def stored_password(folder, name="ana"):
    with HistoryStore(f"sqlite:///{folder / 'history.db'}") as store:
        return password_of(store, name)[1]


def test_a_person_is_added_and_listed(cli, folder, typed):
    ran = add(cli, folder, typed, "--role", "reviewer", "--owner", "Ana Castillo", "--own-only", name="Ana")
    assert (ran.code, "accounts of Ana Castillo" in ran.err) == (0, True)
    (ana,) = people(cli, folder)
    shown = {key: ana[key] for key in ("name", "display_name", "role", "sees", "state")}
    assert shown == {
        "name": "ana", "display_name": "Ana", "role": "reviewer", "sees": "accounts of Ana Castillo", "state": "active"
    }  # fmt: skip
    assert PASSWORD not in ran.out + ran.err + (folder / "history.db").read_bytes().decode("latin-1")
    assert "hash" not in str(ana)


def test_the_password_is_that_of_standard_input_without_its_line_end(cli, folder, typed):
    add(cli, folder, typed, "--role", "viewer", password=PASSWORD + "\r")
    assert check_password(stored_password(folder), PASSWORD)[0]
    assert not check_password(stored_password(folder), PASSWORD + "\n")[0]


def test_there_is_no_way_to_give_a_password_as_an_argument(cli, folder):
    assert "--password " not in cli("user", "add", "--help").out
    assert (
        cli("--project", folder, "user", "add", "ana", "--role", "viewer", "--password", PASSWORD).code == 2
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--role", "boss"], "boss"),
        (["--role", "viewer", "--own-only"], "Add --owner NAME"),
        (["--role", "viewer", "--email", "no address"], "e-mail"),
        (["--role", "viewer", "--owner", " "], "1 to 200"),
        (["--role", "viewer", "--sso-only"], "Add --email"),
    ],
)
def test_bad_input_is_reported_and_adds_nobody(cli, folder, typed, options, message):
    ran = add(cli, folder, typed, *options)
    assert ran.code == 2
    assert message in ran.err
    assert people(cli, folder) == []


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "-x", "é", "a'; drop table users", "<b>"])
def test_a_name_that_cannot_be_typed_everywhere_is_refused(cli, folder, typed, name):
    typed(PASSWORD + "\n")
    ran = cli("--project", folder, "user", "add", "--role", "viewer", "--password-stdin", "--", name)
    assert ran.code == 2
    assert "sign-in name" in ran.err


@pytest.mark.parametrize("password", ["short", "", "a" * 30, "ana and bob and ana", "x" * 201])
def test_a_password_that_is_too_easy_is_refused(cli, folder, typed, password):
    ran = add(
        cli,
        folder,
        typed,
        "--role",
        "viewer",
        name="anabob" if "ana" in password else "ana",
        password=password,
    )
    assert ran.code == (0 if password.startswith("ana and") else 2)


def test_a_password_with_the_name_in_it_is_refused(cli, folder, typed):
    assert add(cli, folder, typed, "--role", "viewer", name="castillo", password="I am Castillo!!").code == 2


def test_without_a_terminal_the_password_is_not_waited_for(cli, folder, typed):
    typed(PASSWORD + "\n")
    ran = cli("--project", folder, "user", "add", "ana", "--role", "viewer")
    assert ran.code == 2
    assert "--password-stdin" in ran.err


def test_at_a_terminal_the_password_is_prompted_for_twice_without_echo(folder):
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "churnrisk", "-p", str(folder), "user", "add", "ana", "--role", "viewer"]
    with subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    ) as process:
        os.close(inner)
        said = b""
        for question in (b"Password", b"again"):
            said += read_until(outer, question, said)
            # what is typed before the echo is off would be thrown away
            wait_for(lambda: not termios.tcgetattr(outer)[3] & termios.ECHO)
            os.write(outer, PASSWORD.encode() + b"\n")
        said += read_until(outer, b"access as viewer", said)
        assert process.wait(timeout=30) == 0
    os.close(outer)
    assert PASSWORD.encode() not in said
    assert check_password(stored_password(folder), PASSWORD)[0]


def read_until(terminal, expected, said):
    """Read what a terminal shows until something stands there, a minute at most."""
    more = b""
    while expected not in said + more:
        assert select.select([terminal], [], [], 60)[0], said + more
        more += os.read(terminal, 1000)
    return more


def wait_for(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_name_is_given_once(cli, folder, typed):
    add(cli, folder, typed, "--role", "viewer")
    ran = add(cli, folder, typed, "--role", "admin", name="ANA")
    assert (ran.code, "has access already" in ran.err) == (2, True)
    assert [person["role"] for person in people(cli, folder)] == ["viewer"]


def test_a_dry_run_checks_and_writes_nothing(cli, folder, typed):
    assert add(cli, folder, typed, "--role", "viewer", "--dry-run").code == 0
    assert add(cli, folder, typed, "--role", "viewer", "--dry-run", password="short").code == 2
    assert people(cli, folder) == []
    assert cli("--project", folder, "token", "add", "crm", "--role", "viewer", "--dry-run").out == ""
    assert json.loads(cli("--project", folder, "token", "list", "--format", "json").out) == []


def test_role_password_and_access_are_changed(cli, folder, typed):
    add(cli, folder, typed, "--role", "viewer")
    assert cli("--project", folder, "user", "role", "ana", "admin").code == 0
    assert people(cli, folder)[0]["role"] == "admin"
    assert cli("--project", folder, "user", "role", "ana", "viewer", "--own-only").code == 2
    own = cli("--project", folder, "user", "role", "ana", "viewer", "--owner", "Ana C", "--own-only")
    assert "the accounts of Ana C" in own.err
    typed("another long password\n")
    assert cli("--project", folder, "user", "password", "ana", "--password-stdin").code == 0
    assert check_password(stored_password(folder), "another long password")[0]
    assert cli("--project", folder, "user", "disable", "ana", "--dry-run").code == 0
    assert people(cli, folder)[0]["state"] == "active"
    cli("--project", folder, "user", "disable", "ana")
    assert people(cli, folder)[0]["state"] == "disabled"
    cli("--project", folder, "user", "disable", "ana", "--undo")
    assert people(cli, folder)[0]["state"] == "active"


@pytest.mark.parametrize("command", [["password"], ["disable"], ["role"]])
def test_somebody_unknown_is_reported(cli, folder, typed, command):
    typed(PASSWORD + "\n")
    extra = {"role": ["viewer"], "password": ["--password-stdin"]}.get(command[0], [])
    ran = cli("--project", folder, "user", *command, "nobody", *extra)
    assert ran.code == 2
    assert "nobody" in ran.err


def test_one_who_comes_by_single_sign_on_has_no_password(cli, folder):
    made = cli(
        "--project", folder, "user", "add", "eva", "--role", "viewer", "--sso-only", "--email", "Eva@x.org"
    )
    assert made.code == 0
    assert people(cli, folder)[0]["email"] == "eva@x.org"
    assert stored_password(folder, "eva") is None


def test_a_token_is_printed_once_and_stored_as_a_digest(cli, folder):
    ran = cli("--project", folder, "token", "add", "our CRM", "--role", "reviewer", "--expires", "2099-01-01")
    text = ran.out.strip()
    assert text.startswith("churnrisk_")
    assert len(text) > 45
    assert text.encode() not in (folder / "history.db").read_bytes()
    (stored,) = json.loads(cli("--project", folder, "token", "list", "--format", "json").out)
    assert (stored["name"], stored["role"], stored["state"]) == ("our CRM", "reviewer", "active")
    assert text.removeprefix("churnrisk_").startswith(stored["prefix"])
    assert text not in str(stored)
    assert cli("--project", folder, "token", "revoke", stored["token_id"], "--dry-run").code == 0
    assert cli("--project", folder, "token", "revoke", stored["token_id"]).code == 0
    assert cli("--project", folder, "token", "revoke", stored["token_id"]).code == 2
    assert (
        json.loads(cli("--project", folder, "token", "list", "--format", "json").out)[0]["state"] == "revoked"
    )


@pytest.mark.parametrize(
    "options",
    [
        ["", "--role", "viewer"],
        ["x", "--role", "viewer", "--expires", "2020-01-01"],
        ["x", "--role", "viewer", "--owner", ""],
        ["x", "--role", "viewer", "--owner", " ", "--dry-run"],
    ],
)
def test_a_token_that_would_be_of_no_use_is_refused(cli, folder, options):
    ran = cli("--project", folder, "token", "add", *options)
    assert (ran.code, ran.out) == (2, "")
