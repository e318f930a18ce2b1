"""A company too young for a model gets a list by the rules alone, and the model's list once it has one."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from churnrisk.store import HistoryStore

YOUNG = """
[tables.accounts]
path = "accounts.csv"
[tables.events]
path = "events.csv"
[tables.complaints]
path = "complaints.csv"
[tables.surveys]
path = "surveys.csv"
[churn]
definition = "inactivity"
horizon_days = 30
lookback_days = 30
"""
#: What the rules say of the accounts that are not simply active every other day.
SAID = {
    "critical": ("red", "critical complaint"),
    "open": ("amber", "open complaint"),
    "unhappy": ("amber", "stated dissatisfaction"),
    "silent": ("amber", "unusual silence"),
}


@pytest.fixture
def young(tmp_path: Path) -> Path:
    """Seven weeks of thirty accounts; two are silent, one of them for so long that it has left."""
    names = [f"a{number:02}" for number in range(24)] + [*SAID, "answered", "left"]
    until = {"silent": "2026-06-01", "left": "2026-05-10"}
    events = [
        (name, f"{day:%Y-%m-%d %H:%M}")
        for name in names
        for day in pd.date_range("2026-05-01 09:00", until.get(name, "2026-06-20"), freq="2D")
    ]
    tables = {
        "accounts": pd.DataFrame({"account_id": names, "signed_up_at": "2026-05-01"}),
        "events": pd.DataFrame(events, columns=["account_id", "occurred_at"]),
        "complaints": pd.DataFrame(
            [
                ("critical", "2026-06-10", None, "critical"),
                ("open", "2026-06-12", None, "low"),
                ("answered", "2026-06-01", "2026-06-03", "critical"),
            ],
            columns=["account_id", "opened_at", "resolved_at", "severity"],
        ),
        "surveys": pd.DataFrame(
            [("unhappy", "2026-06-05", 3), ("answered", "2026-06-08", 9)],
            columns=["account_id", "answered_at", "score"],
        ),
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "churnrisk.toml").write_text(YOUNG)
    return tmp_path


def test_train_says_when_a_model_is_possible_and_what_there_is_until_then(cli, young):
    refused = cli("--project", young, "train")
    assert refused.code == 3
    said = re.search(r"possible from about (\d{4}-\d\d-\d\d) on: it needs at least 10 churned", refused.err)
    assert said is not None, refused.err
    assert datetime.fromisoformat(said[1]) > datetime(2026, 6, 21)
    assert "`churnrisk score --rules-only`" in refused.err
    without = cli("--project", young, "score")
    assert without.code == 5
    assert "`churnrisk score --rules-only`" in without.err


def test_the_rules_alone_make_a_list_without_probabilities(cli, young):
    ran = cli("--project", young, "score", "--rules-only", "--output", young / "scores.csv")
    assert ran.code == 0, ran.err
    assert "no model yet; one will be possible from about" in ran.err
    assert "30 accounts, 1 red, 3 amber, 0 green, 26 grey" in ran.err
    listed = json.loads(cli("--project", young, "redlist", "--format", "json").out)
    assert {row["account_id"]: (row["colour"], row["rule"]) for row in listed} == SAID
    assert listed[0]["account_id"] == "critical"
    for row in listed:
        assert row["decided_by"] == "rule"
        assert row["churn_probability"] is row["expected_loss"] is row["turnaround"] is None
        assert row["reasons"]
        assert {reason["contribution"] for reason in row["reasons"]} == {None}
        assert row["next_step"]
    reasons = {row["account_id"]: row["reasons"][0]["text"] for row in listed}
    assert reasons["silent"] == "No activity for 19 days"
    assert reasons["unhappy"] == "Said in a survey that they are not satisfied"
    scores = pd.read_csv(young / "scores.csv", index_col="account_id")
    assert scores["probability"].isna().all()
    assert set(scores.loc[scores["colour"] == "grey", "rule"].drop("left")) == {"no model yet"}
    again = cli("--project", young, "score", "--rules-only")
    assert "published already" in again.err


def test_every_way_to_read_the_list_says_that_there_is_no_model(cli, young):
    cli("--project", young, "score", "--rules-only")
    assert "by the rules only, no model yet" in cli("--project", young, "redlist").out
    account = cli("--project", young, "explain", "silent").out
    assert "silent: amber, decided by rule (unusual silence)" in account
    assert "log-odds" not in account
    assert cli("--project", young, "monitor").code == 0
    assert cli("--project", young, "actions").code == 0
    for name in ("list.html", "list.xlsx"):
        assert cli("--project", young, "report", "--output", young / name).code == 0
    assert "By the rules only, no model yet" in (young / "list.html").read_text()


def test_a_person_has_the_last_word(cli, young):
    cli("--project", young, "score", "--rules-only")
    why = ("--author", "Ana", "--reason", "they called", "--until", "2099-01-01")
    assert cli("--project", young, "override", "a00", "--colour", "red", *why).code == 0
    cli("--project", young, "score", "--rules-only")
    listed = json.loads(cli("--project", young, "redlist", "--format", "json").out)
    assert {row["account_id"]: row["decided_by"] for row in listed}["a00"] == "override"


def test_the_first_run_with_a_model_starts_anew(cli, scored):
    (scored / "history.db").unlink()
    (scored / "models").rename(scored / "later")
    before = cli("--project", scored, "score", "--rules-only", "--as-of", "2026-06-01")
    assert before.code == 0, before.err
    shutil.rmtree(scored / "models", ignore_errors=True)
    (scored / "later").rename(scored / "models")
    refused = cli("--project", scored, "score", "--rules-only")
    assert refused.code == 2
    assert "found the champion, version 1" in refused.err
    # its colours are nothing like those of the rules, of this date and of the one before
    for as_of in ("2026-06-01", "2026-06-15"):
        ran = cli("--project", scored, "score", "--as-of", as_of)
        assert ran.code == 0, ran.err
    store = HistoryStore(f"sqlite:///{scored / 'history.db'}")
    latest, replacing, first = store.runs()
    assert [one.has_model for one in (latest, replacing, first)] == [True, True, False]
    assert store.scores(replacing.run_id)["moved"].isna().all()
    assert store.scores(latest.run_id)["moved"].notna().any()
    store.close()
