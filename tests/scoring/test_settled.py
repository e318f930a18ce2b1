"""A run that has nothing to do knows it before anything is loaded; whatever may have changed is looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from churnrisk.cli.app import app
from churnrisk.scoring import state_of
from churnrisk.settings import load_project
from churnrisk.training import tracking_of

pytestmark = pytest.mark.slow
NOW = datetime(2026, 7, 1, 8)
WITHOUT_SKLEARN = """
import sys
sys.modules["sklearn"] = sys.modules["mlflow"] = None  # importing either raises ImportError
from churnrisk.cli import main
main()
"""


@pytest.fixture
def project(scored_world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored_world, tmp_path / "project"))


def score_again(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_SKLEARN, "--project", str(project), "score"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_scoring_again_loads_no_model(project: Path) -> None:
    app(["--project", str(project), "score"], standalone_mode=False)
    ran = score_again(project)
    assert ran.returncode == 0
    assert "is published already; nothing to do" in ran.stderr


def test_an_override_made_since_is_work(project: Path) -> None:
    app(["--project", str(project), "score"], standalone_mode=False)
    account = (project / "crm_accounts.csv").read_text().splitlines()[1].split(",")[0]
    rest = [
        "--colour",
        "green",
        "--reason",
        "renewed",
        "--until",
        f"{datetime.now() + timedelta(9):%Y-%m-%d}",
    ]
    app(["--project", str(project), "override", account, *rest], standalone_mode=False)
    assert "sklearn" in score_again(project).stderr


def edit_a_byte(project: Path) -> None:
    """Change a file but neither its size nor its time."""
    file = project / "nps.csv"
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[-4] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def change_a_setting(project: Path) -> None:
    file = project / "churnrisk.toml"
    file.write_text(file.read_text().replace("[decision]", "[decision]\nhysteresis_margin = 0.01"))


def change_what_sql_reads(project: Path) -> None:
    with (project / "owner_history.csv").open("a") as file:
        file.write("C1,2026-01-01,Somebody,1\n")


def take_the_champion_away(project: Path) -> None:
    with tracking_of(load_project(project)).opened() as client:
        client.delete_registered_model_alias("churn", "champion")


@pytest.mark.parametrize(
    "change", [edit_a_byte, change_a_setting, change_what_sql_reads, take_the_champion_away]
)
def test_every_change_is_another_state(project: Path, change: Callable[[Path], None]) -> None:
    def state(now: datetime = NOW) -> str | None:
        return state_of(load_project(project), now=now, request=(None, False))

    before = state()
    assert before is not None
    assert before == state(NOW + timedelta(hours=9))
    assert before != state(NOW + timedelta(days=1))
    change(project)
    assert state() not in (None, before)


def test_tables_that_cannot_be_read_have_no_state(project: Path) -> None:
    (project / "nps.csv").unlink()
    assert state_of(load_project(project), now=NOW, request=(None, False)) is None
