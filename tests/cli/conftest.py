"""A command line to run, and one small world that has been through the main job."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from churnrisk.cli import app, main
from churnrisk.sample import make_world, write_world


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run ``churnrisk`` with arguments as the installed command would, in this process."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr("sys.argv", ["churnrisk", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        caught = capsys.readouterr()
        code = left.value.code
        assert "Traceback" not in caught.err
        return Ran(code if isinstance(code, int) else 0, caught.out, caught.err)

    return run


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder of 700 accounts and 14 months; copy it before you write to it."""
    folder = tmp_path_factory.mktemp("world") / "project"
    write_world(make_world(seed=3, accounts=700, months=14), folder)
    settings = folder / "churnrisk.toml"
    # a small world needs its few snapshots for training
    smaller = re.sub(r"calibration_snapshots = \d+", "calibration_snapshots = 2", settings.read_text())
    settings.write_text(smaller.replace("[model]", '[model]\ncandidates = ["logistic", "additive"]'))
    return folder


@pytest.fixture(scope="session")
def scored_world(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world after train, promote and two scoring runs; copy it before you write to it."""
    folder = tmp_path_factory.mktemp("scored") / "project"
    shutil.copytree(small_world, folder)
    for arguments in (
        ["train"],
        ["promote", "--author", "test"],
        ["score", "--as-of", "2026-06-01"],
        ["score"],
    ):
        app(["--project", str(folder), *arguments], standalone_mode=False)
    return folder


@pytest.fixture
def project(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world."""
    return Path(shutil.copytree(small_world, tmp_path / "project"))


@pytest.fixture
def scored(scored_world: Path, tmp_path: Path) -> Path:
    """A copy of the scored world."""
    return Path(shutil.copytree(scored_world, tmp_path / "scored"))
