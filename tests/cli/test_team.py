"""Actions, overrides and missed churners through the command line."""

from __future__ import annotations

import csv
import io
import json
import sqlite3

import pytest

from churnrisk.store import HistoryStore


def red_account(cli, folder):
    return json.loads(cli("--project", folder, "redlist", "--format", "json").out)[0]["account_id"]


def test_actions_are_handed_out_once_with_play_reason_owner_and_deadline(cli, scored, tmp_path):
    dry = cli("--project", scored, "actions", "--dry-run", "--colour", "red,amber", "--format", "json")
    shown = json.loads(dry.out)
    assert shown
    assert all(row["play"] and row["next_step"] and row["due_at"] and row["key"] for row in shown)
    assert "nothing recorded" in dry.err
    target = tmp_path / "crm.csv"
    ran = cli("--project", scored, "actions", "--colour", "red,amber", "--output", target)
    assert ran.code == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [row["key"] for row in rows] == [row["key"] for row in shown]
    assert len({(row["account_id"], row["play"], row["reason"]) for row in rows}) == len(rows)
    again = cli("--project", scored, "actions", "--colour", "red,amber", "--format", "csv")
    assert again.out.startswith("key,account_id,")
    assert len(again.out.splitlines()) == 1
    assert "0 actions" in again.err


def test_new_actions_are_those_of_accounts_that_got_worse(cli, scored):
    rows = json.loads(cli("--project", scored, "actions", "--new", "--dry-run", "--format", "json").out)
    order = {"green": 0, "amber": 1, "red": 2, "grey": 0, None: 0}
    assert all(order[row["colour"]] > order[row["previous_colour"]] for row in rows)
    table = cli("--project", scored, "actions", "--new", "--dry-run")
    assert f"{len(rows)} actions, most urgent first" in table.out


def test_actions_that_cannot_be_written_are_not_recorded(cli, scored, tmp_path):
    before = json.loads(cli("--project", scored, "actions", "--dry-run", "--format", "json").out)
    (tmp_path / "taken.csv").mkdir()
    assert cli("--project", scored, "actions", "--output", tmp_path / "taken.csv").code == 2
    assert cli("--project", scored, "actions", "--output", tmp_path / "list.doc").code == 2
    after = json.loads(cli("--project", scored, "actions", "--dry-run", "--format", "json").out)
    assert [row["key"] for row in before] == [row["key"] for row in after]


def test_a_play_that_names_an_unknown_signal_stops_scoring_before_anything_is_published(cli, scored):
    (scored / "mine.toml").write_text(
        '[fallback]\nred = "a"\namber = "b"\ngreen = "c"\ngrey = "d"\n[[plays]]\nname = "odd"\naction = "Call"\n'
        'channel = "phone"\nowner = "me"\nsource = "003"\ndeadline_days = 1\ncolours = ["red"]\n'
        'when = "silnt_30d >= 1"\n'
    )
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text().replace("[decision]", '[decision]\nplaybook = "mine.toml"'))
    ran = cli("--project", scored, "score", "--as-of", "2026-05-02")
    assert ran.code == 2
    assert "play 'odd'" in ran.err
    assert "silent_30d" in ran.err


@pytest.mark.parametrize("command", [["actions"], ["overrides"], ["missed"]])
def test_a_newer_history_is_left_alone(cli, scored, command):
    connection = sqlite3.connect(scored / "history.db")
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    ran = cli("--project", scored, *command)
    assert ran.code == 2
    assert "Update churnrisk" in ran.err


