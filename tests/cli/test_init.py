"""`churnrisk init` on exports as people have them: what it writes, asks and refuses."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.conftest import Cli

HERE = Path(__file__).parent
CASES = Path(os.environ.get("CHURNRISK_CASES") or HERE.parents[2] / "shared" / "cases")
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")


@pytest.fixture
def started(cli: Cli, tmp_path: Path):
    """Run `init --yes` on a copy of a case's files, and return how it ended and what it wrote."""

    def start(number: str, *arguments: str) -> tuple[int, str, dict[str, Any]]:
        folder = tmp_path / number
        if not folder.exists():
            (source,) = CASES.glob(f"{number}-*/input")
            folder.mkdir()
            for file in source.iterdir():
                if file.name != "churnrisk.toml":
                    shutil.copy(file, folder)
        ran = cli("init", folder, "--yes", "--force", *arguments)
        checked = cli("--project", folder, "check").code
        assert (ran.code == 0) == (checked == 0), "init says whether check accepts what it wrote"
        return ran.code, ran.err, tomllib.loads((folder / "churnrisk.toml").read_text())

    return start


@needs_cases
def test_trials_are_mapped_and_counted(started) -> None:
    code, said, written = started("09")
    assert code == 0
    assert written["tables"]["subscriptions"]["columns"]["trial_ends_at"] == "trial_end"
    assert "trial that was never paid (3 rows)" in said


@needs_cases
def test_consequences_of_the_label_are_left_out_and_named(started) -> None:
    code, said, written = started("10")
    assert code == 0
    for name in ("Cancellation Flag", "Churn Score", "Churn Reason"):
        assert f"{name} is left out" in said
        assert f'"{name}"' not in written["tables"]["attributes"]["sql"]


@needs_cases
def test_the_accounts_are_those_that_the_other_files_name(started) -> None:
    code, said, written = started("12")
    assert code == 0
    assert written["tables"]["accounts"]["path"] == "customer.csv"
    assert written["tables"]["subscriptions"]["path"] == "subscription.csv"
    assert set(written["tables"]) == {"accounts", "subscriptions"}
    assert "not used: plan.csv" in said
    assert "not used: charge.csv" in said
    assert "--rules-only" in said


@needs_cases
def test_users_lead_from_events_to_accounts(started) -> None:
    code, _, written = started("13")
    assert code == 0
    assert written["tables"]["events"]["via"] == {
        "path": "users.csv", "key": "user_id", "account": "account_id",
    }  # fmt: skip


@needs_cases
def test_a_billing_history_defines_churn(started) -> None:
    code, said, written = started("15")
    assert code == 0
    assert written["churn"]["definition"] == "contractual"
    assert "expires_at as ended_at" in written["tables"]["subscriptions"]["sql"]
    assert "churn: contractual: subscriptions with end dates" in said


@needs_cases
def test_a_file_of_windows_with_euros_is_read_and_alone_too_little(started) -> None:
    code, said, written = started("16")
    assert code == 3
    accounts = written["tables"]["accounts"]
    assert (accounts["encoding"], accounts["decimal"], accounts["thousands"]) == ("cp1252", ",", ".")
    assert accounts["date_format"] == "%d.%m.%Y"
    assert "at least one more table" in said


@needs_cases
def test_dates_as_numbers_are_recognised(started) -> None:
    code, _, written = started("18")
    assert code == 0
    formats = {name: table.get("date_format") for name, table in written["tables"].items()}
    assert formats == {
        "accounts": None, "events": "epoch_ms", "subscriptions": "epoch_s", "complaints": "excel",
    }  # fmt: skip


@needs_cases
def test_dates_with_the_day_first_are_recognised_by_column(started) -> None:
    code, _, written = started("19")
    assert code == 0
    assert written["tables"]["accounts"]["date_format"] == {
        "signed_up_at": "%d/%m/%Y %H:%M", "renewal_at": "%d/%m/%Y",
    }  # fmt: skip


@needs_cases
def test_which_severity_is_worst_is_asked_never_assumed(started) -> None:
    code, said, written = started("21")
    assert code == 3
    assert "severity_order" not in written["tables"]["complaints"]
    assert '--answer complaints.severity_order="1 is worst"' in said
    code, _, written = started("21", "--answer", "severity_order=1 is worst")
    assert code == 0
    assert written["tables"]["complaints"]["severity_order"] == "1 is worst"


@needs_cases
def test_one_file_per_month_gives_terms_and_attributes(started) -> None:
    code, said, written = started("23")
    assert code == 0
    assert written["tables"]["attributes"]["path"] == "customers_*.csv"
    assert str(written["snapshots"]["data_until"]) == "2026-11-01"
    assert "whoever is missing from one has left" in said


@needs_cases
def test_sheets_of_a_workbook_are_tables(started) -> None:
    code, _, written = started("25")
    assert code == 0
    assert {table["path"] for table in written["tables"].values()} == {
        "CS data.xlsx#Accounts", "CS data.xlsx#Usage", "CS data.xlsx#Contracts",
    }  # fmt: skip


