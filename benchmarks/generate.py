"""Synthetic tables of the contract as Parquet, made by DuckDB: bursty, skewed events of 50 product features.

usage: python benchmarks/generate.py XS|S|M|L|A FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: Where benchmarks keep the tables of each size.
FOLDER = Path(__file__).parents[1] / "build" / "bench"
TABLES = ("accounts", "events", "complaints", "subscriptions", "surveys")
#: What a peer reads, who computes a part of the signals.
PEER_TABLES = TABLES[:3]
#: accounts, events; XS is for tests, A has as many events as L of five times the accounts
SIZES = {
    "XS": (1_000, 200_000),
    "S": (10_000, 2_000_000),
    "M": (50_000, 20_000_000),
    "L": (200_000, 100_000_000),
    "A": (1_000_000, 100_000_000),
}
DAYS = 549
EVENTS_IN_A_BURST = 8


def generated(size: str) -> Path:
    """Return the folder with the tables of a size, which another process makes where they are not there yet."""
    folder = FOLDER / size
    if not all((folder / f"{name}.parquet").exists() for name in TABLES):
        # in this process its memory would count as that of every job that is started from it
        subprocess.run([sys.executable, __file__, size, folder], check=True)
    return folder


def generate(size: str, folder: Path) -> None:
    """Write the tables that are not there yet, events in time order; the same rows each time."""
    import duckdb

    accounts, events = SIZES[size]
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '3GB'; set temp_directory = '{folder}'")
        for name, rows in _tables(accounts, events).items():
            path, new = folder / f"{name}.parquet", folder / f"{name}.parquet.new"
            if not path.exists():
                copied = f"copy ({rows}) to '{new}' (format parquet, compression zstd, row_group_size 500000)"
                connection.execute(copied)
                new.replace(path)


def _tables(accounts: int, events: int) -> dict[str, str]:
    # hash() instead of random(): the same rows whatever the number of threads
    began = "timestamp '2024-07-01'"
    seconds = DAYS * 86400
    return {
        "accounts": f"select 'a' || i as account_id, {began} + to_days((hash(i, 1) % 200)::int) as signed_up_at "
        f"from range({accounts}) t(i)",
        "events": f"""
            with burst as (
              select s, (pow((hash(s, 2) % 1000000) / 1e6, 2) * {accounts})::bigint as account,
                     {began} + to_seconds((s * {seconds}.0 / {events // EVENTS_IN_A_BURST})) as started
              from range({events // EVENTS_IN_A_BURST}) t(s))
            select 'a' || account as account_id, 'u' || account || '_' || (hash(s, 3) % (1 + account % 12)) as user_id,
                   started + to_seconds(hash(s, k, 4) % 900) as occurred_at,
                   'feature_' || (pow((hash(s, k, 5) % 1000000) / 1e6, 2) * 50)::int as feature
            from burst, range({EVENTS_IN_A_BURST}) r(k) order by occurred_at""",
        "complaints": f"""
            select 'a' || (hash(i, 6) % {accounts}) as account_id, opened_at,
                   case when hash(i, 7) % 12 > 0 then opened_at + to_hours((hash(i, 8) % 200)::int) end as resolved_at,
                   1 + hash(i, 9) % 4 as severity
            from (select i, {began} + to_seconds(hash(i, 10) % {seconds}) as opened_at
                  from range({events // 500}) t(i))""",
        # a first term for everybody and a second one, dearer or not, for most
        "subscriptions": f"""
            select 'a' || i as account_id, {began} + to_days((hash(i, 1) % 200 + 180 * term)::int) as started_at,
                   case when term = 0 then started_at + to_days(180) end as ended_at,
                   'plan ' || (hash(i, term, 11) % 3) as plan, (20 + hash(i, term, 12) % 500) as mrr,
                   1 + hash(i, term, 13) % 40 as seats, started_at + to_days(365) as renewal_at,
                   hash(i, 14) % 4 > 0 as auto_renew
            from range({accounts}) t(i), range(2) r(term) where term = 0 or hash(i, 15) % 5 > 0""",
        "surveys": f"""
            select 'a' || (hash(i, 16) % {accounts}) as account_id,
                   {began} + to_seconds(hash(i, 17) % {seconds}) as answered_at, hash(i, 18) % 11 as score
            from range({2 * accounts}) t(i)""",
    }


if __name__ == "__main__":
    generate(sys.argv[1], Path(sys.argv[2]))
