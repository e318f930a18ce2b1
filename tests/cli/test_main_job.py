"""The main job through the command line, on real files, a real MLflow store and a real SQLite history."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from churnrisk.store import HistoryStore


def test_check_shows_every_warning_with_its_mend_and_finds_no_leak(cli, project):
    ran = cli("--project", project, "check", "--leaks", "--format", "json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert "no feature sees the future" in ran.err
    assert {row["level"] for row in found} == {"warn"}
    assert all(row["fix"] and row["count"] for row in found)


def test_train_registers_a_candidate_and_promote_makes_it_the_champion(cli, project):
    trained = cli("--project", project, "train", "--format", "json")
    assert trained.code == 0
    figures = json.loads(trained.out)["evaluation"]["figures"]
    assert set(figures) == {"model", "base rate", "recency rule"}
    assert figures["model"]["auc"]["value"] > figures["recency rule"]["auc"]["value"]
    light = json.loads(trained.out)["light"]
    assert (
        f"light: {light['verdict']}; the colours keep {light['efficiency']:.0%} of the probability's information"
        in trained.err
    )
    measured = json.loads(cli("--project", project, "evaluate", "--format", "json").out)
    assert measured["model"] == "version 1, the candidate: nothing is promoted yet"
    promoted = cli("--project", project, "promote", "--author", "Ada")
    assert "version 1 is the champion: the first champion" in promoted.err
    listed = json.loads(cli("--project", project, "models", "--format", "json").out)
    assert listed[0]["aliases"] == "candidate, champion"
    assert listed[0]["light_efficiency"] == light["efficiency"]
    again = cli("--project", project, "promote")
    assert "champion already" in again.err


def test_a_rule_that_makes_the_light_useless_is_named_with_the_way_to_switch_it_off(cli, project):
    toml = project / "churnrisk.toml"
    rule = '[[decision.rules]]\nname = "everybody"\nwhen = "tenure_days >= 0"\ncolour = "red"\n'
    fixed = 'policy = "fixed"\namber_from = 0.03\nred_from = 0.2'
    quick = toml.read_text().replace('"logistic", "additive"', '"logistic"')
    toml.write_text(quick.replace('policy = "certified"', fixed) + rule)
    ran = cli("--project", project, "train")
    assert ran.code == 0, ran.err
    said = [line for line in ran.out.splitlines() if line.startswith(("light: ", "  would help: "))]
    assert said[0].startswith("light: useless; the colours keep 0% of the probability's information")
    assert said[0].endswith("100% flagged (red or amber) hold 100% of the churned")
    assert any("green is empty: the rules leave none of the model's" in line for line in said)
    (named,) = [line for line in said if "the rule 'everybody' lowers the efficiency by" in line]
    assert named.endswith("enabled = false in the rule switches it off")


def test_scoring_the_same_date_twice_is_a_no_op_that_says_so(cli, scored):
    before = (scored / "history.db").read_bytes()
    ran = cli("--project", scored, "score")
    assert ran.code == 0
    assert "published already; nothing to do" in ran.err
    assert (scored / "history.db").read_bytes() == before


def test_a_dry_run_computes_scores_and_publishes_nothing(cli, scored, tmp_path):
    target = tmp_path / "scores.csv"
    ran = cli("--project", scored, "score", "--as-of", "2026-05-02", "--dry-run", "--output", target)
    assert ran.code == 0
    assert "dry run, nothing published" in ran.err
    assert set(pd.read_csv(target)["colour"]) <= {"red", "amber", "green", "grey"}
    assert _runs(scored) == 2


def test_a_backfilled_run_lands_in_its_place_in_time(cli, scored, tmp_path):
    target = tmp_path / "scores.parquet"
    ran = cli("--project", scored, "score", "--as-of", "2026-05-02", "--output", target)
    assert "published run 3 as of 2026-05-02" in ran.err
    assert len(pd.read_parquet(target)) > 100
    assert "As of 2026-07-01, changes since 2026-06-01" in cli("--project", scored, "redlist").out


def test_the_red_list_shows_totals_arrows_reasons_and_next_steps(cli, scored):
    ran = cli("--project", scored, "redlist", "--limit", 5)
    assert ran.code == 0
    assert ran.out.startswith("As of 2026-07-01, changes since 2026-06-01: accounts ")
    assert any(arrow in ran.out for arrow in "↑→•")
    rows = json.loads(cli("--project", scored, "redlist", "--format", "json").out)
    assert all(row["reasons"] and row["next_step"] for row in rows)
    assert [row["colour"] for row in rows] == sorted((row["colour"] for row in rows), reverse=True)
    losses = [row["expected_loss"] for row in rows if row["colour"] == "red" and row["expected_loss"]]
    assert losses == sorted(losses, reverse=True)


def test_the_red_list_as_csv_holds_every_row_and_no_formula(cli, scored, tmp_path):
    target = tmp_path / "list.csv"
    assert cli("--project", scored, "redlist", "--output", target).code == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    listed = json.loads(cli("--project", scored, "redlist", "--format", "json").out)
    assert [row["account_id"] for row in rows] == [row["account_id"] for row in listed]
    assert list(rows[0]) == list(listed[0])
    assert not any(value.startswith("=") for row in rows for value in row.values())


def test_filters_of_the_red_list_keep_only_what_they_name(cli, scored):
    rows = json.loads(cli("--project", scored, "redlist", "--format", "json").out)
    owner = rows[0]["owner"]
    mine = json.loads(cli("--project", scored, "redlist", "--owner", owner.upper(), "--format", "json").out)
    assert {row["owner"] for row in mine} == {owner}
    assert len(mine) == sum(row["owner"] == owner for row in rows)
    newly = json.loads(cli("--project", scored, "redlist", "--newly-red", "--format", "json").out)
    assert all(row["colour"] == "red" and row["previous_colour"] != "red" for row in newly)


def test_the_red_list_is_cut_at_the_capacity_of_the_project(cli, scored):
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text().replace("capacity = 50", "capacity = 3"))
    rows = json.loads(cli("--project", scored, "redlist", "--format", "json").out)
    assert [(row["place"], row["rank"]) for row in rows[:3]] == [("work", 1), ("work", 2), ("work", 3)]
    assert all(row["place"] == {"red": "beyond", "amber": "watch"}[row["colour"]] for row in rows[3:])
    work = json.loads(cli("--project", scored, "redlist", "--place", "work", "--format", "json").out)
    assert work == rows[:3]
    said = cli("--project", scored, "redlist").out
    assert "capacity 3" in said or "capacity of 3" in said
    assert "work 3" in said


def test_explain_says_why_and_how_it_came_there(cli, scored):
    account = json.loads(cli("--project", scored, "redlist", "--format", "json").out)[0]["account_id"]
    text = cli("--project", scored, "explain", account).out
    assert "Why:" in text
    assert "Do first:" in text
    assert "2026-06-01" in text
    view = json.loads(cli("--project", scored, "explain", account, "--format", "json").out)
    assert view["account_id"] == account
    assert view["history"][-1]["as_of"].startswith("2026-07-01")


def test_explain_names_similar_accounts_when_there_is_none(cli, scored):
    ran = cli("--project", scored, "explain", "C1000")
    assert ran.code == 2
    assert "no published run holds account 'C1000'; there are for example C1" in ran.err


@pytest.mark.parametrize("name", ["report.html", "report.xlsx"])
def test_the_report_is_one_file_with_the_first_screen(cli, scored, tmp_path, name):
    target = tmp_path / name
    ran = cli("--project", scored, "report", "--output", target)
    assert ran.code == 0
    assert target.stat().st_size > 5000
    if name.endswith("html"):
        text = target.read_text()
        account = json.loads(cli("--project", scored, "redlist", "--format", "json").out)[0]["account_id"]
        assert account in text
        assert "churn of at most" in text


def test_evaluate_measures_the_champion_on_the_test_block(cli, scored, tmp_path):
    target = tmp_path / "figures.json"
    assert cli("--project", scored, "evaluate", "--output", target).code == 0
    found = json.loads(target.read_text())
    assert found["model"] == "version 1"
    listed = json.loads(cli("--project", scored, "models", "--format", "json").out)
    assert found["evaluation"]["figures"]["model"]["auc"]["value"] == pytest.approx(listed[0]["auc"])
    assert found["light"]["efficiency"] == listed[0]["light_efficiency"]
    assert sum(row["share"] for row in found["evidence"]) == pytest.approx(1.0)
    shown = cli("--project", scored, "evaluate").out
    assert "within 30 days (a row is an account at a snapshot; churn rate = rows churned / rows)" in shown
    assert f"light: {found['light']['verdict']}; " in shown


def test_a_second_champion_can_be_rolled_back(cli, twice_trained):
    assert "replaces version 1" in cli("--project", twice_trained, "promote").err
    back = cli("--project", twice_trained, "rollback", "--reason", "too many false alarms", "--author", "Ada")
    assert "version 1 is the champion again" in back.err


def test_the_guard_refuses_a_jump_of_the_colour_mix_and_force_records_its_author(cli, scored):
    settings = scored / "churnrisk.toml"
    fixed = settings.read_text().replace(
        'policy = "certified"', 'policy = "fixed"\namber_from = 0.0001\nred_from = 0.0002'
    )
    fixed = fixed.replace('"logistic", "additive"', '"logistic"')
    settings.write_text(fixed)
    cli("--project", scored, "train")
    cli("--project", scored, "promote", "--force")
    refused = cli("--project", scored, "score")
    assert refused.code == 4
    assert "--force" in refused.err
    assert _runs(scored) == 2
    forced = cli("--project", scored, "score", "--force", "--author", "Ada")
    assert forced.code == 0
    with sqlite3.connect(scored / "history.db") as connection:
        assert connection.execute("select forced_by from runs order by run_id").fetchall()[-1] == ("Ada",)
    connection.close()


def test_the_guard_compares_with_the_run_of_the_same_date_that_would_be_replaced(cli, scored):
    tickets = pd.read_csv(scored / "tickets.csv")
    accounts = pd.read_csv(scored / "crm_accounts.csv")["AccountID"]
    opened = {"Opened": "2026-05-20", "Logged": "2026-05-20", "Priority": "critical"}
    pd.concat([tickets, pd.DataFrame({"Account": accounts.drop_duplicates(), **opened})]).to_csv(
        scored / "tickets.csv", index=False
    )
    runs = HistoryStore(f"sqlite:///{scored / 'history.db'}").runs()
    refused = cli("--project", scored, "score", "--as-of", f"{runs[-1].as_of:%Y-%m-%d}")
    assert refused.code == 4
    assert f"since the run of the same date that it would replace, run {runs[-1].run_id} " in refused.err
    assert _runs(scored) == 2


def test_score_without_a_champion_ends_with_code_5_and_the_mend(cli, project):
    ran = cli("--project", project, "score")
    assert ran.code == 5
    assert "churnrisk train" in ran.err


def _runs(folder: Path) -> int:
    connection = sqlite3.connect(folder / "history.db")
    try:
        return int(connection.execute("select count(*) from runs").fetchone()[0])
    finally:
        connection.close()
