"""How the tests of this folder open one table beside a minimal accounts table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from churnrisk.sources import Engine, EngineConfig, TableConfig, Tables, open_tables

TEXT = "account_id,occurred_at,feature\nA,2025-03-01 10:00:00,login\nA,2025-03-02,report\n"
ROWS = [("A", datetime(2025, 3, 1, 10), "login"), ("A", datetime(2025, 3, 2), "report")]
ACCOUNTS = TableConfig(sql="select 'A' as account_id")


def engine(base: Path) -> Engine:
    return Engine(EngineConfig(threads=1), base=base)


def open_events(opened: Engine, **config: Any) -> Tables:
    return open_tables(opened, {"accounts": ACCOUNTS, "events": TableConfig(**config)})


def read(base: Path, **config: Any) -> list[tuple[Any, ...]]:
    """Return account_id, occurred_at and feature of the events that a config names."""
    with engine(base) as opened:
        tables = open_events(opened, **config)
        feature = "feature" if tables.available.has("events.feature") else "null"
        return opened.rows(f"select account_id, occurred_at, {feature} from events order by 1, 2")


def native(base: Path, **config: Any) -> dict[str, str]:
    with engine(base) as opened:
        return dict(open_events(opened, **config).native["events"])


def write_parquet(path: Path, query: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"copy ({query}) to '{path}' (format parquet)").fetchall()
