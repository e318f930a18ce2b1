"""How fast a run is published: a million made-up scores into an empty history, in a fresh process each time.

Beside it stands the floor: the same rows, ready made, by a bare `executemany` or `COPY` into a table of the same
columns without a key or an index. Of PostgreSQL's server the clock alone tells: its processor time is not ours.

usage: python benchmarks/publish.py [ROWS] [--url postgresql://…] [--json]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from statistics import median

import pyarrow as pa
import store as made_up
from sqlalchemy import Column, MetaData, Table, create_engine, text
from sqlalchemy.schema import CreateTable

from churnrisk.store.schema import scores

REPEATS = 3


def main() -> None:
    """Publish several times over and print the rows a second."""
    asked = _asked()
    if asked.job:
        print(json.dumps({"publish": _publish, "floor": _floor}[asked.job](asked.rows, asked.url)))
        return
    found = measure(asked.rows, url=asked.url)
    if asked.json:
        print(json.dumps(found))
        return
    for name, rates in found.items():
        print(
            f"{name:11} {rates['clock']:10,.0f} rows a second by the clock "
            f"({rates['of floor, clock']:.2f} of the floor's), "
            f"{rates['cpu']:10,.0f} by this process's CPU time ({rates['of floor, cpu']:.2f})"
        )


def measure(rows: int, *, url: str | None = None) -> dict[str, dict[str, float]]:
    """Return rows a second, by the clock and by processor time, of SQLite and of the server at ``url``."""
    found = {}
    for name in ("SQLite", *(["PostgreSQL"] if url else [])):
        runs: dict[str, list[dict[str, float]]] = {"publish": [], "floor": []}
        for _ in range(REPEATS):
            for job, of_job in runs.items():
                with tempfile.TemporaryDirectory() as folder:
                    address = (
                        url if url and name == "PostgreSQL" else f"sqlite:///{Path(folder) / 'history.db'}"
                    )
                    command = [sys.executable, __file__, str(rows), "--job", job, "--url", address]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    of_job.append(json.loads(done.stdout))
        ours, floor = (
            {kind: median(run[kind] for run in of_job) for kind in ("clock", "cpu")}
            for of_job in runs.values()
        )
        found[name] = ours | {f"of floor, {kind}": ours[kind] / floor[kind] for kind in ours}
    return found


def _publish(rows: int, url: str) -> dict[str, float]:
    from churnrisk.store import HistoryStore, NewRun

    pieces = list(made_up.frames(rows, 50))
    with HistoryStore(url) as store:
        # a run of its own each time: publishing one again would be a no-op
        key = datetime.now().isoformat()
        watch = Watch()
        with watch:
            store.publish(NewRun(made_up.AS_OF, made_up.AS_OF, key, "1", "policy"), pieces)
    return watch.rates(rows)


def _floor(rows: int, url: str) -> dict[str, float]:
    from churnrisk.store import to_table

    tables = (to_table(piece, run_id=1, as_of=made_up.AS_OF) for piece in made_up.frames(rows, 50))
    return (_copied if url.startswith("postgresql") else _inserted)(rows, url, tables)


def _inserted(rows: int, url: str, tables: Iterator[pa.Table]) -> dict[str, float]:
    watch = Watch()
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    connection.execute(f"create table bare ({', '.join(column.name for column in scores.columns)})")
    connection.execute("begin")
    for table in tables:
        plain = [
            [str(value) if isinstance(value, datetime) else value for value in column.to_pylist()]
            for column in table.columns
        ]
        tuples = list(zip(*plain, strict=True))
        with watch:
            connection.executemany(f"insert into bare values ({', '.join('?' * len(plain))})", tuples)
    with watch:
        connection.execute("commit")
    connection.close()
    return watch.rates(rows)


def _copied(rows: int, url: str, tables: Iterator[pa.Table]) -> dict[str, float]:
    from pyarrow import csv

    watch, engine = Watch(), create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(
            CreateTable(Table("bare", MetaData(), *(Column(c.name, c.type) for c in scores.columns)))
        )
        driver = connection.connection.driver_connection
        for table in tables:
            written = BytesIO()
            csv.write_csv(table, written, csv.WriteOptions(include_header=False))
            with watch, driver.cursor() as cursor, cursor.copy("copy bare from stdin (format csv)") as copy:
                copy.write(written.getbuffer())
        connection.execute(text("drop table bare"))
    engine.dispose()
    return watch.rates(rows)


class Watch:
    """Adds up the time that blocks take."""

    def __init__(self) -> None:
        self.clock = self.cpu = 0.0

    def __enter__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.clock += time.perf_counter() - self.began[0]
        self.cpu += time.process_time() - self.began[1]

    def rates(self, rows: int) -> dict[str, float]:
        """Return rows a second."""
        return {"clock": rows / self.clock, "cpu": rows / self.cpu}


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--url", help="an empty PostgreSQL database, which keeps what is published")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
