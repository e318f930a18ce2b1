"""Settings, thresholds and histories that cannot be used: one clear error, the right exit code, nothing lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from churnrisk.store import HistoryStore

OVERRIDE = ("--colour", "red", "--reason", "x", "--until", "2999-01-01")
OTHER_DATE = ("score", "--as-of", "2026-05-02")


def decide_by(folder: Path, lines: str) -> None:
    settings = folder / "churnrisk.toml"
    settings.write_text(settings.read_text().replace('policy = "certified"', lines))


def some_account(folder: Path) -> str:
    connection = sqlite3.connect(folder / "history.db")
    try:
        return str(connection.execute("select account_id from scores limit 1").fetchone()[0])
    finally:
        connection.close()


def contents(folder: Path) -> list[tuple[object, ...]]:
    """Runs, and every override and action, as they stand in the history."""
    connection = sqlite3.connect(folder / "history.db")
    try:
        tables = ("select run_id, run_key from runs", "select * from overrides", "select * from actions")
        return [tuple(connection.execute(query).fetchall()) for query in tables]
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('policy = "fixed"\namber_from = 0.5\nred_from = 0.2', "amber_from=0.5, red_from=0.2"),
        ('policy = "fixed"\namber_from = 0.1', "red_from"),
        ('policy = "certified"\ngreen_max_churn = 0.3\nred_min_churn = 0.1', "green_max_churn"),
        ('policy = "cost"', "cost_per_contact"),
    ],
)
@pytest.mark.parametrize("command", [["check"], ["train"], ["score"]])
def test_a_policy_that_contradicts_itself_is_refused_before_any_work(cli, scored, lines, message, command):
    before = contents(scored)
    decide_by(scored, lines)
    ran = cli("--project", scored, *command)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("error:") == 1
    assert contents(scored) == before


def test_settings_that_the_thresholds_do_not_follow_are_named(cli, scored):
    decide_by(scored, 'policy = "capacity"')
    ran = cli("--project", scored, *OTHER_DATE)
    assert ran.code == 0
    assert "[decision] says policy = 'capacity', but the thresholds of model version 1 were set" in ran.err
    again = cli("--project", scored, *OTHER_DATE)
    assert "published already" in again.err
    assert "until you train again" in again.err


def test_thresholds_of_another_model_are_refused(cli, scored):
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text().replace('["logistic", "additive"]', '["logistic"]'))
    assert cli("--project", scored, "train").code == 0
    first, second = sorted(
        (scored / "models" / "artifacts").rglob("model.skops"), key=lambda path: path.stat().st_mtime
    )
    before = contents(scored)
    if first.read_bytes() == second.read_bytes():
        pytest.fail("the two models are the same, so the test would show nothing")
    shutil.copy(second, first)
    ran = cli("--project", scored, *OTHER_DATE)
    assert ran.code == 2
    assert "the thresholds of model version 1 were set for another model" in ran.err
    assert "churnrisk train" in ran.err
    assert contents(scored) == before


@pytest.mark.parametrize(
    "command",
    [["score"], ["redlist"], ["explain", "C1"], ["actions"], ["override", "C1", *OVERRIDE], ["missed"]],
)
def test_a_database_that_is_down_is_named_without_its_password(cli, scored, monkeypatch, command):
    before = contents(scored)
    monkeypatch.setenv("CHURNRISK_HISTORY_URL", "postgresql://ada:hush-hush@127.0.0.1:9/churn")
    ran = cli("--project", scored, *command)
    assert (ran.code, ran.out) == (2, "")
    assert "no server listens there. Start it, or correct host and port" in ran.err
    assert "hush-hush" not in ran.err
    assert contents(scored) == before


@pytest.mark.parametrize(
    "command", [OTHER_DATE, ["override", "ACCOUNT", *OVERRIDE]], ids=["score", "override"]
)
def test_a_locked_history_keeps_its_last_run_and_takes_the_next_try(cli, scored, monkeypatch, command):
    command = [some_account(scored) if word == "ACCOUNT" else word for word in command]
    before = contents(scored)
    monkeypatch.setitem(HistoryStore.__init__.__kwdefaults__, "busy_seconds", 0.05)
    other = sqlite3.connect(scored / "history.db", isolation_level=None)
    other.execute("begin immediate")
    ran = cli("--project", scored, *command)
    assert ran.code == 2
    assert "another program is writing to it. Try again" in ran.err
    other.execute("rollback")
    other.close()
    assert contents(scored) == before
    assert cli("--project", scored, *command).code == 0
    assert contents(scored) != before


def test_a_read_only_history_can_be_read_but_not_scored_to(cli, scored, monkeypatch):
    before = contents(scored)
    monkeypatch.setenv("CHURNRISK_HISTORY_URL", f"sqlite:///file:{scored / 'history.db'}?mode=ro&uri=true")
    ran = cli("--project", scored, *OTHER_DATE)
    assert ran.code == 2
    assert "write access" in ran.err
    # more rows than a page of the API has are no error
    assert cli("--project", scored, "redlist", "--limit", 1_000_000).code == 0
    assert contents(scored) == before


@pytest.mark.parametrize("command", [["score"], ["redlist"], ["override", "C1", *OVERRIDE]])
def test_a_history_of_a_newer_schema_is_left_as_it_is(cli, scored, command):
    connection = sqlite3.connect(scored / "history.db")
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    before = contents(scored)
    ran = cli("--project", scored, *command)
    assert (ran.code, ran.out) == (2, "")
    assert "Update churnrisk" in ran.err
    assert contents(scored) == before


def test_an_override_of_an_unknown_account_leaves_no_trace(cli, scored):
    before = contents(scored)
    ran = cli("--project", scored, "override", "nobody", *OVERRIDE)
    assert ran.code == 2
    assert "no published run holds account 'nobody'; there are for example" in ran.err
    assert contents(scored) == before


def test_a_play_that_names_an_unknown_signal_leaves_everything_as_it_was(cli, scored):
    shipped = Path(__file__).parents[2] / "churnrisk" / "lights" / "playbook.toml"
    (scored / "mine.toml").write_text(
        shipped.read_text().replace("open_complaints >= 1", "open_complants >= 1")
    )
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text().replace("[decision]", '[decision]\nplaybook = "mine.toml"'))
    before = contents(scored)
    ran = cli("--project", scored, *OTHER_DATE)
    assert ran.code == 2
    assert "open_complants" in ran.err
    assert "open_complaints" in ran.err
    assert contents(scored) == before


def test_a_rule_that_names_an_unknown_signal_is_said_to_be_not_applicable(cli, scored):
    rule = '[[decision.rules]]\nname = "odd"\nwhen = "opn_complaints >= 1"\ncolour = "red"\nreason = "x"\n'
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text() + "\n" + rule)
    ran = cli("--project", scored, *OTHER_DATE, "--dry-run")
    assert ran.code == 0
    assert "rule 'odd' is not applicable: no feature opn_complaints" in ran.err


def test_the_probe_survives_the_store(cli, scored):
    (policy,) = {path.read_text() for path in (scored / "models").rglob("policy.json")}
    probe = json.loads(policy)["probe"]
    assert len(probe["log_odds"]) == 5
    assert probe["categorical"] == ["plan"]
