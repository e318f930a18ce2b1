"""What happens after a run is published: a sink and its registry entry are all it takes."""

import json
import shutil
from datetime import date, datetime

import pytest

from churnrisk.scoring import SINKS, score
from churnrisk.settings import load_project


def append_counts(project, run, changes):
    """A sink: one line of JSON per run in the project folder."""
    line = {
        "run_id": run.run_id,
        "red": run.red,
        "newly_red": changes.newly["red"],
        "previous": changes.previous and changes.previous.run_id,
    }
    with (project.directory / "runs.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def refuse(project, run, changes):
    """A sink that fails."""
    raise ConnectionError("nobody answers")


@pytest.fixture
def project(scored_world, tmp_path):
    return load_project(shutil.copytree(scored_world, tmp_path / "project"))


def run_score(project, *, dry_run=False):
    return score(
        project,
        as_of=date(2026, 6, 15),
        now=datetime(2026, 7, 2),
        dry_run=dry_run,
        forced_by="test",
        progress=lambda _: None,
    )


def test_a_sink_sees_each_published_run_once_and_a_failing_one_costs_a_note(project, monkeypatch):
    monkeypatch.setitem(SINKS, "the mail server", refuse)
    monkeypatch.setitem(SINKS, "the list of runs", append_counts)
    tried, new, again = run_score(project, dry_run=True), run_score(project), run_score(project)
    (line,) = (project.directory / "runs.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["run_id"], found["red"], found["previous"]) == (new.run.run_id, new.run.red, 1)
    assert 0 < found["newly_red"] <= new.run.red
    failed = f"run {new.run.run_id} is published, but the mail server failed after it: nobody answers"
    assert [failed in scored.notes for scored in (tried, new, again)] == [False, True, False]
    assert (again.run, again.is_new) == (new.run, False)
