"""From a source's columns to the contract's: lists of names, paths into nested values, conditions, normal ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnrisk.errors import ContractError, UsageError
from churnrisk.sources import TableConfig, open_account, open_tables
from tests.sources.reading import ACCOUNTS, engine, open_events, read, write_parquet

AT = "2025-03-01"


def accounts_of(base: Path, **config: Any) -> list[str]:
    return [row[0] for row in read(base, **config)]


def test_of_several_columns_the_first_that_is_filled_counts(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        f"company_id,organization_id,occurred_at\nA,X,{AT}\n,B,{AT}\n  ,C,{AT}\nNA,D,{AT}\n,,{AT}\n"
    )
    columns = {"account_id": ("company_id", "organization_id")}
    assert accounts_of(tmp_path, path="e.csv", columns=columns, nulls=("NA",)) == list("ABCD")


def test_columns_of_several_types_can_stand_in_for_each_other(tmp_path: Path) -> None:
    rows = "values (17, 'A', date '2025-03-01'), (null, 'B', date '2025-03-01')"
    write_parquet(tmp_path / "e.parquet", f"from ({rows}) t(number, code, occurred_at)")
    columns = {"account_id": ("number", "code")}
    assert accounts_of(tmp_path, path="e.parquet", columns=columns) == ["17", "B"]
    write_parquet(
        tmp_path / "e.parquet", "select 'A' account_id, null::date a, date '2025-03-01' b, 1.5 as feature"
    )
    assert len(read(tmp_path, path="e.parquet", columns={"occurred_at": ("a", "b")})) == 1


def test_an_empty_list_of_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(f"account_id,occurred_at\nA,{AT}\n")
    with pytest.raises(UsageError, match=r"\[tables.events.columns\] feature = \[\] names no column"):
        read(tmp_path, path="e.csv", columns={"feature": ()})


@pytest.mark.parametrize("written", ["json", "csv", "parquet", "map"])
def test_dotted_paths_lead_into_nested_values(tmp_path: Path, written: str) -> None:
    given = {"customer": {"id": "A"}, "at": AT, "items": {"data": [{"price": "low"}, {"price": "high"}]}}
    other = {"customer": {"id": "B"}, "at": AT, "items": {"data": []}}
    path = tmp_path / f"e.{'parquet' if written == 'map' else written}"
    lines = "\n".join(map(json.dumps, (given, other)))
    (tmp_path / "nested.jsonl").write_text(lines)
    if written == "json":
        path = tmp_path / "nested.jsonl"
    elif written == "map":
        price = "case when id = 'A' then [{'price': 'high'}] else [] end"
        values = f"map {{'id': id}} as customer, date '{AT}' as at, {{'data': {price}}} as items"
        write_parquet(path, f"select {values} from (values ('A'), ('B')) t(id)")
    else:
        kind = "csv" if written == "csv" else "parquet"
        texts = 'to_json(customer)::varchar as customer, "at", to_json(items)::varchar as items'
        with duckdb.connect() as connection:
            nested = f"select {texts} from '{tmp_path / 'nested.jsonl'}'"
            connection.execute(f"copy ({nested}) to '{path}' (format {kind})")
    last = "items.data.0.price" if written == "map" else "items.data.1.price"
    columns = {"account_id": "customer.id", "occurred_at": "at", "feature": last}
    found = read(tmp_path, path=path.name, columns=columns)
    assert [(account, feature) for account, _, feature in found] == [("A", "high"), ("B", None)]


def test_a_column_with_dots_in_its_name_wins_over_a_path(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text(
        json.dumps({"a": {"b": "path", "c.d": "dotted"}, "a.b": "column", "occurred_at": AT})
    )
    assert accounts_of(tmp_path, path="e.jsonl", columns={"account_id": "a.b"}) == ["column"]
    assert accounts_of(tmp_path, path="e.jsonl", columns={"account_id": "a.c.d"}) == ["dotted"]


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("nested.plan", "nested has no such value; it has id, deep, list"),
        ("text.plan", "text has no such value; it has size"),
        ("nested.deep.a.b", "nested.deep has no such value; it has c"),
        ("nested.list.first", "nested.list has no such value; it has 0, 1, 2"),
        ("occurred_at.plan", "occurred_at has no such value; it has none"),
        ("plan.id", "events has no such column; it has occurred_at, nested, text"),
    ],
)
def test_a_path_that_leads_nowhere_names_what_is_there(tmp_path: Path, path: str, there: str) -> None:
    nested = "{'id': 'A', 'deep': {'c': 1}, 'list': [1]} as nested, '{\"size\": 3}' as text"
    write_parquet(tmp_path / "e.parquet", f"select date '{AT}' as occurred_at, {nested}")
    with pytest.raises(UsageError, match=there):
        read(tmp_path, path="e.parquet", columns={"account_id": path})


def test_two_columns_for_one_name_are_asked_about(tmp_path: Path) -> None:
    columns = f"'A' as \"Account_ID\", 'B' as \"account_id \", date '{AT}' as occurred_at"
    write_parquet(tmp_path / "e.parquet", f"select {columns}")
    with pytest.raises(UsageError, match=r"several columns for account_id: 'Account_ID', 'account_id '"):
        read(tmp_path, path="e.parquet")
    with pytest.raises(UsageError, match="several columns for ACCOUNT_ID"):
        read(tmp_path, path="e.parquet", columns={"account_id": "ACCOUNT_ID"})
    assert accounts_of(tmp_path, path="e.parquet", columns={"account_id": "Account_ID"}) == ["A"]


def test_two_columns_of_one_name_in_a_file_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text(f"account_id,Feature,feature ,other,other,n,n_1,occurred_at\nA,x,y,1,2,3,4,{AT}\n")
    with pytest.raises(
        ContractError, match=r"\[tables.events\] e.csv has several columns 'Feature'.*'Feature_1'"
    ):
        read(tmp_path, path="e.csv")
    with pytest.raises(ContractError, match="several columns 'other'"):
        read(tmp_path, path="e.csv", columns={"feature": "other"})
    assert read(tmp_path, path="e.csv", columns={"feature": "feature_1"})[0][2] == "y"
    assert read(tmp_path, path="e.csv", columns={"feature": "n"})[0][2] == "3"


def test_where_leaves_rows_out_and_counts_them(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(f"account_id,occurred_at,status\nA,{AT},open\nB,{AT},test\nC,{AT},\n")
    with engine(tmp_path) as opened:
        tables = open_events(opened, path="e.csv", where="status = 'open' or status is null -- not tests")
        assert opened.rows("select account_id from events order by 1") == [("A",), ("C",)]
        assert tables.left_out == {"accounts": 0, "events": 1}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("status = ", "is no SQL condition: syntax error"),
        ("true); drop table x; select (true", "is no SQL condition"),
        ("true), (false", "must be one condition"),
        ("true) from (values (1)) t(x) where (true", "must be one condition"),
        ("account_id in (select 'A')", "without subqueries"),
        ("status = missing", "does not run: .*missing"),
        ("occurred_at < now()", "uses now, so the same files would give another list tomorrow"),
        ("occurred_at < current_date", "uses current_date"),
        ("random() < 0.5", "uses random"),
    ],
)
def test_where_must_be_one_condition_over_the_columns(tmp_path: Path, where: str, message: str) -> None:
    (tmp_path / "e.csv").write_text(f"account_id,occurred_at,status\nA,{AT},open\n")
    with pytest.raises(UsageError, match=rf"\[tables.events\] where.*{message}"):
        read(tmp_path, path="e.csv", where=where)


def test_where_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(f"account_id,occurred_at,status\nA,{AT},open\n")
    with pytest.raises(ContractError, match=r"\[tables.events\] where leaves out all 1 rows"):
        read(tmp_path, path="e.csv", where="status = 'Open'")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_normal_ids_are_those_of_all_later_steps(tmp_path: Path, ending: str) -> None:
    rows = f"from (values (' a1', date '{AT}'), ('A1 ', date '{AT}'), ('', date '{AT}')) t(account_id, occurred_at)"
    write_parquet(tmp_path / "e.parquet", rows)
    (tmp_path / "e.csv").write_text(f"account_id,occurred_at\n a1,{AT}\nA1 ,{AT}\n,{AT}\n")
    with engine(tmp_path) as opened:
        open_events(opened, path=f"e.{ending}", ids="upper")
        for relation in ("raw_events", "events", "bare_events"):
            found = opened.rows(f"select account_id, count(*) from {relation} group by 1 order by 1")
            assert found[0] == ("A1", 2)


def test_ids_that_are_vouched_for_keep_their_type(tmp_path: Path) -> None:
    write_parquet(tmp_path / "e.parquet", f"select 7 as account_id, date '{AT}' as occurred_at")
    with engine(tmp_path) as opened:
        assert open_events(opened, path="e.parquet", ids="exact").native["events"]["account_id"] == "INTEGER"


def test_an_unknown_rule_for_ids_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(f"account_id,occurred_at\nA,{AT}\n")
    with pytest.raises(UsageError, match=r"\[tables.events\] ids: expected 'exact', 'upper'.*found 'uper'"):
        read(tmp_path, path="e.csv", ids="uper")


def test_one_account_is_found_by_its_normal_id(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text(
        "\n".join(
            json.dumps({"who": {"id": who, "alias": "a2"}, "occurred_at": AT, "kind": kind})
            for who, kind in ((" a1", "x"), ("", "x"), ("A1", "y"), (None, "x"))
        )
    )
    config = TableConfig(
        path="e.jsonl", columns={"account_id": ("who.id", "who.alias")}, ids=("upper",), where="kind = 'x'"
    )
    with engine(tmp_path) as opened:
        open_tables(opened, {"accounts": ACCOUNTS, "events": config})
        every = opened.rows("select account_id, count(*) from events group by 1 order by 1")
        assert every == [("A1", 1), ("A2", 2)]
    for account, rows in every:
        with engine(tmp_path) as opened:
            open_account(opened, {"events": config}, account, ["events"])
            assert opened.value("select count(*) from events") == rows


def test_one_account_of_a_database_is_found_by_its_normal_id(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "e.db") as connection:
        connection.execute("create table e (account_id text, occurred_at text)")
        connection.executemany("insert into e values (?, ?)", [("a1", AT), ("A1", AT), ("b", AT)])
    config = TableConfig(url="sqlite:///e.db", table="e", ids="upper")
    with engine(tmp_path) as opened:
        open_account(opened, {"events": config}, "A1", ["events"])
        assert opened.value("select count(*) from events") == 2
