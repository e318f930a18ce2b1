"""What happens after a run is published: a sink and its registry entry are all it takes."""

import json
import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta

import pandas as pd
import pytest

from churnrisk.monitoring import promises
from churnrisk.scoring import SINKS, score
from churnrisk.settings import load_project, open_store
from churnrisk.store import NewRun, write_outcomes


def append_counts(project, run, changes):
    """A sink: one line of JSON per run in the project folder."""
    line = {
        "run_id": run.run_id,
        "red": run.red,
        "newly_red": changes.newly["red"],
        "previous": changes.previous and changes.previous.run_id,
        "withdrawn": [one.text for one in changes.withdrawn],
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


def break_the_promise_of_green(project):
    """Publish three runs of the champion, months ago, whose green accounts have churned since."""
    with open_store(project) as store:
        green = promises(store).colours[0].latest
        for month in (1, 2, 3):
            as_of = datetime(2026, month, 3)
            frame = pd.DataFrame({"account_id": ["C1"], "colour": "green", "decided_by": "model"})
            run = store.publish(NewRun(as_of, as_of + timedelta(days=1), f"{month}", "1", "p"), frame).run
            known_at = as_of + timedelta(days=37)
            final = known_at + timedelta(days=100)
            counts = {"accounts": 500, "known": 500, "churned": 200, "known_at": known_at, "data_end": final}
            write_outcomes(store, [replace(green, run_id=run.run_id, **counts)])


def test_a_run_that_withdraws_a_promise_says_so_to_the_sinks_and_makes_it_no_longer(project, monkeypatch):
    monkeypatch.setitem(SINKS, "the list of runs", append_counts)
    break_the_promise_of_green(project)
    new, again = run_score(project), run_score(project)
    (line,) = (project.directory / "runs.jsonl").read_text().splitlines()
    (said,) = json.loads(line)["withdrawn"]
    assert said.startswith("withdrawn since 2026-07-02, because churn of at most ")
    assert "within 30 days was promised and " in said
    assert f"green of model version 1: {said}" in new.notes
    assert not any("withdrawn" in note for note in again.notes)
    with open_store(project) as store:
        green = promises(store).colours[0]
    # the latest run was published before
    by_date = {run.as_of: run.outcome for run in green.runs}
    assert by_date[datetime(2026, 6, 15)].promise == ""
    assert by_date[datetime(2026, 6, 1)].at_most is not None
    # the easier promises of the ladder are refuted by the same outcomes
    assert said in [one.text for one in green.withdrawn]
