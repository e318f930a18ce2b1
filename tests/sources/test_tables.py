"""From the user's columns to the contract's: mapping, SQL, own columns, fingerprints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from churnrisk.errors import ContractError, UsageError
from churnrisk.sources import TableConfig, Tables, open_tables
from tests.sources.reading import ACCOUNTS, ROWS, TEXT, engine, native, open_events, read, write_parquet


def digest(base: Path, **config: Any) -> str:
    with engine(base) as opened:
        return open_events(opened, **config).digest


def accounts_with(base: Path, text: str) -> tuple[dict[str, str], Mapping[str, tuple[str, ...]]]:
    """Open accounts from CSV text; return the types of its columns and the categorical ones."""
    (base / "accounts.csv").write_text(text)
    (base / "e.csv").write_text(TEXT)
    with engine(base) as opened:
        tables: Tables = open_tables(
            opened, {"accounts": TableConfig(path="accounts.csv"), "events": TableConfig(path="e.csv")}
        )
        return opened.columns("accounts"), tables.available.categorical


def test_columns_are_mapped_by_name(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        TEXT.replace("account_id,occurred_at,feature", 'Kunde,Wann?,"Was ""genau"" é"')
    )
    columns = {"account_id": "Kunde", "occurred_at": "Wann?", "feature": 'Was "genau" é'}
    assert read(tmp_path, path="e.csv", columns=columns) == ROWS


def test_capitals_and_spaces_in_a_header_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        TEXT.replace("account_id,occurred_at,feature", "ACCOUNT_ID, Occurred_At ,THING")
    )
    assert read(tmp_path, path="e.csv", columns={"feature": "thing"}) == ROWS
    assert list(native(tmp_path, path="e.csv")) == ["account_id", "occurred_at", "THING"]


def test_a_mapped_column_wins_over_one_that_has_the_name_already(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        TEXT.replace("account_id,occurred_at,feature", "id,occurred_at,Account_ID")
    )
    (row, _) = read(tmp_path, path="e.csv", columns={"account_id": "id"})
    assert row[0] == "A"


def test_an_unknown_mapped_column_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    with pytest.raises(UsageError, match=r"maps feature to 'what'.*it has account_id, occurred_at, feature"):
        read(tmp_path, path="e.csv", columns={"feature": "what"})


def test_a_mapping_onto_no_column_of_the_contract_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    with pytest.raises(UsageError, match=r"maps featur, which is not a column of events"):
        read(tmp_path, path="e.csv", columns={"featur": "feature"})


def test_a_missing_required_column_is_named_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("ts,user\n2025-01-01,u\n")
    with pytest.raises(
        ContractError, match=r"no column 'account_id', 'occurred_at'; it has ts, user\. Map it under"
    ):
        read(tmp_path, path="e.csv")


def test_unknown_tables_and_a_lone_accounts_table_are_refused(tmp_path: Path) -> None:
    with engine(tmp_path) as opened:
        with pytest.raises(UsageError, match="unknown tables clicks; the contract has accounts, events"):
            open_tables(opened, {"accounts": ACCOUNTS, "clicks": ACCOUNTS})
        with pytest.raises(UsageError, match="at least one more table"):
            open_tables(opened, {"accounts": ACCOUNTS})
        with pytest.raises(UsageError, match=r"needs \[tables.accounts\]"):
            open_tables(opened, {"events": ACCOUNTS, "surveys": ACCOUNTS})


def test_sql_reads_files_by_paths_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "e.csv").write_text(TEXT)
    sql = "select * from read_csv('deep/e.csv') ; "
    assert read(tmp_path, sql=sql) == ROWS


def test_sql_that_does_not_run_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    for sql in ("selec 1", "select nothing from 'e.csv'", "select * from missing"):
        with pytest.raises(UsageError, match=r"\[tables.events\] SQL does not run"):
            read(tmp_path, sql=sql)
    with pytest.raises(UsageError, match=r"\[tables.events\] .*nope.csv.*relative"):
        read(tmp_path, sql="select * from read_csv('nope.csv')")


def test_rows_without_a_required_value_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT + ",2025-03-03,x\nA,,x\nA,soon,x\n")
    assert read(tmp_path, path="e.csv") == ROWS


def test_a_bad_number_does_not_stop_reading_a_csv_file(tmp_path: Path) -> None:
    lines = "".join(f"A,2025-03-01,{number}\n" for number in range(5000))
    (tmp_path / "e.csv").write_text("account_id,occurred_at,quantity\n" + lines + "A,2025-03-02,oops\n")
    with engine(tmp_path) as opened:
        open_events(opened, path="e.csv")
        assert opened.rows("select count(*), count(quantity), sum(quantity) from events") == [
            (5001, 5000, 12497500)
        ]


def test_own_columns_become_numbers_flags_and_categories_and_free_text_is_dropped(tmp_path: Path) -> None:
    lines = "".join(f"A{n},{n / 2},{'ab'[n % 2]},remark number {n},{n},2025-01-01\n" for n in range(120))
    types, categorical = accounts_with(tmp_path, "account_id,load,kind,remark,Größe 1,since\n" + lines)
    assert types == {
        "account_id": "VARCHAR",
        "load": "DOUBLE",
        "kind": "VARCHAR",
        "Größe 1": "DOUBLE",
        "since": "VARCHAR",
    }
    assert categorical["accounts"] == ("kind", "since")


def test_native_flags_are_numbers_and_structures_are_dropped(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "accounts.parquet",
        "select 'A' account_id, true flag, 3::decimal(9, 1) fee, "
        "{'a': 1} nested, 'x'::enum('x') tier, date '2025-01-01' since",
    )
    with engine(tmp_path) as opened:
        tables = open_tables(
            opened,
            {
                "accounts": TableConfig(path="accounts.parquet"),
                "events": TableConfig(sql="select 'A' account_id, now() occurred_at"),
            },
        )
        assert tables.available.own_columns("accounts") == ("flag", "fee", "tier")
        assert opened.rows("select flag, fee, tier from accounts") == [(1, 3.0, "x")]
        assert tables.available.categorical["accounts"] == ("tier",)


def test_columns_beyond_the_contract_of_a_closed_table_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("account_id,occurred_at,colour\nA,2025-01-01,red\n")
    with engine(tmp_path) as opened:
        tables = open_events(opened, path="e.csv")
        assert not tables.available.has("events.colour")
        assert list(opened.columns("events")) == ["account_id", "occurred_at"]


def test_the_digest_changes_with_the_content_and_with_the_mapping(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text(TEXT)
    first = digest(tmp_path, path="e.csv")
    assert digest(tmp_path, path="e.csv") == first
    assert digest(tmp_path, path="e.csv", nulls=("NA",)) != first
    path.write_text(TEXT + "A,2025-03-09,x\n")
    os.utime(path, ns=(1, 1))
    assert digest(tmp_path, path="e.csv") != first


def test_the_digest_of_sql_follows_the_rows_and_not_their_order(tmp_path: Path) -> None:
    def of(*accounts: str) -> str:
        values = ", ".join(f"('{account}', date '2025-01-01')" for account in accounts)
        (tmp_path / "q.csv").write_text(TEXT)
        return digest(tmp_path, sql="select * from numbers") if not accounts else _digest(tmp_path, values)

    assert of("A", "B") == of("B", "A")
    # two equal rows must not cancel each other out
    assert of("A", "A") != of("B", "B")


def _digest(base: Path, values: str) -> str:
    with engine(base) as opened:
        opened.run(f"create temp table given as select * from (values {values}) t(account_id, occurred_at)")
        return open_events(opened, sql="select * from given").digest


@pytest.mark.parametrize(
    "given",
    [{}, {"path": "a.csv", "sql": "select 1"}, {"url": "sqlite://"}, {"path": "a.csv", "table": "t"}],
)
def test_a_table_comes_from_exactly_one_place(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        TableConfig(**given)


def test_files_in_braces_are_read_in_sql_as_by_path(tmp_path: Path) -> None:
    (tmp_path / "e_1.csv").write_text(TEXT.replace("report", "Übersicht"), "cp1252")
    (tmp_path / "e_2.csv").write_text(TEXT.replace("report", "Größe"))
    one = "select * from {{{}}} where feature <> 'login' and {{'a.b': 1}}['a.b'] = 1 and 'd2' not similar to 'd{{2}}'"
    sql = f"{one.format('e_1.csv')} union all {one.format('e_2.csv')}"
    found = {row[2] for row in read(tmp_path, sql=sql, encoding="cp1252")}
    assert found == {"Größe", "Übersicht"}
    with pytest.raises(UsageError, match=r"\[tables.events\] path 'e_3.csv' matches no file"):
        read(tmp_path, sql="select * from {e_3.csv}")
