import asyncio
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from churnrisk.records import Role
from churnrisk.web import Listener
from tests.web.conftest import PASSWORD, add_people, serving
from tests.web.running import to_its_end


def refused(project, *arguments):
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), "serve", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


@pytest.fixture
def project(scored_world, tmp_path):
    return Path(shutil.copytree(scored_world, tmp_path / "project"))


def test_nothing_scored_is_said_with_what_to_do(small_world, tmp_path):
    code, said = refused(Path(shutil.copytree(small_world, tmp_path / "raw")))
    assert code == 2
    assert "nothing has been scored yet. Run `churnrisk score`" in said


def test_nobody_to_sign_in_is_said_with_what_to_do(project):
    code, said = refused(project, "--port", "0")
    assert code == 2
    assert "churnrisk user add NAME --role admin" in said


def test_a_taken_port_is_said_and_another_one_proposed(project):
    add_people(project, {"vic": Role.VIEWER})
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, said = refused(project, "--port", str(port))
    assert code == 2
    assert f"port {port} of 127.0.0.1 is taken" in said
    assert f"--port {port + 1}" in said


def test_an_address_of_another_machine_is_said(project):
    add_people(project, {"vic": Role.VIEWER})
    code, said = refused(project, "--host", "192.0.2.1")
    assert code == 2
    assert "cannot listen on 192.0.2.1" in said


@pytest.mark.parametrize("workers", ["1", "2", ""], ids=["one", "two", "as usual"])
def test_ctrl_c_ends_it_cleanly(project, workers):
    add_people(project, {"vic": Role.VIEWER})
    with serving(project, workers=workers) as site:
        with urllib.request.urlopen(f"{site.url}/sign-in") as answer:
            assert answer.status == 200
        site.process.send_signal(signal.SIGINT)
        assert site.process.wait(timeout=20) == 0


@pytest.mark.parametrize("workers", ["1", "2"], ids=["one", "two"])
def test_ctrl_c_while_it_starts_ends_it_cleanly_too(project, workers):
    add_people(project, {"vic": Role.VIEWER})
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), "serve", "--port", "0"]
    for seconds in (0, 0.3):
        process = subprocess.Popen([*command, "--workers", workers], stderr=subprocess.PIPE, text=True)
        process.stderr.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        assert (process.returncode, said) in ((0, "ended\n"), (130, ""))


def test_the_end_of_a_page_does_not_wait_for_the_receipt_of_its_beginning():
    async def is_sent_at_once():
        with Listener("127.0.0.1", 0) as listener:
            accepted = asyncio.get_running_loop().create_future()
            server = await asyncio.start_server(
                lambda _, writer: accepted.set_result(writer), sock=listener.socket
            )
            async with server:
                with socket.create_connection(listener.socket.getsockname()[:2]):
                    writer = await accepted
                    found = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    writer.close()
                    return found

    assert to_its_end(is_sent_at_once())


def test_every_answer_says_how_long_the_server_took(project):
    add_people(project, {"vic": Role.VIEWER})
    with serving(project) as site, urllib.request.urlopen(f"{site.url}/sign-in") as answer:
        assert re.fullmatch(r"total;dur=\d+\.\d", answer.headers["server-timing"])


def test_the_address_that_is_listened_at_is_answered_under_its_own_name(project):
    add_people(project, {"vic": Role.VIEWER})
    # all of 127/8 is this machine, and only 127.0.0.1 needs no naming
    with serving(project, "--host", "127.0.0.2") as site:
        assert "127.0.0.2" in site.url
        with urllib.request.urlopen(f"{site.url}/sign-in") as answer:
            assert answer.status == 200
        request = urllib.request.Request(f"{site.url}/sign-in", headers={"host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request)


def test_at_every_address_the_machines_name_is_answered_and_named(project):
    add_people(project, {"vic": Role.VIEWER})
    with Listener("0.0.0.0", 0) as listener:
        assert listener.names == (socket.gethostname(),)


def test_other_hosts_are_warned_about_in_plain_words(project):
    add_people(project, {"vic": Role.VIEWER})
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), "serve", "--port", "0"]
    process = subprocess.Popen([*command, "--host", "0.0.0.0"], stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline()
    finally:
        process.kill()
        process.communicate()
    assert said.startswith("warning: everybody who can reach 0.0.0.0 can reach the sign-in page.")
    assert socket.gethostname() in said
    assert "allowed_hosts in churnrisk.toml" in said


def test_a_database_that_goes_away_is_a_page_and_what_was_typed_is_kept(project):
    add_people(project, {"rex": Role.REVIEWER})
    with serving(project) as site:
        browser = Client(site.url)
        browser.sign_in("rex")
        path = re.search(r'href="(/accounts/[^"?]+)"', browser.get("/")[1]).group(1)
        form = browser.get(path)[1]
        holder = writer_of(project)
        try:
            fields = {"kind": "note", "note": "typed with care", "version": "0"}
            status, text = browser.post(f"{path}/reviews", fields, token_of(form))
        finally:
            holder.terminate()
            holder.communicate(timeout=20)
        assert status == 503
        assert "The database is away" in text
        assert "typed with care" in text
        status, text = browser.post(f"{path}/reviews", fields, token_of(form))
        assert status == 200
        assert "Note: typed with care" in text


def writer_of(project):
    """Start a process that holds the history for itself."""
    code = (
        "import sqlite3, sys, time\n"
        f"store = sqlite3.connect({str(project / 'history.db')!r}, isolation_level=None)\n"
        "store.execute('begin immediate')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def token_of(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)


class Client:
    """A browser without a window or scripts, for what needs no more."""

    def __init__(self, url):
        from http.cookiejar import CookieJar

        self.url = url
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def sign_in(self, name):
        page = self.get("/sign-in")[1]
        self.post("/sign-in", {"name": name, "password": PASSWORD, "next": "/"}, token_of(page))

    def get(self, path):
        return self._open(self.url + path)

    def post(self, path, fields, token):
        from urllib.parse import urlencode

        body = urlencode(fields | {"csrf_token": token}).encode()
        return self._open(urllib.request.Request(self.url + path, data=body))

    def _open(self, request):
        from urllib.error import HTTPError

        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()


def test_the_queue_stays_long_whatever_a_process_asks_for():
    with Listener("127.0.0.1", 0) as listener:
        listener.socket.listen(1)
        address = listener.socket.getsockname()
        with ExitStack() as opened:
            for _ in range(50):
                opened.enter_context(socket.create_connection(address, timeout=1))
