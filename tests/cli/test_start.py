"""Commands that start a project, and what every command owes its user."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from churnrisk.cli.app import app
from tests.sources.company import make_company
from tests.sources.shapes import SHAPES

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Example:" in shown.output


def test_the_version_is_shown(cli):
    assert cli("--version").out.startswith("churnrisk 0.")


def test_an_unknown_command_is_a_usage_error(cli):
    assert cli("scroe").code == 2


def test_init_guesses_the_tables_of_the_sample(cli, project):
    (project / "churnrisk.toml").unlink()
    for extra in ("truth.parquet",):
        (project / extra).unlink()
    dry = cli("init", project, "--dry-run")
    assert dry.code == 0
    assert not (project / "churnrisk.toml").exists()
    ran = cli("init", project)
    assert ran.code == 0
    written = (project / "churnrisk.toml").read_text()
    assert written == dry.out
    for table in ("accounts", "events", "complaints", "subscriptions", "surveys", "attributes"):
        assert f"[tables.{table}]" in written
    assert cli("--project", project, "check").code == 0


def test_init_does_not_replace_settings_unless_forced(cli, project):
    before = (project / "churnrisk.toml").read_text()
    ran = cli("init", project)
    assert ran.code == 2
    assert "--force" in ran.err
    assert (project / "churnrisk.toml").read_text() == before
    (project / "truth.parquet").unlink()
    assert cli("init", project, "--force").code == 0


def test_init_takes_one_flat_table_with_a_label(cli, tmp_path):
    rows = [(f"c{i}", i % 7, i + 400 * (i % 4 == 0), "Yes" if i % 4 == 0 else "No") for i in range(400)]
    frame = pd.DataFrame(rows, columns=["CustomerID", "Calls", "Tip", "Churn"])
    frame.to_parquet(tmp_path / "telco.customers.parquet")
    ran = cli("init", tmp_path)
    assert ran.code == 0
    assert "Churn was taken for the label" in ran.err
    settings = (tmp_path / "churnrisk.toml").read_text()
    assert 'split = "accounts"' in settings
    assert "from {telco.customers.parquet}" in settings
    assert 'exclude = ["Tip"]' in settings
    assert "Tip is left out: alone it tells who churns" in ran.err
    assert cli("--project", tmp_path, "check").code == 0
    evaluated = cli("--project", tmp_path, "evaluate", "--folds", 3, "--format", "json")
    assert json.loads(evaluated.out)["model"] == "3 folds by account"


def test_init_takes_accounts_from_the_events_when_no_file_lists_them(cli, tmp_path):
    pd.DataFrame({"customer_id": ["a", "a", "b"], "timestamp": ["2025-01-01"] * 3}).to_csv(
        tmp_path / "events.csv", index=False
    )
    assert cli("init", tmp_path).code == 0
    assert "group by 1" in (tmp_path / "churnrisk.toml").read_text()
    assert cli("--project", tmp_path, "check").code == 0


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_init_without_data_says_what_it_needs(cli, tmp_path, folder):
    ran = cli("init", tmp_path / folder)
    assert ran.code == 2
    assert not (tmp_path / "churnrisk.toml").exists()


def test_a_sample_is_written_once_and_the_same_for_the_same_seed(cli, tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        assert cli("sample", folder, "--accounts", 60, "--months", 6, "--seed", 5).code == 0
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name
    refused = cli("sample", first)
    assert refused.code == 2
    assert "not empty" in refused.err


def test_the_demo_ends_with_a_report_and_the_next_command(cli, small_world, tmp_path):
    target = tmp_path / "demo"
    ran = cli("demo", "--dir", target, "--sample", small_world)
    assert ran.code == 0
    assert (target / "report.html").stat().st_size > 5000
    assert "As of 2026-07-01, changes since 2026-06-01" in ran.out
    assert ran.err.rstrip().endswith("On your own data: churnrisk init FOLDER_WITH_YOUR_TABLES")
    assert re.search(r"churnrisk --project \S+ user add \S+ --role admin", ran.err)
    assert re.search(r"churnrisk --project \S+ serve --open", ran.err)


def test_the_demo_refuses_a_folder_that_is_not_its_own(cli, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")
    ran = cli("demo", "--dir", tmp_path)
    assert ran.code == 2
    assert precious.read_text() == "keep me"


def test_check_of_broken_tables_shows_the_violation_and_ends_with_code_3(cli, project):
    accounts = project / "crm_accounts.csv"
    lines = accounts.read_text().splitlines()
    accounts.write_text("\n".join([*lines, lines[1]]) + "\n")
    ran = cli("--project", project, "check")
    assert ran.code == 3
    assert "key appears more than once" in ran.out
    assert "must be fixed first" in ran.err
    assert cli("--project", project, "check", "--leaks").code == 3


def test_check_names_an_own_feature_that_sees_the_future(cli, project):
    settings = project / "churnrisk.toml"
    leak = """
[[features.own]]
name = "events_ever"
sql = "(select count(*) from events e where e.account_id = p.account_id)"
"""
    settings.write_text(settings.read_text() + leak.replace("p.account_id", "account_id"))
    ran = cli("--project", project, "check", "--leaks")
    assert ran.code != 0
    assert "events_ever" in ran.err


def test_a_promotion_can_be_tried_without_doing_it(cli, twice_trained):
    ran = cli("--project", twice_trained, "promote", "--dry-run")
    assert ran.code == 0
    assert "version 2 would become the champion" in ran.err
    listed = json.loads(cli("--project", twice_trained, "models", "--format", "json").out)
    assert {row["version"]: row["aliases"] for row in listed}[1] == "champion"


def test_an_internal_error_shows_no_traceback_unless_asked(cli, scored, monkeypatch):
    Path(scored / "history.db").unlink()
    shutil.copytree(scored / "models", scored / "history.db")
    ran = cli("--project", scored, "redlist")
    assert ran.code in (1, 2)
    assert "Traceback" not in ran.err


def test_connectors_are_listed_and_each_shown_as_its_file(cli) -> None:
    listed = json.loads(cli("connectors", "--format", "json").out)
    zendesk = next(one for one in listed if one["name"] == "zendesk")
    assert zendesk["tables"] == ["accounts", "complaints"]
    assert len(cli("connectors").out.splitlines()) > 16
    assert "[tables.complaints]" in cli("connectors", "zendesk").out
    unknown = cli("connectors", "zendesc")
    assert unknown.code == 2
    assert "expected a connector, found 'zendesc'. There is amplitude, " in unknown.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segment", "intercom", "stripe_dashboard"])
def test_init_maps_a_known_export_beside_plain_tables(cli, name, tmp_path) -> None:
    shape = SHAPES[name]
    company = make_company(shape.key)
    shape.write(company, tmp_path)
    for table in set(company) - set(shape.carries):
        company[table].to_csv(tmp_path / f"own_{table}.csv", index=False)
    started = cli("init", tmp_path, "--yes")
    assert started.code == 0, started.err
    assert "the files are read as:" in started.err
    checked = cli("--project", tmp_path, "check")
    assert checked.code == 0, checked.err
