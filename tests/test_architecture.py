"""Imports stay light, and the walls between layers stand."""

from __future__ import annotations

import shutil
import subprocess
import sys
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
        ("report/offender.py", "def late():\n    import mlflow\n", "mlflow stays in tracking BROKEN"),
        ("model/offender.py", "import duckdb\n", "duckdb, sqlglot and pyspark stay in sources BROKEN"),
        ("tracking/offender.py", "import sqlalchemy\n", "alembic in history BROKEN"),
        ("contract/offender.py", "import churnrisk.features\n", "siblings never meet BROKEN"),
        ("history/offender.py", "import churnrisk.tracking\n", "siblings never meet BROKEN"),
        ("offender.py", "", "siblings never meet BROKEN"),
    ],
)
def test_an_import_through_a_wall_is_caught(
    copy_of_the_package: Path, file: str, code: str, broken: str
) -> None:
    (copy_of_the_package / "churnrisk" / file).write_text(code)
    ran = lint_imports(copy_of_the_package)
    assert ran.returncode == 1
    assert broken in " ".join(ran.stdout.split())


@pytest.mark.parametrize("package", ["decision", "model"])
def test_no_lazy_name_is_that_of_its_module(package: str) -> None:
    from importlib import import_module

    homes = import_module(f"churnrisk.{package}")._HOMES
    # importing the module would put it in the place of the name
    assert set(homes) & set(homes.values()) == set()
