"""What tests of several folders share: markers, the browser, and small worlds that are made once for all workers.

Heavy libraries are imported by the fixture that needs them, so that a quick run does not wait for them.
"""

from __future__ import annotations

import fcntl
import gc
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.absent import absent

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# MLflow, pandas and scikit-learn are a million objects: looking through them often is a twentieth of the time
gc.set_threshold(50_000, 20, 100)

# the same examples in every run: a property that fails must fail again for whoever looks
settings.register_profile("churnrisk", derandomize=True, deadline=None, database=None)
settings.load_profile("churnrisk")

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Whoever requests one of these fixtures, also through others, gets the marker.
_MARKER_OF_FIXTURE = {"browser": "browser", "java": "spark", "once": "slow", "postgres": "slow"}
#: Folders whose tests all get the marker: whole commands, trainings, kernels.
_MARKER_OF_FOLDER = {
    "real": "real",
    "cli": "slow",
    "project": "slow",
    "notebooks": "slow",
    "benchmarks": "slow",
}
_MARKER_OF_FILE = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.(\w+)", re.MULTILINE)


def _marker_of(path: Path) -> str | None:
    """Return the marker of a whole folder or file, without importing it."""
    if path.is_dir():
        return _MARKER_OF_FOLDER.get(path.name) if path.parent == Path(__file__).parent else None
    own = _MARKER_OF_FILE.search(path.read_text("utf-8"))
    return own[1] if own else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what `-m "not slow"` leaves out whole."""
    chosen = config.option.markexpr
    if not re.fullmatch(r"not \w+( and not \w+)*", chosen):
        return None
    if collection_path.is_file() and collection_path.suffix != ".py":
        return None
    return True if _marker_of(collection_path) in re.findall(r"not (\w+)", chosen) else None


@pytest.hookimpl(tryfirst=True)  # before -m deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by folder and fixtures; begin with real sets and Spark, so that no worker waits at the end."""
    for item in items:
        requested = getattr(item, "fixturenames", ())
        markers = {_MARKER_OF_FIXTURE[name] for name in _MARKER_OF_FIXTURE.keys() & requested}
        for marker in markers | {_marker_of(folder) for folder in item.path.parents} - {None}:
            item.add_marker(marker)
    items.sort(key=lambda item: not {"real", "spark"} & {marker.name for marker in item.iter_markers()})


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

    from churnrisk.tracking import Tracking

    def fill(folder: Path) -> None:
        with Tracking(None, folder, "demo").opened():
            pass

    return once("blank", fill) / "models" / "mlflow.db"


@pytest.fixture(scope="session")
def small_world(once: Once, blank_store: Path) -> Path:
    """A project folder of 700 accounts and 14 months without a model; copy it before you write to it."""

    from churnrisk.sample import make_world, write_world

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

    from churnrisk.cli.app import app

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
def java() -> Iterator[None]:
    """One Java for all Spark tests of a worker."""
    if shutil.which("java") is None:
        absent("the Spark tests need Java: install Debian's package default-jre-headless (make system)")
    from tests.sources.sparkling import one_java

    with one_java():
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window; one for all, since a second driver in a process is refused."""
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        absent("the browser tests need Chromium: install Debian's package chromium (make system)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=15_000)  # a busy machine is no failure
    with sync_playwright() as driver:
        # Chromium's own sandbox cannot be set up by root, as in containers.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = driver.chromium.launch(executable_path=path, args=options)
        yield running
        running.close()
