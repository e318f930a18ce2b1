"""A model leaves its registry as one file and scores the same without it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from churnrisk.tracking import pack, unpack
from tests.cli.conftest import WITHOUT_MLFLOW


@pytest.fixture
def elsewhere(small_world: Path, tmp_path: Path) -> Path:
    """The same tables where nothing was ever trained."""
    without = shutil.ignore_patterns("models")
    return Path(shutil.copytree(small_world, tmp_path / "elsewhere" / "project", ignore=without))


def test_a_bundle_scores_without_mlflow_just_as_the_champion_does(cli, scored, elsewhere, bundle, tmp_path):
    by_bundle, by_champion = tmp_path / "bundle.parquet", tmp_path / "champion.parquet"
    as_of = ("--as-of", "2026-05-02")
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_MLFLOW, "--project", elsewhere, "score", *as_of, "--bundle", bundle,
         "--output", by_bundle],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "published run 1 as of 2026-05-02" in ran.stderr
    assert not (elsewhere / "models").exists()
    cli("--project", scored, "score", *as_of, "--dry-run", "--output", by_champion)
    pd.testing.assert_frame_equal(pd.read_parquet(by_bundle), pd.read_parquet(by_champion))


def test_a_run_by_the_champion_and_one_by_its_bundle_are_the_same_run(cli, scored, bundle):
    ran = cli("--project", scored, "score", "--bundle", bundle)
    assert ran.code == 0
    assert "published already; nothing to do" in ran.err


def test_a_project_scored_with_a_bundle_has_a_list_and_a_report(cli, elsewhere, bundle, tmp_path):
    assert cli("--project", elsewhere, "score", "--bundle", bundle).code == 0
    assert cli("--project", elsewhere, "score", "--bundle", bundle).err.count("nothing to do") == 1
    page = tmp_path / "monday.html"
    assert cli("--project", elsewhere, "report", "--output", page).code == 0
    first = cli("--project", elsewhere, "redlist", "--limit", 1, "--format", "csv").out.splitlines()[1]
    assert first.split(",")[1] in page.read_text()


def test_export_says_what_it_wrote_and_keeps_the_model_card_and_versions(cli, scored, tmp_path):
    target = tmp_path / "churn.joblib"
    ran = cli("--project", scored, "export", target, "--version", 1)
    held = unpack(target.read_bytes(), name="churn.joblib")
    assert ran.code == 0
    assert f"version 1, {target.stat().st_size:,} bytes, SHA-256 {held.digest}" in ran.err
    card = held.stored.texts["model_card.md"]
    assert card.startswith("# Churn model of ")
    assert "## What happened to the colours there within 30 days" in card
    assert "\nlight: " in card
    assert {"python", "scikit-learn", "numpy", "churnrisk"} <= set(held.stored.versions)
    before = target.read_bytes()
    assert cli("--project", scored, "export", target).code == 0
    assert target.read_bytes() == before


def test_export_replaces_no_file_of_yours(cli, scored):
    tables = scored / "churnrisk.toml"
    before = tables.read_text()
    ran = cli("--project", scored, "export", tables)
    assert (ran.code, tables.read_text()) == (2, before)
    assert "is something else. Choose another name." in ran.err


def test_export_without_a_champion_or_of_an_unknown_version_says_so(cli, scored, elsewhere, tmp_path):
    assert cli("--project", elsewhere, "export", tmp_path / "a.joblib").code == 5
    ran = cli("--project", scored, "export", tmp_path / "a.joblib", "--version", 7)
    assert ran.code == 2
    assert "there is no model version 7" in ran.err
    assert not (tmp_path / "a.joblib").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:5000], "altered or cut short"),
        (
            lambda content: content[:9000] + bytes([content[9000] ^ 4]) + content[9001:],
            "altered or cut short",
        ),
        (lambda content: b"", "is none"),
        (lambda content: content.replace(b"bundle 1", b"bundle 9", 1), "says format 9"),
    ],
)
def test_a_damaged_bundle_is_refused_with_exit_code_2_and_nothing_is_published(
    cli, elsewhere, bundle, tmp_path, damage, said
):
    broken = tmp_path / "broken.joblib"
    broken.write_bytes(damage(bundle.read_bytes()))
    ran = cli("--project", elsewhere, "score", "--bundle", broken)
    assert ran.code == 2
    assert said in ran.err
    assert not (elsewhere / "history.db").exists()


def test_a_bundle_that_is_not_there_or_is_a_folder_is_named(cli, elsewhere, tmp_path):
    for path in (tmp_path / "nowhere.joblib", tmp_path):
        ran = cli("--project", elsewhere, "score", "--bundle", path)
        assert ran.code == 2
        assert f"expected a bundle at {path}" in ran.err


def test_a_bundle_of_another_project_is_pointed_out(cli, elsewhere, bundle):
    settings = elsewhere / "churnrisk.toml"
    name = unpack(bundle.read_bytes(), name="b").project
    settings.write_text(settings.read_text().replace(f'name = "{name}"', 'name = "Another"'))
    ran = cli("--project", elsewhere, "score", "--dry-run", "--bundle", bundle)
    assert ran.code == 0
    assert f"was trained in project {name!r}, this one is 'Another'" in ran.err


def test_a_bundle_that_the_tables_do_not_feed_names_what_is_missing(cli, elsewhere, bundle):
    settings = elsewhere / "churnrisk.toml"
    settings.write_text(
        settings.read_text().replace("[features]", '[features]\nexclude = ["active_days_30"]')
    )
    ran = cli("--project", elsewhere, "score", "--bundle", bundle)
    assert ran.code == 2
    assert "reads active_days_30, which today's tables and settings do not feed" in ran.err


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("policy.json", {}, "found ChurnClassifier without thresholds"),
        ("policy.json", {"light": 7}, "saved traffic light cannot be read"),
        ("profile.json", [], "found documents that are not"),
        ("features.json", [{"name": "seats"}], "found documents that are not: TypeError"),
        ("features.json", [], "with 0 features"),
    ],
)
def test_a_whole_bundle_of_something_else_than_a_churn_model_is_refused(
    cli, elsewhere, bundle, tmp_path, name, changed, said
):
    held = unpack(bundle.read_bytes(), name="b")
    other = replace(held.stored, documents={**held.stored.documents, name: changed})
    (tmp_path / "other.joblib").write_bytes(pack(other, project=held.project))
    ran = cli("--project", elsewhere, "score", "--bundle", tmp_path / "other.joblib")
    assert ran.code == 2
    assert said in ran.err


def test_thresholds_that_were_set_for_another_model_are_refused(cli, elsewhere, bundle, tmp_path):
    held = unpack(bundle.read_bytes(), name="b")
    policy = held.stored.documents["policy.json"]
    probe = {**policy["probe"], "log_odds": [value + 0.5 for value in policy["probe"]["log_odds"]]}
    other = replace(
        held.stored, documents={**held.stored.documents, "policy.json": {**policy, "probe": probe}}
    )
    (tmp_path / "other.joblib").write_bytes(pack(other, project=held.project))
    ran = cli("--project", elsewhere, "score", "--bundle", tmp_path / "other.joblib")
    assert ran.code == 2
    assert "were set for another model" in ran.err
