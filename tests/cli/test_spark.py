"""``churnrisk score`` with ``engine = "spark"``: a real Spark in this machine, next to the run without it."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from churnrisk.settings import load_project
from churnrisk.sources import Engine, open_tables
from churnrisk.store import HistoryStore, read_totals
from tests.cli.conftest import Cli
from tests.sources.sparkling import ONCE_PLANNED

SETTINGS = "".join(f'"{name}" = "{value}"\n' for name, value in ONCE_PLANNED.items())
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def on_spark(project: Path) -> None:
    """Let the events be Parquet, which Spark reads by itself, named as in a lake; the other tables stay CSV files."""
    opened = load_project(project)
    with Engine(opened.engine, base=project) as engine:
        open_tables(engine, opened.tables)
        pq.write_table(engine.arrow("select * from events order by occurred_at"), project / "events.parquet")
    settings = project / "churnrisk.toml"
    text = settings.read_text()
    start, end = text.index("[tables.events]"), text.index("[tables.complaints]")
    events = f'[tables.events]\npath = "file://{project}/events.parquet"\n\n'
    engine = f'\n[engine]\nname = "spark"\nscores = "file://{project}/lake"\n\n[engine.spark]\n'
    settings.write_text(text[:start] + events + text[end:] + engine + SETTINGS)


@pytest.mark.usefixtures("java")
def test_a_run_on_spark_by_a_bundle_equals_the_champions_run_on_this_machine(
    scored: Path,
    bundle: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    on_spark(scored)
    with monkeypatch.context() as without:
        for name in {"mlflow", *sys.modules}:
            if name.partition(".")[0] == "mlflow":
                without.setitem(sys.modules, name, None)  # importing it raises ImportError
        ran = cli("--project", scored, "score", "--bundle", bundle)
    assert ran.code == 0, ran.err
    assert not re.search(r"WARN|Warning|INFO|Exception|log4j", ran.out + ran.err), ran.err
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    with HistoryStore(f"sqlite:///{scored / 'history.db'}") as store:
        on, here, _ = store.runs()
        assert on.as_of == here.as_of
        assert mix(on) == mix(here)
        assert f"published run {on.run_id}" in ran.out + ran.err
        expected, found = store.scores(here.run_id), store.scores(on.run_id)
        with store.database.reading() as connection:
            totals = {run: read_totals(connection, [run]) for run in (on.run_id, here.run_id)}
    assert_same(found, expected[expected["colour"].isin(["red", "amber"])], list(expected.columns))
    assert keyed(totals[on.run_id]) == keyed(totals[here.run_id])
    (folder,) = (scored / "lake").glob("as_of=*/run=*")
    every = ds.dataset(folder, format="parquet").to_table().to_pandas().sort_values("account_id")
    shared = [name for name in every if name in expected]
    assert_same(every, expected, shared)
    assert len(shared) > 10
    # with the champion of the registry it is the same, and a dry run leaves nothing
    tried = cli("--project", scored, "score", "--dry-run")
    assert tried.code == 0, tried.err
    assert all(f" {getattr(on, colour):,} {colour}" in tried.err for colour in ("red", "amber", "grey"))
    assert [place.name for place in folder.parent.iterdir()] == [folder.name]
    assert ds.dataset(folder, format="parquet").count_rows() == len(every)


def test_spark_writes_its_scores_to_a_folder_of_its_own(cli: Cli, project: Path) -> None:
    settings = project / "churnrisk.toml"
    settings.write_text('engine = "spark"\n' + settings.read_text())
    ran = cli("--project", project, "score", "--output", project / "scores.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "Leave out --output" in ran.err


def mix(run: object) -> list[int]:
    return [getattr(run, name) for name in ("accounts", "red", "amber", "green", "grey")]


def keyed(totals: list) -> dict[tuple, list]:
    return {
        (one.segment, one.quarter, one.colour): [
            one.accounts, one.newly, one.renewing, one.dated, one.valued, round(one.annual_value, 4),
            round(one.expected_loss, 4),
        ]
        for one in totals
    }  # fmt: skip


def assert_same(found: pd.DataFrame, expected: pd.DataFrame, columns: list[str]) -> None:
    """Compare scores; a sum over a batch of other size may differ in its last bits."""
    columns = [name for name in columns if name != "run_id"]
    frames = [
        frame[columns].reset_index(drop=True).map(rounded).astype(object) for frame in (found, expected)
    ]
    pd.testing.assert_frame_equal(*frames)


def rounded(value: object) -> object:
    if value is None or value is pd.NaT or value != value:
        return None
    if isinstance(value, str):
        return _NUMBER.sub(lambda number: f"{float(number[0]):.7g}", value)
    return f"{value:.9g}" if isinstance(value, float) else value
