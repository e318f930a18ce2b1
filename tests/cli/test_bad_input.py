"""Bad input gets one clear message and the right exit code; nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

FLAT = """
[tables.accounts]
sql = "select id as account_id from read_csv('flat.csv')"
[tables.attributes]
sql = "select id as account_id, date '2025-01-01' as valid_from, visits, city from read_csv('flat.csv')"
[tables.labels]
sql = "select id as account_id, date '2025-07-01' as as_of, churned from read_csv('flat.csv')"
[churn]
definition = "labels"
horizon_days = 30
"""

TABLES = """
[tables.accounts]
path = "accounts.csv"
[tables.events]
path = "events.csv"
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Forty accounts that log in every few days from January to June 2025; every other one stops in May."""
    accounts = [f"a{i:02d}" for i in range(40)]
    pd.DataFrame({"account_id": accounts, "signed_up_at": "2025-01-01"}).to_csv(
        tmp_path / "accounts.csv", index=False
    )
    rows = [
        (account, day.strftime("%Y-%m-%d"))
        for i, account in enumerate(accounts)
        for day in pd.date_range("2025-01-02", "2025-05-01" if i % 2 else "2025-06-30", freq=f"{3 + i % 4}D")
    ]
    pd.DataFrame(rows, columns=["account_id", "occurred_at"]).to_csv(tmp_path / "events.csv", index=False)
    (tmp_path / "churnrisk.toml").write_text(TABLES)
    return tmp_path


def test_a_folder_without_settings_names_init(cli, tmp_path):
    ran = cli("--project", tmp_path, "check")
    assert (ran.code, ran.out) == (2, "")
    assert "holds no churnrisk.toml. Run `churnrisk init`" in ran.err


def test_a_wrong_path_names_what_is_there(cli, tiny):
    (tiny / "churnrisk.toml").write_text(TABLES.replace("events.csv", "evnts.csv"))
    ran = cli("--project", tiny, "check")
    assert ran.code == 2
    assert "'evnts.csv' matches no file" in ran.err
    assert "accounts.csv, events.csv" in ran.err


def test_an_unknown_column_names_those_that_are_there(cli, tiny):
    (tiny / "churnrisk.toml").write_text(TABLES + '[tables.events.columns]\noccurred_at = "when"\n')
    ran = cli("--project", tiny, "train")
    assert ran.code == 2
    assert "maps occurred_at to 'when'" in ran.err
    assert "account_id, occurred_at" in ran.err


def test_a_missing_required_column_says_where_to_map_it(cli, tiny):
    events = (tiny / "events.csv").read_text().replace("occurred_at", "ts", 1)
    (tiny / "events.csv").write_text(events)
    ran = cli("--project", tiny, "check")
    assert ran.code == 3
    assert "events has no column 'occurred_at'; it has account_id, ts" in ran.err
    assert "[tables.events.columns]" in ran.err


def test_a_table_without_rows_blocks(cli, tiny):
    (tiny / "events.csv").write_text("account_id,occurred_at\n")
    ran = cli("--project", tiny, "train")
    assert ran.code == 3
    assert "events: table has no rows" in ran.err


def test_a_duplicate_account_blocks_with_an_example(cli, tiny):
    accounts = tiny / "accounts.csv"
    accounts.write_text(accounts.read_text() + "a00,2025-01-01\n")
    ran = cli("--project", tiny, "train")
    assert ran.code == 3
    assert "accounts.account_id: key appears more than once (1 rows, such as a00)" in ran.err


def test_a_few_future_dates_warn_and_do_not_move_the_end_of_the_data(cli, tiny):
    events = tiny / "events.csv"
    events.write_text(events.read_text() + "a00,2999-01-01\n")
    ran = cli("--project", tiny, "check", "--format", "json")
    assert ran.code == 0
    assert "the data cover 2025-01-02 to 2025-06-29" in ran.err
    assert any(row["rule"] == "date lies in the future" for row in json.loads(ran.out))


def test_another_encoding_names_the_setting_that_reads_it(cli, tiny):
    accounts = tiny / "accounts.csv"
    text = accounts.read_text().replace("a01,", "Müller,")
    accounts.write_bytes(text.encode("latin-1"))
    ran = cli("--project", tiny, "check")
    assert ran.code == 3
    assert 'accounts.csv is not UTF-8. Set encoding = "cp1252"' in ran.err


def test_a_label_window_beyond_the_data_says_what_to_lower(cli, tiny):
    (tiny / "churnrisk.toml").write_text(TABLES + "[churn]\nhorizon_days = 400\n")
    ran = cli("--project", tiny, "train")
    assert ran.code == 3
    assert "no snapshot is mature" in ran.err
    assert "horizon_days" in ran.err


def test_one_snapshot_only_names_the_split_by_accounts(cli, tmp_path):
    _flat(tmp_path, [i % 3 == 0 for i in range(300)])
    ran = cli("--project", tmp_path, "train")
    assert ran.code == 3
    assert 'split = "accounts"' in ran.err
    assert not (tmp_path / "models").exists()


def test_one_class_only_is_refused(cli, tmp_path):
    _flat(tmp_path, [False] * 300)
    ran = cli("--project", tmp_path, "train")
    assert ran.code == 3
    assert "all 300 rows of the panel stayed" in ran.err


def test_a_flat_table_trains_and_scores(cli, tmp_path):
    _flat(tmp_path, [i % 10 < 3 for i in range(600)])
    settings = tmp_path / "churnrisk.toml"
    settings.write_text(settings.read_text() + '[model]\nsplit = "accounts"\ncandidates = ["logistic"]\n')
    assert cli("--project", tmp_path, "train").code == 0
    assert cli("--project", tmp_path, "promote").code == 0
    ran = cli("--project", tmp_path, "score")
    assert ran.code == 0
    assert "600 accounts" in ran.err


def test_folds_of_accounts_are_refused_where_time_would_leak(cli, tiny):
    ran = cli("--project", tiny, "evaluate", "--folds", 5)
    assert ran.code == 2
    assert "would let the future in" in ran.err


def test_every_mistake_in_the_settings_is_named_at_once(cli, tiny):
    (tiny / "churnrisk.toml").write_text(TABLES + '[churn]\nhorizon_days = "long"\nhorizn = 3\n[modl]\n')
    ran = cli("--project", tiny, "check")
    assert ran.code == 2
    for mistake in ("[churn] horizon_days", "[churn] horizn: is no setting", "[modl]: is no setting"):
        assert mistake in ran.err


def test_settings_that_are_no_toml_name_the_line(cli, tiny):
    (tiny / "churnrisk.toml").write_text("[tables\n")
    ran = cli("--project", tiny, "check")
    assert ran.code == 2
    assert "line 1" in ran.err


def test_an_as_of_date_outside_the_data_names_their_span(cli, scored):
    ran = cli("--project", scored, "score", "--as-of", "2031-01-01")
    assert ran.code == 2
    assert "lies outside the data, which cover" in ran.err


def test_an_unknown_colour_or_file_ending_is_a_usage_error(cli, scored, tmp_path):
    assert cli("--project", scored, "redlist", "--colour", "purple").code == 2
    assert cli("--project", scored, "redlist", "--output", tmp_path / "list.doc").code == 2
    assert cli("--project", scored, "score", "--output", tmp_path / "scores.doc").code == 2
    assert cli("--project", scored, "report", "--output", tmp_path / "report.pdf").code == 2
    assert not list(tmp_path.glob("*.doc")) + list(tmp_path.glob("*.pdf"))


def test_a_model_that_reads_a_vanished_table_is_refused(cli, scored):
    settings = scored / "churnrisk.toml"
    text = settings.read_text()
    start = text.index("[tables.surveys]")
    end = text.index("\n[", text.index("[tables.surveys.columns]") + 1)
    settings.write_text(text[:start] + text[end:])
    ran = cli("--project", scored, "score")
    assert ran.code == 2
    assert "last_survey_score" in ran.err
    assert "churnrisk train" in ran.err


def test_the_red_list_before_the_first_score_names_the_command(cli, project):
    ran = cli("--project", project, "redlist")
    assert ran.code == 2
    assert "churnrisk score" in ran.err


def test_a_broken_memory_limit_is_a_usage_error(cli, tiny):
    (tiny / "churnrisk.toml").write_text(TABLES + '[engine]\nmemory_limit = "plenty"\n')
    ran = cli("--project", tiny, "check")
    assert ran.code == 2
    assert "[engine]" in ran.err


def _flat(folder: Path, churned: list[bool]) -> None:
    count = len(churned)
    frame = pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(count)],
            "visits": [(i * 7) % 13 + (0 if left else 5) for i, left in enumerate(churned)],
            "city": ["Bonn" if i % 2 else "Kiel" for i in range(count)],
            "churned": churned,
        }
    )
    frame.to_csv(folder / "flat.csv", index=False)
    (folder / "churnrisk.toml").write_text(FLAT)
