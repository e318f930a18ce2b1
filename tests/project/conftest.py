"""One small world for the library's tests: as a project folder, as data frames, and trained."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import churnrisk as cr
from churnrisk.project import OpenProject
from churnrisk.sample import make_world, write_world
from tests.conftest import Once

NOW = datetime(2026, 11, 1)
QUICK = {"model": {"candidates": ["logistic"], "calibration_snapshots": 2}}


@pytest.fixture(scope="session")
def world(once: Once, blank_store: Path) -> Path:
    """A project folder of 500 accounts and 14 months; copy it before you write to it."""

    def fill(folder: Path) -> None:
        write_world(make_world(seed=5, accounts=500, months=14), folder)
        (folder / "models").mkdir()
        shutil.copy(blank_store, folder / "models")

    return once("library", fill)


@pytest.fixture(scope="session")
def frames(world: Path) -> dict[str, pd.DataFrame]:
    """The tables of the world as pandas frames with the contract's names."""
    connection = duckdb.connect()
    connection.execute(f"set file_search_path = '{world}'")
    found: dict[str, pd.DataFrame] = {}
    for name, config in cr.load(world).settings.tables.items():
        source = config.sql or f"select * from read_csv('{config.path}', all_varchar = true)"
        frame = connection.sql(source).df()
        found[name] = frame.rename(columns={own: new for new, own in config.columns.items()})
    connection.close()
    return found


@pytest.fixture(scope="session")
def trained_world(world: Path, once: Once) -> Path:
    """The world after a training that was promoted; copy it before you write to it."""

    def fill(folder: Path) -> None:
        project = cr.load(shutil.copytree(world, folder, dirs_exist_ok=True), now=NOW, **QUICK)
        project.train()
        project.promote(author="test")

    return once("trained", fill)


@pytest.fixture
def project(world: Path, tmp_path: Path) -> OpenProject:
    return cr.load(shutil.copytree(world, tmp_path / "acme"), now=NOW, **QUICK)


@pytest.fixture
def trained(trained_world: Path, tmp_path: Path) -> OpenProject:
    return cr.load(shutil.copytree(trained_world, tmp_path / "acme"), now=NOW, **QUICK)
