"""`churnrisk evaluate --backtest` through the command line."""

import json

import pandas as pd
import pytest

from churnrisk.training import measure as workflow


def test_the_backtest_shows_promises_outcomes_and_stability_in_every_form(cli, scored, tmp_path, monkeypatch):
    real, found = workflow.backtest, []

    def once(project, **options):
        # a model is trained for each snapshot: that is done for the first form only
        if not found:
            found.append(real(project, **options))
        return found[0]

    monkeypatch.setattr(workflow, "backtest", once)
    command = ("--project", scored, "evaluate", "--backtest")
    picture, target = tmp_path / "promises.png", tmp_path / "rows.csv"
    ran = cli(*command, "--plot", picture)
    assert ran.code == 0
    said = " ".join(ran.out.split())  # titles wrap with the width of their table
    assert "Trained at each of" in said
    assert "(the champion's)" in said
    assert "without rules and hysteresis" in said
    assert "colours that change and are back at the next snapshot" in said
    assert "efficiency (share of the probability's information that the colours keep): median" in said
    assert "within 30 days" in said
    assert "is left out" in ran.err
    assert "snapshot 3 of" in ran.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000
    assert cli(*command, "--output", target).code == 0
    rows = pd.read_csv(target)
    whole = json.loads(cli(*command, "--format", "json").out)
    assert len(rows) == len(whole["rows"]) == 3 * whole["summary"]["snapshots"]
    assert list(rows["accounts"]) == [row["accounts"] for row in whole["rows"]]
    assert {"evidence", "evidence_without_rules", "skipped"} <= set(whole)
    assert [one["as_of"] for one in whole["lights"]] == list(
        dict.fromkeys(row["as_of"] for row in whole["rows"])
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "x.png"], "found no --backtest"),
        (["--backtest", "--folds", "5"], "found --folds beside it"),
        (["--backtest", "--model", "3"], "found --model beside it"),
        (["--backtest", "--plot", "x.txt"], "ending in .png, .svg, .pdf"),
    ],
)
def test_options_that_contradict_each_other_are_refused(cli, scored, arguments, message):
    ran = cli("--project", scored, "evaluate", *arguments)
    assert ran.code == 2
    assert message in ran.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('policy = "cost"', "Give both under [decision]"),
        ('policy = "guess"', "policy"),
        ('policy = "certified"\nsave_rate = 0.2', "choose policy = 'cost'"),
    ],
)
def test_a_policy_that_contradicts_itself_is_one_clear_error(cli, project, settings, message):
    toml = project / "churnrisk.toml"
    toml.write_text(toml.read_text().replace('policy = "certified"', settings))
    ran = cli("--project", project, "train")
    assert ran.code == 2
    assert message in ran.err


@pytest.mark.parametrize(
    "settings", ['policy = "capacity"', 'policy = "cost"\nsave_rate = 0.2\ncost_per_contact = 150.0']
)
def test_other_policies_train_and_score(cli, project, settings):
    toml = project / "churnrisk.toml"
    toml.write_text(
        toml.read_text()
        .replace('policy = "certified"', settings)
        .replace('"logistic", "additive"', '"logistic"')
    )
    assert cli("--project", project, "train").code == 0
    assert cli("--project", project, "promote").code == 0
    scores = project / "scores.csv"
    ran = cli("--project", project, "score", "--dry-run", "--output", scores)
    assert ran.code == 0, ran.err
    found = pd.read_csv(scores)
    assert {"red", "amber", "green"} <= set(found["colour"])
    red = found[found["model_colour"] == "red"]
    if "capacity" in settings:
        assert 15 <= len(red) <= 100  # 50 a snapshot on average
    else:
        known = red[red["annual_value"].notna()]
        assert (known["probability"] * known["annual_value"] * 0.2 >= 150.0 - 1e-6).all()
