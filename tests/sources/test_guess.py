"""What `init` takes the files of a folder for."""

from __future__ import annotations

from pathlib import Path

import pytest

from churnrisk.sources import GuessedTable, guess_tables


def guess(folder: Path, **files: str) -> dict[str | None, GuessedTable]:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return {item.table or f"? {item.path}": item for item in guess_tables(folder)}


def test_a_usual_export_is_understood(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        customers="CustomerID,Company Name,Created,CSM\nA,Acme,2024-01-01,kim\nB,Bolt,2024-02-01,lee\n",
        usage_log="CustomerID,Timestamp,Module,UserID\nA,2025-01-01,login,u\nA,2025-01-02,login,u\n",
        support_tickets="Customer ID,Opened,Closed,Priority,Topic\nA,2025-01-01,2025-01-02,high,x\n",
        contracts="customer_id,start_date,end_date,plan_name,monthly_fee\nA,2024-01-01,,pro,10\n",
        nps="customer_id,date,score\nA,2025-01-01,9\n",
    )
    assert set(found) == {"accounts", "events", "complaints", "subscriptions", "surveys"}
    assert found["accounts"].columns == {
        "account_id": "CustomerID", "name": "Company Name", "signed_up_at": "Created", "owner": "CSM",
    }  # fmt: skip
    assert found["events"].columns["feature"] == "Module"
    assert found["complaints"].columns["resolved_at"] == "Closed"
    assert found["subscriptions"].columns["mrr"] == "monthly_fee"
    assert found["surveys"].columns == {"account_id": "customer_id", "answered_at": "date", "score": "score"}


def test_a_file_that_fits_nothing_is_named_with_its_columns(tmp_path: Path) -> None:
    found = guess(tmp_path, weather="station,rain\nx,1\n")
    assert found["? weather.csv"].all_columns == ("station", "rain")


def test_a_file_with_repeated_ids_is_no_accounts_table(tmp_path: Path) -> None:
    found = guess(tmp_path, customers="customer_id,name\nA,x\nA,y\n")
    assert list(found) == ["? customers.csv"]


def test_two_files_for_one_table_leave_one_open(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        events_old="account_id,occurred_at\nA,2025-01-01\n",
        events_new="account_id,occurred_at,feature\nA,2025-01-01,x\n",
    )
    assert found["events"].path == "events_new.csv"
    assert "? events_old.csv" in found


def test_one_column_serves_one_purpose(tmp_path: Path) -> None:
    found = guess(tmp_path, subscriptions="customer_id,start_date\nA,2025-01-01\n")
    assert found["subscriptions"].columns == {"account_id": "customer_id", "started_at": "start_date"}


def test_unreadable_and_other_files_do_not_stop_the_guess(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "readme.md").write_text("hello")
    found = guess(tmp_path, events="account_id,occurred_at\nA,2025-01-01\n")
    assert set(found) == {"events", "? broken.parquet", "? empty.csv"}


def test_a_folder_without_data_gives_no_guess(tmp_path: Path) -> None:
    assert guess_tables(tmp_path) == []


@pytest.mark.parametrize("name", ["labels", "outcome_2025"])
def test_labels_are_recognised_by_file_name(tmp_path: Path, name: str) -> None:
    found = guess(tmp_path, **{name: "customer_id,snapshot_date,churned\nA,2025-01-01,yes\n"})
    assert found["labels"].columns == {
        "account_id": "customer_id",
        "as_of": "snapshot_date",
        "churned": "churned",
    }
