"""The command features over a real project."""

from __future__ import annotations

import csv
import io
import json
import re


def test_the_list_is_sorted_by_worth_with_coverage_drift_and_auc(cli, project):
    ran = cli("--project", project, "features", "--format", "json")
    rows = json.loads(ran.out)
    assert ran.code == 0
    lows = [row["auc_low"] or 0 for row in rows]
    assert lows == sorted(lows, reverse=True)
    by_name = {row["feature"]: row for row in rows}
    assert by_name["active_days_30"]["window_days"] == 30
    assert by_name["active_days_30"]["higher_is_riskier"] is False
    assert by_name["active_days_30"]["auc_low"] > 0.6
    assert by_name["days_since_last_event"]["higher_is_riskier"] is True
    assert all(0 <= row["coverage"] <= 1 and row["drift"] >= 0 for row in rows)
    assert by_name["oldest_open_complaint_days"]["coverage"] < 0.5
    assert "ranking" in ran.err
    assert "ranking" not in ran.out


def test_the_table_says_meaning_unit_window_and_direction(cli, project):
    out = cli("--project", project, "features").out
    line = next(line for line in out.splitlines() if line.startswith("silent_30d"))
    assert [part.strip() for part in line.split("  ") if part.strip()][1:6] == [
        "recency",
        "30 days of silence",
        "yes/no",
        "30 days",
        "↑",
    ]
    assert "worth most first" in out


def test_csv_has_the_same_columns_as_json(cli, project, tmp_path):
    target = tmp_path / "features.csv"
    assert cli("--project", project, "features", "--output", target).code == 0
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"feature", "family", "meaning", "unit", "coverage", "drift", "auc", "auc_low", "auc_high"} <= set(
        rows[0]
    )


def test_own_features_and_excluded_ones_are_as_in_the_project(cli, project):
    settings = project / "churnrisk.toml"
    own = '\n[[features.own]]\nname = "twice_30"\nsql = "2 * coalesce(events_30, 0)"\nmonotone = 1\n'
    settings.write_text(settings.read_text().replace("[features]", '[features]\nexclude = ["mrr"]') + own)
    rows = {
        row["feature"]: row for row in json.loads(cli("--project", project, "features", "-f", "json").out)
    }
    assert "mrr" not in rows
    assert rows["twice_30"]["family"] == "own"
    assert rows["twice_30"]["auc"] == rows["events_30"]["auc"]
    assert rows["twice_30"]["contradicts"]
    assert "↑ (the data say ↓)" in cli("--project", project, "features").out


def test_sql_prints_the_query_with_a_comment_per_step(cli, project):
    ran = cli("--project", project, "features", "--sql")
    assert ran.code == 0
    assert ran.out.startswith("-- The query behind the features of")
    # one step is computed beside SQL
    assert ran.out.count(";\n") + 1 == len(re.findall(r"^-- \d+\. ", ran.out, re.MULTILINE)) > 20
    assert 'as "active_days_30"' in ran.out
    assert "computing" in ran.err


def test_sql_beside_a_format_is_refused(cli, project):
    ran = cli("--project", project, "features", "--sql", "--format", "csv")
    assert ran.code == 2
    assert "Leave one of the two out" in ran.err


def test_a_flat_table_with_one_snapshot_has_no_drift(cli, tmp_path):
    rows = [f"c{i:03d},{i % 17},{'north' if i % 3 else 'south'},{int(i % 17 > 11)}" for i in range(400)]
    (tmp_path / "flat.csv").write_text("id,visits,city,churned\n" + "\n".join(rows))
    flat = "select id as account_id, date '2025-01-01' as valid_from, visits, city from read_csv('flat.csv')"
    labels = "select id as account_id, date '2025-07-01' as as_of, churned from read_csv('flat.csv')"
    (tmp_path / "churnrisk.toml").write_text(
        "[tables.accounts]\nsql = \"select id as account_id from read_csv('flat.csv')\"\n"
        f'[tables.attributes]\nsql = "{flat}"\n[tables.labels]\nsql = "{labels}"\n'
        '[churn]\ndefinition = "labels"\nhorizon_days = 30\n[model]\nsplit = "accounts"\n'
    )
    found = {
        row["feature"]: row for row in json.loads(cli("--project", tmp_path, "features", "-f", "json").out)
    }
    assert found["visits"]["auc"] == 1.0
    assert {row["drift"] for row in found.values()} == {None}
    assert list(csv.DictReader(io.StringIO(cli("--project", tmp_path, "features", "-f", "csv").out)))