def test_an_answer_that_no_question_asks_for_is_an_error(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("customer_id,timestamp\na,2025-01-01\na,2025-02-01\nb,2025-01-01\n")
    ran = cli("init", tmp_path, "--yes", "--answer", "colour=red")
    assert ran.code == 2
    assert "the questions were account_id" in ran.err
    assert not (tmp_path / "churnrisk.toml").exists()
    assert cli("init", tmp_path, "--answer", "colour").code == 2
    assert "expected one of" in cli("init", tmp_path, "--answer", "definition=maybe").err


def test_without_a_table_that_defines_churn_it_is_open(cli: Cli, tmp_path: Path) -> None:
    ids = [f"c{number}" for number in range(9)]
    (tmp_path / "customers.csv").write_text("id,name\n" + "".join(f"{one},N{one}\n" for one in ids))
    tickets = "".join(f"{one},2025-02-0{n + 1},high\n" for n, one in enumerate(ids))
    (tmp_path / "tickets.csv").write_text("customer_id,opened_at,priority\n" + tickets)
    ran = cli("init", tmp_path, "--yes")
    assert ran.code == 3
    assert "who counts as lost?" in ran.err
    assert "[churn]" not in (tmp_path / "churnrisk.toml").read_text()


def test_a_flat_sheet_of_a_workbook_is_read_as_any_file(cli: Cli, tmp_path: Path) -> None:
    rows = [(f"c{n}", f"Größe {n % 3}", n % 7, "Ja" if n % 4 == 0 else "Nein") for n in range(120)]
    sheet = pd.DataFrame(rows, columns=["Kundennummer", "Größe", "Anrufe", "Churn"])
    sheet.to_excel(tmp_path / "Kunden.xlsx", sheet_name="Alle", index=False)
    ran = cli("init", tmp_path, "--yes")
    assert ran.code == 0, ran.err
    written = tomllib.loads((tmp_path / "churnrisk.toml").read_text())
    assert "{Kunden.xlsx#Alle}" in written["tables"]["labels"]["sql"]
    assert cli("--project", tmp_path, "check").code == 0
    signals = cli("--project", tmp_path, "features", "--format", "json")
    assert {"Größe", "Anrufe"} <= {row["feature"] for row in json.loads(signals.out)}


def test_files_of_two_encodings_and_date_formats_are_one_table(cli: Cli, tmp_path: Path) -> None:
    ids, days = [f"k{n}" for n in range(8)], pd.date_range("2025-01-01", periods=200)
    customers = "".join(f"{one};Müller {one};01.12.2024\n" for one in ids)
    (tmp_path / "kunden.csv").write_text("Kundennummer;Firma;Kunde seit\n" + customers, "cp1252")
    logs = {"log_web": ("%d.%m.%Y", "cp1252", "öffnen"), "log_api": ("%Y-%m-%d", "utf-8", "größe")}
    for name, (form, encoding, what) in logs.items():
        lines = [f"{one};{day:{form}};{what}" for one in ids for day in days]
        extra = ";Ort" if name == "log_web" else ""
        text = "\n".join([f"Kundennummer;date;event{extra}", *(line + ";x" * bool(extra) for line in lines)])
        (tmp_path / f"{name}.csv").write_text(text + "\n", encoding)
    ran = cli("init", tmp_path, "--yes")
    assert ran.code == 0, ran.err
    written = tomllib.loads((tmp_path / "churnrisk.toml").read_text())["tables"]
    assert written["accounts"]["encoding"] == written["events"]["encoding"] == "cp1252"
    assert "from {log_api.csv}\nunion all by name\nselect" in written["events"]["sql"]
    checked = cli("--project", tmp_path, "check")
    assert checked.code == 0, checked.err
    assert "events: 3,200 rows, 2025-01-01 to 2025-07-19" in checked.err


def test_too_few_churned_accounts_are_too_young_for_a_model_as_for_train(cli: Cli, tmp_path: Path) -> None:
    ids, days = [f"c{n}" for n in range(30)], pd.date_range("2023-01-01", "2025-06-01", freq="7D")
    (tmp_path / "customers.csv").write_text(
        "customer_id,company\n" + "".join(f"{one},F{one}\n" for one in ids)
    )
    terms = "".join(f"{one},2023-01-01,{'2024-05-01' if n < 3 else ''}\n" for n, one in enumerate(ids))
    (tmp_path / "contracts.csv").write_text("customer_id,start_date,end_date\n" + terms)
    usage = "".join(f"{one},{day:%Y-%m-%d},login\n" for one in ids for day in days)
    (tmp_path / "usage.csv").write_text("customer_id,timestamp,event\n" + usage)
    ran = cli("init", tmp_path, "--yes")
    assert ran.code == 0, ran.err
    (said,) = (line for line in ran.err.splitlines() if line.startswith("no model yet"))
    assert "it needs at least 10 churned accounts (3 known now)" in said
    reason = said.partition(". Until then")[0]
    trained = cli("--project", tmp_path, "train")
    assert trained.code != 0
    assert reason in trained.err, "init and train say the same"
    listed = cli("--project", tmp_path, "score", "--rules-only")
    assert listed.code == 0, listed.err


@pytest.mark.parametrize(("of_accounts", "of_events"), [("acme-{}", "ACME-{}"), ("Acme-{}", "aCME-{} ")])
def test_ids_in_another_form_are_taken_as_the_check_proposes(
    cli: Cli, tmp_path: Path, of_accounts: str, of_events: str
) -> None:
    days = pd.date_range("2025-01-01", periods=200)
    customers = "".join(f"{of_accounts.format(n)},Firm {n}\n" for n in range(9))
    (tmp_path / "customers.csv").write_text("customer_id,company\n" + customers)
    usage = "".join(f"{of_events.format(n)},{day:%Y-%m-%d},login\n" for n in range(9) for day in days)
    (tmp_path / "usage.csv").write_text("customer_id,timestamp,event\n" + usage)
    ran = cli("init", tmp_path, "--yes")
    assert ran.code == 0, ran.err
    assert "events: ids of 9 accounts are spelt differently than in accounts" in ran.err
    assert cli("--project", tmp_path, "check").code == 0
    exact = cli("init", tmp_path, "--yes", "--force", "--answer", "events.ids=exact")
    assert 'ids = "exact"' in (tmp_path / "churnrisk.toml").read_text()
    assert exact.code == 3, "then no account has an event, which is refused too"
