"""`churnrisk monitor`: what the colours promise, how it stands, and an exit code for the batch job."""

import csv
import json
import shutil

import pytest

from churnrisk.settings import load_project
from tests.scoring.test_sinks import break_the_promise_of_green


@pytest.fixture
def folder(scored_world, tmp_path):
    return shutil.copytree(scored_world, tmp_path / "scored")


def test_before_the_first_outcome_it_says_when_that_will_be_and_ends_well(cli, folder):
    ran = cli("-p", folder, "monitor")
    assert ran.code == 0
    assert "model version 1, latest run as of 2026-07-01" in ran.out
    assert "churn of at most" in ran.out
    assert "within 30 days" in ran.out
    assert "Not judged yet" in ran.out.replace("\n", " ")


def test_a_withdrawn_promise_ends_with_6_and_says_why(cli, folder, tmp_path):
    project = load_project(folder)
    break_the_promise_of_green(project)
    scored = cli("-p", folder, "score", "--as-of", "2026-06-15", "--force")
    assert scored.code == 0
    assert "note: green of model version 1: withdrawn since" in scored.err
    ran = cli("-p", folder, "monitor", "--format", "json")
    assert ran.code == 6
    assert ran.err.startswith(
        "error: expected the promises of model version 1 to hold, found green: withdrawn since"
    )
    green, amber, red = json.loads(ran.out)
    # the third was not needed
    assert (green["windows"], green["rows"], green["churned"]) == (2, 1000, 400)
    assert [one["state"] for one in (green, amber, red)] == ["withdrawn", "no promise", "in force"]
    assert (green["promise"], amber["promise"]) == (None, None)
    assert green["e_value"] >= 100
    assert green["withdrawn_at"] is not None
    assert red["withdrawn_at"] is None
    assert cli("-p", folder, "report", "--output", tmp_path / "report.html").code == 0
    assert "%, withdrawn since 20" in (tmp_path / "report.html").read_text("utf-8")
    target = tmp_path / "promises.csv"
    assert cli("-p", folder, "monitor", "--output", target).code == 6
    rows = csv.DictReader(target.read_text("utf-8").splitlines())
    assert [row["colour"] for row in rows] == ["green", "amber", "red"]


def test_without_a_run_there_is_nothing_to_monitor(cli, project):
    ran = cli("-p", project, "monitor")
    assert ran.code == 2
    assert ran.err == "error: nothing has been scored yet. Run `churnrisk score`.\n"
