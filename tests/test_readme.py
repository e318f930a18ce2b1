"""What the README shows can be typed."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from churnrisk.cli.app import app

README = Path(__file__).parents[1] / "README.md"
COMMANDS = sorted(set(re.findall(r"^\$ churnrisk (.+)$", README.read_text("utf-8"), re.MULTILINE)))


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_is_one(command):
    assert CliRunner().invoke(app, [*shlex.split(command), "--help"]).exit_code == 0


def test_every_make_target_in_the_readme_exists():
    targets = set(
        re.findall(r"^([a-z]+):.*##", (README.parent / "Makefile").read_text("utf-8"), re.MULTILINE)
    )
    assert set(re.findall(r"\bmake ([a-z]+)`", README.read_text("utf-8"))) <= targets


def test_the_python_example_runs(small_world, tmp_path, monkeypatch):
    shutil.copytree(small_world, tmp_path / "acme")
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert example is not None
    names: dict[str, object] = {}
    exec(example[1], names)
    assert len(names["panel"].X) > 1000  # type: ignore[attr-defined]
