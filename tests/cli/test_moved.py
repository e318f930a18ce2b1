"""Why it moved, through the command line: the parts add up to what the history says."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest


def _scores(folder, as_of):
    with sqlite3.connect(folder / "history.db") as connection:
        rows = connection.execute(
            "select account_id, log_odds, colour from scores join runs using (run_id) "
            "where run_id = (select max(run_id) from runs where as_of = ?)",
            (f"{as_of} 00:00:00.000000",),
        ).fetchall()
    connection.close()
    return {account: (log_odds, colour) for account, log_odds, colour in rows}


def _listed(cli, folder):
    return json.loads(cli("--project", folder, "redlist", "--format", "json").out)


def _check_sums(rows, old, new):
    for row in rows:
        move, account = row["move"], row["account_id"]
        before, colour = old.get(account, (None, None))
        if before is None or new[account][0] is None:
            assert move is None or (move["because"], move["parts"]) == ("eligibility", [])
            continue
        change = new[account][0] - before
        if colour == row["colour"] and abs(change) < 0.1:
            assert move is None
            continue
        assert move["log_odds"] == pytest.approx(change, abs=1e-12)
        assert sum(part["log_odds"] for part in move["parts"]) == pytest.approx(change, abs=1e-9)
        assert (move["because"] is None) == (colour == row["colour"])


def test_the_red_list_says_why_accounts_moved(cli, scored):
    rows = _listed(cli, scored)
    _check_sums(rows, _scores(scored, "2026-06-01"), _scores(scored, "2026-07-01"))
    moves = [row["move"] for row in rows if row["move"]]
    assert len(moves) > 20
    # same model, same data: all of it is behaviour
    assert {part["kind"] for move in moves for part in move["parts"]} == {"behaviour"}
    assert " move " in cli("--project", scored, "redlist").out


def test_explain_says_why_an_account_moved(cli, scored):
    row = next(row for row in _listed(cli, scored) if row["move"] and row["move"]["because"] == "score")
    text = cli("--project", scored, "explain", row["account_id"]).out
    assert f"Why the colour changed since 2026-06-01: {row['move']['previous_colour']} to" in text
    assert f"Why the score moved since 2026-06-01: {row['move']['log_odds']:+.2f} log-odds" in text
    assert row["move"]["parts"][0]["text"] in text
    view = json.loads(cli("--project", scored, "explain", row["account_id"], "--format", "json").out)
    assert view["move"]["parts"] == row["move"]["parts"]


def test_the_page_says_why_accounts_moved(cli, scored, tmp_path):
    cli("--project", scored, "report", "--output", tmp_path / "report.html")
    assert "Why it moved since 1 Jun 2026" in (tmp_path / "report.html").read_text()


def test_a_new_model_and_new_rules_are_told_apart_from_behaviour(cli, scored):
    settings = scored / "churnrisk.toml"
    text = settings.read_text()
    rule = (
        '[[decision.rules]]\nname = "everybody"\nwhen = "tenure_days >= 0"\ncolour = "red"\nreason = "all"\n'
    )
    text = re.sub(r"calibration_snapshots.*", "", text).replace('"logistic", "additive"', '"logistic"')
    settings.write_text(text.replace("[model]", "[model]\ncalibration_snapshots = 1") + "\n" + rule)
    assert cli("--project", scored, "train").code == 0
    assert "is the champion" in cli("--project", scored, "promote", "--force").err
    ran = cli("--project", scored, "score", "--force")
    assert ran.code == 0
    assert "published run 3" in ran.err
    rows = _listed(cli, scored)
    _check_sums(rows, _scores(scored, "2026-06-01"), _scores(scored, "2026-07-01"))
    kinds = {part["kind"] for row in rows if row["move"] for part in row["move"]["parts"]}
    assert "model" in kinds
    causes = {row["move"]["because"] for row in rows if row["move"]}
    assert "policy" in causes
