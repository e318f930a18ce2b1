"""What tests of several folders share: the browser, and small worlds that are made once for all workers."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from churnrisk.cli import app
from churnrisk.sample import make_world, write_world
from churnrisk.tracking.store import Store
from tests.absent import absent

# the same examples in every run: a property that fails must fail again for whoever looks
settings.register_profile("churnrisk", derandomize=True, deadline=None, database=None)
settings.load_profile("churnrisk")

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, real sets and Spark, so that no worker waits for another one at the end."""
    slow = ("/tests/real/", "/test_spark.py")
    items.sort(key=lambda item: not any(name in item.path.as_posix() for name in slow))


Once = Callable[[str, Callable[[Path], None]], Path]


def _files(folder: Path) -> str:
    return "\n".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Once]:
    """Return a function that fills a folder once for all workers: the first that asks works, the others wait.

    A test that puts a file into such a folder would change what others find there, so the run fails.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def made(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = base / name, base / f"{name}.done"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.write_text(_files(folder))
        return folder

    yield made
    for done in base.glob("*.done"):
        now = _files(done.with_suffix(""))
        assert now == done.read_text(), f"a test wrote into {done.stem}: let it work in a copy"


@pytest.fixture(scope="session")
def blank_store(once: Once) -> Path:
    """A store of models without any, which takes MLflow seconds to make; copy it to ``models/mlflow.db``."""

    def fill(folder: Path) -> None:
        with Store(None, folder).opened():
            pass

    return once("blank", fill) / "models" / "mlflow.db"


@pytest.fixture(scope="session")
def small_world(once: Once, blank_store: Path) -> Path:
    """A project folder of 700 accounts and 14 months without a model; copy it before you write to it."""

    def fill(folder: Path) -> None:
        write_world(make_world(seed=3, accounts=700, months=14), folder)
        settings = folder / "churnrisk.toml"
        # a small world needs its few snapshots for training
        smaller = re.sub(r"calibration_snapshots = \d+", "calibration_snapshots = 2", settings.read_text())
        settings.write_text(smaller.replace("[model]", '[model]\ncandidates = ["logistic", "additive"]'))
        (folder / "models").mkdir()
        shutil.copy(blank_store, folder / "models")

    return once("small_world", fill)


@pytest.fixture(scope="session")
def scored_world(small_world: Path, once: Once) -> Path:
    """The small world after train, promote and two scoring runs; copy it before you write to it."""

    def fill(folder: Path) -> None:
        shutil.copytree(small_world, folder, dirs_exist_ok=True)
        for arguments in (
            ["train"],
            ["promote", "--author", "test"],
            ["score", "--as-of", "2026-06-01"],
            ["score"],
        ):
            app(["--project", str(folder), *arguments], standalone_mode=False)

    return once("scored_world", fill)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window; one for all, since a second driver in a process is refused."""
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        absent("the browser tests need Chromium: install Debian's package chromium (make system)")
    with sync_playwright() as driver:
        # Chromium's own sandbox cannot be set up by root, as in containers.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = driver.chromium.launch(executable_path=path, args=options)
        yield running
        running.close()
