"""Imports stay light, and the walls between layers stand."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"pandas", "sklearn", "mlflow", "duckdb", "sqlalchemy", "alembic", "matplotlib", "scipy", "fastapi"}


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter holds after the code."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {line.partition(".")[0] for line in ran.stderr.splitlines()}


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import churnrisk")
    assert "churnrisk" in loaded
    assert loaded & HEAVY == set()


def test_help_loads_nothing_heavy() -> None:
    asked = "CliRunner().invoke(app, ['--help'])"
    loaded = loaded_by(f"from churnrisk.cli import app; from typer.testing import CliRunner; {asked}")
    assert "typer" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.slow
def test_importing_tracking_does_not_import_mlflow() -> None:
    loaded = loaded_by("import churnrisk.tracking")
    assert "churnrisk" in loaded
    assert loaded & {"mlflow", "sklearn", "sqlalchemy"} == set()


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy_of_the_package(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "churnrisk", tmp_path / "churnrisk", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "code", "broken"),
    [
        ("present/offender.py", "def late():\n    import mlflow\n", "mlflow stays in tracking BROKEN"),
        ("model/offender.py", "import duckdb\n", "duckdb, sqlglot and pyspark stay in sources BROKEN"),
        ("tracking/offender.py", "import sqlalchemy\n", "alembic in store BROKEN"),
        ("contract/offender.py", "import churnrisk.features\n", "siblings never meet BROKEN"),
        ("store/offender.py", "import churnrisk.tracking\n", "siblings never meet BROKEN"),
        ("offender.py", "", "siblings never meet BROKEN"),
        (
            "web/offender.py",
            "def late():\n    from churnrisk.store import HistoryStore\n",
            "the model BROKEN",
        ),
        ("cli/offender.py", "from churnrisk.model import evaluate\n", "the model BROKEN"),
        (
            "lights/bounds.py",
            "def late():\n    import churnrisk.lights.certificate\n",
            "a late import BROKEN",
        ),
    ],
)
def test_an_import_through_a_wall_is_caught(
    copy_of_the_package: Path, file: str, code: str, broken: str
) -> None:
    (copy_of_the_package / "churnrisk" / file).write_text(code)
    ran = lint_imports(copy_of_the_package)
    assert ran.returncode == 1
    assert broken in " ".join(ran.stdout.split())


ROOMS = sorted(path.parent for path in (ROOT / "churnrisk").rglob("__init__.pyi"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_every_public_name_of_a_room_is_there(room: Path) -> None:
    """The stub lists what other rooms may use; a name of another file would be replaced when that file is imported."""
    package = import_module(".".join(room.relative_to(ROOT).parts))
    homes = {
        alias.name: node.module
        for node in ast.parse((room / "__init__.pyi").read_text("utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(homes) == sorted(set(package.__all__) - {"__version__"})
    assert [name for name in homes if not hasattr(package, name)] == []
    files = {path.stem for path in room.glob("*.py")}
    assert {name: home for name, home in homes.items() if name in files and name != home} == {}
