"""A command line to run, and copies of the small world, raw and scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Once

WITHOUT_MLFLOW = """
import sys
sys.modules["mlflow"] = None  # importing it raises ImportError
from churnrisk.cli import main
sys.argv = ["churnrisk", *sys.argv[1:]]
main()
"""


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

    from churnrisk.cli.app import main

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


@pytest.fixture
def project(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world."""
    return Path(shutil.copytree(small_world, tmp_path / "project"))


@pytest.fixture
def scored(scored_world: Path, tmp_path: Path) -> Path:
    """A copy of the scored world."""
    return Path(shutil.copytree(scored_world, tmp_path / "scored"))


@pytest.fixture(scope="session")
def twice_trained_world(scored_world: Path, once: Once) -> Path:
    """The scored world with a second version, trained as the first, that is not promoted."""
    from churnrisk.cli.app import app

    def fill(folder: Path) -> None:
        shutil.copytree(scored_world, folder, dirs_exist_ok=True)
        app(["--project", str(folder), "train"], standalone_mode=False)

    return once("twice_trained_world", fill)


@pytest.fixture
def twice_trained(twice_trained_world: Path, tmp_path: Path) -> Path:
    """A copy of the twice trained world."""
    return Path(shutil.copytree(twice_trained_world, tmp_path / "twice_trained"))


@pytest.fixture(scope="session")
def bundle(scored_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the scored world as a file."""
    from churnrisk.cli.app import app

    folder = tmp_path_factory.mktemp("bundle")
    project, target = shutil.copytree(scored_world, folder / "project"), folder / "models" / "churn.joblib"
    app(["--project", str(project), "export", str(target)], standalone_mode=False)
    return target
