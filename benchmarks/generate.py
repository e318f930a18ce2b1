"""Synthetic events, complaints and accounts as Parquet, made by DuckDB: bursty, skewed, 50 product features.

usage: python benchmarks/generate.py XS|S|M|L|A FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

#: accounts, events; XS is for tests, A has many accounts that do little
SIZES = {
    "XS": (1_000, 200_000),
    "S": (10_000, 2_000_000),
    "M": (50_000, 20_000_000),
    "L": (200_000, 100_000_000),
    "A": (1_000_000, 20_000_000),
}
DAYS = 549
EVENTS_IN_A_BURST = 8


def generate(size: str, folder: Path) -> None:
    """Write accounts.parquet, events.parquet (in time order) and complaints.parquet; the same rows each time."""
    accounts, events = SIZES[size]
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute(f"set memory_limit = '3GB'; set temp_directory = '{folder}'")
    # hash() instead of random(): the same rows whatever the number of threads
    sql = f"""
    copy (select 'a' || i as account_id, timestamp '2024-07-01' + to_days((hash(i, 1) % 200)::int) as signed_up_at
          from range({accounts}) t(i)) to '{folder}/accounts.parquet';
    copy (
      with burst as (
        select s, (pow((hash(s, 2) % 1000000) / 1e6, 2) * {accounts})::bigint as account,
               timestamp '2024-07-01' + to_seconds((s * {DAYS} * 86400.0 / {events // EVENTS_IN_A_BURST})) as started
        from range({events // EVENTS_IN_A_BURST}) t(s))
      select 'a' || account as account_id, 'u' || account || '_' || (hash(s, 3) % (1 + account % 12)) as user_id,
             started + to_seconds(hash(s, k, 4) % 900) as occurred_at,
             'feature_' || (pow((hash(s, k, 5) % 1000000) / 1e6, 2) * 50)::int as feature
      from burst, range({EVENTS_IN_A_BURST}) r(k) order by occurred_at
    ) to '{folder}/events.parquet' (compression zstd, row_group_size 500000);
    copy (
      select 'a' || (hash(i, 6) % {accounts}) as account_id, opened_at,
             case when hash(i, 7) % 12 > 0 then opened_at + to_hours((hash(i, 8) % 200)::int) end as resolved_at,
             1 + hash(i, 9) % 4 as severity
      from (select i, timestamp '2024-07-01' + to_seconds(hash(i, 10) % ({DAYS} * 86400)) as opened_at
            from range({events // 500}) t(i))
    ) to '{folder}/complaints.parquet';
    """
    for statement in sql.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.close()


if __name__ == "__main__":
    generate(sys.argv[1], Path(sys.argv[2]))
