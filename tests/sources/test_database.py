"""Tables of a SQL database by URL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from churnrisk.errors import UsageError
from churnrisk.sources import database
from tests.sources.reading import ROWS, engine, native, open_events, read


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    return make(tmp_path, [("A", "2025-03-01 10:00:00", "login"), ("A", "2025-03-02", "report")])


def make(
    folder: Path, rows: list[tuple[Any, ...]], types: str = "text, occurred_at datetime, feature text"
) -> Path:
    path = folder / "crm.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"create table usage (account_id {types})")
        connection.executemany("insert into usage values (?, ?, ?)", rows)
    return path


def test_a_table_is_read_by_url(tmp_path: Path, crm: Path) -> None:
    assert read(tmp_path, url=f"sqlite:///{crm}", table="usage") == ROWS
    assert read(tmp_path, url=f"sqlite:///{crm}", table="main.usage") == ROWS


def test_a_relative_url_starts_at_the_project(tmp_path: Path, crm: Path) -> None:
    assert read(tmp_path, url="sqlite:///crm.db", table="usage") == ROWS


def test_a_url_takes_secrets_from_the_environment(
    tmp_path: Path, crm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_FILE", crm.name)
    assert read(tmp_path, url="sqlite:///${CRM_FILE}", table="usage") == ROWS
    monkeypatch.delenv("CRM_FILE")
    with pytest.raises(UsageError, match="environment variable CRM_FILE, which is not set"):
        read(tmp_path, url="sqlite:///${CRM_FILE}", table="usage")


def test_batches_may_differ_in_what_their_values_look_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BATCH_ROWS", 1)
    rows = [
        ("A", "2025-03-01 10:00:00", None),
        (7, "2025-03-02", 1),
        ("B", "soon", 2.5),
        ("C", "2025-03-03", "x"),
    ]
    make(tmp_path, rows, "integer, occurred_at datetime, feature integer")
    found = read(tmp_path, url="sqlite:///crm.db", table="usage")
    assert [(row[0], row[2]) for row in found] == [("7", "1"), ("A", None), ("C", "x")]


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    make(tmp_path, [])
    assert list(native(tmp_path, url="sqlite:///crm.db", table="usage")) == [
        "account_id",
        "occurred_at",
        "feature",
    ]


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    def digest() -> str:
        with engine(tmp_path) as opened:
            return open_events(opened, url="sqlite:///crm.db", table="usage").digest

    path = make(tmp_path, ROWS_AS_TEXT)
    first = digest()
    assert digest() == first
    path.unlink()
    make(tmp_path, ROWS_AS_TEXT[:1])
    assert digest() != first


ROWS_AS_TEXT: list[tuple[Any, ...]] = [("A", "2025-03-01", "x"), ("A", "2025-03-01", "y")]


def test_a_wrong_table_is_named(tmp_path: Path, crm: Path) -> None:
    with pytest.raises(UsageError, match=r"\[tables.events\] the database has no table 'users'"):
        read(tmp_path, url="sqlite:///crm.db", table="users")


def test_a_wrong_file_is_named_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*other.db"):
        read(tmp_path, url="sqlite:///other.db", table="usage")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["nonsense", "klingon://host/db", "sqlite+klingon:///crm.db"])
def test_a_url_that_names_no_database_is_a_readable_error(tmp_path: Path, crm: Path, url: str) -> None:
    with pytest.raises(UsageError, match="'usage' cannot be read"):
        read(tmp_path, url=url, table="usage")


def test_a_file_that_is_no_database_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "crm.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(UsageError, match="file is not a database"):
        read(tmp_path, url="sqlite:///crm.db", table="usage")


def test_no_message_repeats_a_password(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, url="klingon://user:s3cret@host/db", table="usage")
    assert "s3cret" not in str(caught.value)
