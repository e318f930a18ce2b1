"""The check compares no row of a large table with every row of another, however little is known of their sizes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from churnrisk.contract import validate
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

#: Joins without an equality: their time grows with the product of both sides.
SLOW = ("NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN", "PIECEWISE_MERGE_JOIN", "IE_JOIN", "CROSS_PRODUCT")
NOW = datetime(2026, 1, 1)


def test_every_join_of_the_check_has_an_equality(tmp_path: Path) -> None:
    _write(tmp_path)
    configs = {name: TableConfig(path=f"{name}*.parquet") for name in ("accounts", "events", "complaints")}
    plans: list[str] = []
    with Engine(EngineConfig(), base=tmp_path) as engine:
        opened = open_tables(engine, configs)

        class Explained:
            def rows(self, sql: str, /) -> list[tuple[Any, ...]]:
                plan = str(engine.rows(f"explain (format json) {sql}")[0][1])
                assert not [name for name in SLOW if name in plan], sql
                plans.append(plan)
                return engine.rows(sql)

            def create(self, name: str, query: str, /) -> str:
                self.rows(f"select count(*) from ({query})")
                return engine.create(name, query)

        found = validate(
            Explained(), opened.available, native=opened.native, readings=opened.readings, now=NOW
        )
    assert {violation.table for violation in found} >= {"events", "complaints"}, found
    assert any("HASH_JOIN" in plan for plan in plans)


def _write(folder: Path) -> None:
    """Write many files of events, of which some happen before the sign-up, belong to nobody or are there twice."""
    with duckdb.connect() as connection:
        connection.execute(
            "create table accounts as select 'a' || i as account_id, timestamp '2025-01-01' + to_days(i % 300) "
            "as signed_up_at from range(2000) t(i)"
        )
        connection.execute(f"copy accounts to '{folder}/accounts.parquet'")
        for day in range(60):
            start = datetime(2025, 3, 1) + timedelta(days=day)
            for name, time, count in (("events", "occurred_at", 3000), ("complaints", "opened_at", 50)):
                connection.execute(
                    f"copy (select 'a' || (i * 7 % 2100) as account_id, timestamp '{start}' + to_seconds(i // 2 * 2) "
                    f"as {time} from range({count}) t(i)) to '{folder}/{name}-{day:02}.parquet'"
                )
