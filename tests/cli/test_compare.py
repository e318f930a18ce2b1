"""Two versions side by side, on rows that neither has learned from."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from churnrisk.cli.app import app
from tests.conftest import Once

OWN = '\n[[features.own]]\nname = "twice_30"\nsql = "2 * coalesce(events_30, 0)"\n'


@pytest.fixture(scope="session")
def retrained_world(scored_world: Path, once: Once) -> Path:
    """A second version with another seed, one feature fewer, one of its own more, and one later snapshot learned."""

    def fill(folder: Path) -> None:
        shutil.copytree(scored_world, folder, dirs_exist_ok=True)
        settings = folder / "churnrisk.toml"
        before = settings.read_text()
        changed = before.replace("[features]", '[features]\nexclude = ["seats"]').replace(
            "[model]", "[model]\nseed = 5"
        )
        assert "test_snapshots = 2" in changed
        settings.write_text(changed.replace("test_snapshots = 2", "test_snapshots = 1") + OWN)
        app(["--project", str(folder), "train"], standalone_mode=False)
        settings.write_text(before + OWN)

    return once("retrained_world", fill)


@pytest.fixture
def retrained(retrained_world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(retrained_world, tmp_path / "retrained"))


def test_settings_data_features_and_thresholds_that_differ_are_listed(cli, retrained):
    found = json.loads(cli("--project", retrained, "compare", "champion", "candidate", "-f", "json").out)
    assert (found["first"]["version"], found["second"]["version"]) == (1, 2)
    params = {pair["name"]: (pair["first"], pair["second"]) for pair in found["params"]}
    assert params["seed"] == ("0", "5")
    assert "split" not in params
    assert {"fit", "calibration", "test"} >= {pair["name"] for pair in found["data"]} >= {"test"}
    assert {pair["name"] for pair in found["thresholds"]} & {"amber from", "red from"}
    assert found["features"] == {"added": ["twice_30"], "dropped": ["seats"], "redefined": []}


def test_both_are_measured_on_the_rows_that_neither_has_learned_from(cli, retrained):
    ran = cli("--project", retrained, "compare", "1", "2", "--format", "json")
    found = json.loads(ran.out)
    tested = next(pair for pair in found["data"] if pair["name"] == "test")
    first_date = tested["second"].split(" to ")[0]
    assert f"as of {first_date} to {first_date}" in found["block"]
    assert "1 of the test block's snapshots are left out: version 2 learned from rows" in ran.err
    assert {row["metric"] for row in found["metrics"]} >= {"auc", "log_loss", "brier", "recall_at_capacity"}
    for row in found["metrics"]:
        assert row["difference"] == pytest.approx(row["second"] - row["first"])
        assert row["difference_low"] <= row["difference_high"]


def test_turned_round_the_differences_change_their_sign(cli, retrained):
    def metrics(*versions):
        rows = csv.DictReader(io.StringIO(cli("--project", retrained, "compare", *versions, "-f", "csv").out))
        return {row["metric"]: row for row in rows}

    there, back = metrics("1", "2"), metrics("2", "1")
    assert there.keys() == back.keys()
    for name, row in there.items():
        assert float(row["difference"]) == pytest.approx(-float(back[name]["difference"]))
        assert float(row["difference_low"]) == pytest.approx(-float(back[name]["difference_high"]))
        opposite = {"better": "worse", "worse": "better"}
        assert back[name]["verdict"] == opposite.get(row["verdict"], row["verdict"])


def test_runs_are_named_by_their_id_too_and_people_get_tables(cli, retrained):
    listed = json.loads(cli("--project", retrained, "models", "--format", "json").out)
    by_run = cli("--project", retrained, "compare", *(row["run_id"] for row in reversed(listed)))
    assert by_run.code == 0
    assert by_run.out == cli("--project", retrained, "compare", "1", "2").out
    assert "features added: twice_30" in by_run.out
    assert "features dropped: seats" in by_run.out
    assert "version 1 (champion)" in by_run.out


def test_a_version_that_the_tables_no_longer_feed_is_compared_without_figures(cli, retrained):
    settings = retrained / "churnrisk.toml"
    settings.write_text(settings.read_text().replace("2 * coalesce", "3 * coalesce"))
    ran = cli("--project", retrained, "compare", "1", "2", "--format", "json")
    assert ran.code == 0
    assert "not measured: version 2 was trained on other definitions of twice_30" in ran.err
    assert json.loads(ran.out)["metrics"] == []
    settings.write_text(settings.read_text().replace(OWN.replace("2 *", "3 *"), ""))
    ran = cli("--project", retrained, "compare", "1", "2")
    assert "not measured: version 2 reads twice_30, which today's tables and settings do not feed" in ran.err
    assert "features added: twice_30" in ran.out


def test_one_version_twice_and_versions_that_are_not_there_are_refused(cli, retrained):
    same = cli("--project", retrained, "compare", "champion", "1")
    assert same.code == 2
    assert "expected two versions, found version 1 twice" in same.err
    unknown = cli("--project", retrained, "compare", "1", "9")
    assert unknown.code == 2
    assert "there is no model version 9; there are 1, 2" in unknown.err


def test_nothing_trained_yet_is_said(cli, project):
    assert cli("--project", project, "compare", "1", "2").code == 5


def test_training_goes_on_when_the_champion_reads_a_feature_that_is_left_out_now(cli, scored):
    settings = scored / "churnrisk.toml"
    text = settings.read_text().replace('"logistic", "additive"', '"logistic"')
    settings.write_text(text.replace("[features]", '[features]\nexclude = ["seats"]'))
    ran = cli("--project", scored, "train", "--format", "json")
    assert ran.code == 0
    assert set(json.loads(ran.out)["evaluation"]["figures"]) == {"model", "base rate", "recency rule"}
    assert "not measured beside the champion, version 1: it reads seats" in ran.err
