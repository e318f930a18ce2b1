"""A real server process on a free port over a scored project, and a real browser."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from churnrisk.auth import NewUser, add_user
from churnrisk.records import Role
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: The people of every test site.
PEOPLE = {"ana": Role.ADMIN, "rex": Role.REVIEWER, "rita": Role.REVIEWER, "vic": Role.VIEWER}
PASSWORD = "correct horse battery staple"
_READY = re.compile(r"is at (http://\S+);")


@dataclass(frozen=True)
class Site:
    """A running `churnrisk serve`."""

    url: str
    project: Path
    process: subprocess.Popen[str]


def churnrisk(project: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of the real command line on a project."""
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=600, check=True)


@contextmanager
def serving(project: Path, *arguments: str, workers: str = "1") -> Iterator[Site]:
    """Serve a project on a free port until the block ends; one process is up sooner than the usual two."""
    command = [
        sys.executable,
        "-m",
        "churnrisk",
        "--project",
        str(project),
        "serve",
        "--port",
        "0",
        *(("--workers", workers) if workers else ()),
        *arguments,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if found := _READY.search(line):
                break
        else:
            raise AssertionError(f"the server ended: {''.join(said)}")
        # Nobody else reads the pipe: full, it would stop the server.
        threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True).start()
        yield Site(found.group(1).rstrip("/"), project, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        process.stderr.close()


def add_people(project: Path, people: Mapping[str, Role] = PEOPLE) -> None:
    """Give people access to a project."""
    with HistoryStore(load_project(project).store_url) as store:
        for name, role in people.items():
            add_user(store, NewUser(name, role), password=PASSWORD, now=datetime.now(UTC))


@pytest.fixture(scope="module")
def site(scored_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of its own for each test module."""
    project = tmp_path_factory.mktemp("site") / "project"
    shutil.copytree(scored_world, project)
    add_people(project)
    with serving(project) as running:
        yield running


SignedIn = Callable[..., "Page"]


@pytest.fixture
def signed_in(browser: Browser, site: Site) -> Iterator[SignedIn]:
    """Return a function that opens a browser of its own for a person and signs in."""
    opened = []

    def sign_in(name: str = "rex", **options: Any) -> Page:
        context = browser.new_context(base_url=site.url, **({"locale": "en-GB"} | options))
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto("/sign-in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(re.compile(r"/(\?.*)?$"))
        return page

    yield sign_in
    for context in opened:
        context.close()