def test_an_override_survives_scoring_runs_and_ends_by_itself(cli, scored):
    account = red_account(cli, scored)
    made = cli(
        *("--project", scored, "override", account, "--colour", "green", "--reason", "renewed by phone"),
        *("--until", "2999-01-01", "--author", "Ada"),
    )
    assert made.code == 0
    assert "is green instead of red" in made.err
    assert "published run 3" in cli("--project", scored, "score", "--force").err
    view = json.loads(cli("--project", scored, "explain", account, "--format", "json").out)
    assert (view["history"][-1]["colour"], view["history"][-1]["decided_by"]) == ("green", "override")
    assert "nothing to do" in cli("--project", scored, "score").err
    (listed,) = json.loads(cli("--project", scored, "overrides", "--format", "json").out)
    assert (listed["state"], listed["author"], listed["reason"]) == ("active", "Ada", "renewed by phone")
    assert "has ended" in cli("--project", scored, "overrides", "--end", listed["override_id"]).err
    cli("--project", scored, "score", "--force")
    view = json.loads(cli("--project", scored, "explain", account, "--format", "json").out)
    assert view["history"][-1]["colour"] == "red"
    assert "1 overrides, 0 active" in cli("--project", scored, "overrides").out
    review = cli("--project", scored, "overrides", "--review")
    assert "0 of 1 overrides have an outcome" in review.err


def test_an_override_of_an_unknown_account_names_similar_ones(cli, scored):
    ran = cli(
        *("--project", scored, "override", "C1000", "--colour", "red", "--reason", "x"),
        *("--until", "2999-01-01"),
    )
    assert ran.code == 2
    assert "no published run holds account 'C1000'" in ran.err
    assert json.loads(cli("--project", scored, "overrides", "--format", "json").out) == []


def test_ending_an_override_that_is_not_there_is_a_usage_error(cli, scored):
    ran = cli("--project", scored, "overrides", "--end", 7)
    assert ran.code == 2
    assert "found none with id 7" in ran.err


@pytest.mark.parametrize("command", [["actions"], ["override"], ["overrides", "--end", "1"]])
def test_a_read_only_history_is_reported_and_left_alone(cli, scored, monkeypatch, command):
    account = red_account(cli, scored)
    if command == ["override"]:
        command = ["override", account, "--colour", "red", "--reason", "x", "--until", "2999-01-01"]
    url = f"sqlite:///file:{scored / 'history.db'}?mode=ro&uri=true"
    monkeypatch.setenv("CHURNRISK_HISTORY_URL", url)
    ran = cli("--project", scored, *command)
    assert ran.code == 2
    assert "write access" in ran.err
    assert ran.out == ""


def test_missed_shows_what_was_said_before_and_names_the_runs_that_lack(cli, scored, tmp_path):
    shown = cli("--project", scored, "missed")
    assert shown.code == 0
    assert "30 days before: " in shown.out
    assert " of all accounts in these runs" in shown.out
    assert "lost accounts, the latest first" in shown.out
    assert "lack a run within 15 days" in shown.err
    assert "churnrisk score --as-of" in shown.err
    found = json.loads(cli("--project", scored, "missed", "--format", "json").out)
    assert set(found["colours"]) == {"30", "60", "90"}
    assert sum(found["verdicts"].values()) == len(found["accounts"]) > 0
    target = tmp_path / "missed.csv"
    cli("--project", scored, "missed", "--unseen", "--output", target)
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    unseen = [one for one in found["accounts"] if one["verdict"] == "never seen coming"]
    assert [row["account_id"] for row in rows] == [one["account_id"] for one in unseen]


def test_missed_before_the_first_score_names_the_command(cli, project):
    ran = cli("--project", project, "missed")
    assert ran.code == 2
    assert "churnrisk score" in ran.err


@pytest.mark.parametrize("command", [["actions"], ["overrides", "--end", "1"]])
def test_a_locked_history_is_reported_and_nothing_is_handed_out(cli, scored, monkeypatch, command):
    monkeypatch.setitem(HistoryStore.__init__.__kwdefaults__, "busy_seconds", 0.05)
    other = sqlite3.connect(scored / "history.db", isolation_level=None)
    other.execute("begin immediate")
    ran = cli("--project", scored, *command)
    other.execute("rollback")
    other.close()
    assert ran.code == 2
    assert "another program is writing" in ran.err
    assert ran.out == ""
