"""When accounts are likely to be lost: learned by train, shown by explain and in the scores' file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churnrisk.cli.app import app
from churnrisk.settings import load_project
from churnrisk.tracking import Tracking
from tests.cli.conftest import Cli

LAST = pd.Timestamp("2026-07-01")


@pytest.fixture(scope="module")
def written(scored_world: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The scores' file of a dry run, indexed by account."""
    folder = tmp_path_factory.mktemp("outlook")
    project, file = shutil.copytree(scored_world, folder / "project"), folder / "scores.csv"
    app(["--project", str(project), "score", "--dry-run", "--output", str(file)], standalone_mode=False)
    return pd.read_csv(file, index_col="account_id", parse_dates=["renewal_at"])


def test_the_file_of_the_scores_tells_when_and_never_another_chance_than_the_score(
    written: pd.DataFrame,
) -> None:
    eligible = written[written["probability"].notna()]
    grey = written[written["probability"].isna()]
    assert len(grey)
    assert grey[["lost_by_renewal", "expected_days"]].isna().all(axis=None)
    days = (eligible["renewal_at"] - LAST).dt.days
    now, later = days.between(0, 29), days >= 30
    assert now.sum() > 20
    np.testing.assert_allclose(eligible.loc[now, "lost_by_renewal"], eligible.loc[now, "probability"])
    known = later & eligible["lost_by_renewal"].notna()
    assert (eligible.loc[known, "lost_by_renewal"] > eligible.loc[known, "probability"]).all()
    assert (eligible["lost_by_end"] >= eligible["probability"]).all()
    assert eligible["outlook_days"].nunique() == 1
    limit = eligible["outlook_days"].iloc[0]
    assert limit > 120
    assert eligible["expected_days"].between(1, limit).all()
    half = eligible["half_lost_days"]
    assert ((eligible["lost_by_end"] >= 0.5) == half.notna()).all()
    assert (half.dropna() <= limit).all()
    loss = eligible["lost_by_renewal"] * eligible["annual_value"]
    np.testing.assert_allclose(eligible["loss_by_renewal"], loss)


def test_explain_says_it_in_one_line_and_as_the_file_does(
    cli: Cli, scored: Path, written: pd.DataFrame
) -> None:
    account = written[written["lost_by_renewal"].notna() & (written["colour"] == "red")].index[0]
    view = json.loads(cli("--project", scored, "explain", account, "--format", "json").out)
    for name in ("lost_by_renewal", "loss_by_renewal", "expected_days", "lost_by_end"):
        assert view["outlook"][name] == written.loc[account, name]
    text = cli("--project", scored, "explain", account).out
    assert f"  {view['outlook']['text']}\n" in text
    assert re.search(
        r"about \d+% to be lost by the renewal on 20\d\d-\d\d-\d\d \(an expected loss of [\d,]+ a year\); "
        r"(half of such accounts are gone within \d+ days|more than half of such accounts are still there after)",
        text,
    )


def test_it_was_said_with_the_score_so_neither_tables_nor_model_need_be_there(
    cli: Cli, scored: Path, written: pd.DataFrame
) -> None:
    account = written[written["colour"] == "red"].index[0]
    (scored / "subscriptions.csv").unlink()
    shutil.rmtree(scored / "models")
    ran = cli("--project", scored, "explain", account)
    assert ran.code == 0
    assert "Why:" in ran.out
    assert "to be lost" in ran.out
    assert ran.err == ""
    grey = written[written["probability"].isna()].index[0]
    assert "to be lost" not in cli("--project", scored, "explain", grey).out


def test_the_curve_is_learned_from_what_was_known_before_the_test_block(scored: Path) -> None:
    project = load_project(scored)
    hazard = Tracking(project.tracking_uri, project.directory, project.experiment).load().classifier.hazard_
    assert hazard.period_days == project.churn.horizon_days
    # 14 months, of which the first 3 are history, and the last 2 snapshots are the test's
    assert 4 <= hazard.n_periods_ <= 9


def test_it_is_left_out_where_the_settings_say_so(cli: Cli, project: Path, tmp_path: Path) -> None:
    settings = project / "churnrisk.toml"
    text = settings.read_text().replace('"logistic", "additive"', '"logistic"')
    settings.write_text(text.replace("[model]\n", "[model]\ntime_to_churn = false\n"))
    cli("--project", project, "train")
    cli("--project", project, "promote", "--author", "test")
    file = tmp_path / "scores.csv"
    assert cli("--project", project, "score", "--output", file).code == 0
    scores = pd.read_csv(file)
    assert "lost_by_renewal" not in scores
    red = scores.loc[scores["colour"] == "red", "account_id"].iloc[0]
    view = json.loads(cli("--project", project, "explain", red, "--format", "json").out)
    assert view["outlook"] is None
