"""Nightly scoring after one new day of events: what was kept of the days before, against all rows and a scan.

The events of :mod:`generate` lie in one Parquet file per day. *keep* is the first run, which rolls up all days but
the last; *nightly* finds one new file, *again* finds none: both are the signals. *nightly check* is the contract check
with what the first run has found, *check* the one of all rows. Every job runs in a fresh process; times are medians,
of the clock and of the processor; take the latter on a busy machine.

usage: python benchmarks/nightly.py [S|M|L] [--repeats N] [--memory-limit 1GB] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import features
from generate import FOLDER, TABLES, generated

JOBS = ("scan", "score", "check", "nightly check", "nightly", "again")
EVENTS = "nights/*.parquet"
NOW = features.LAST + timedelta(hours=6)


def main() -> None:
    """Measure every job in turn, several times over, and print ratios."""
    asked = _asked()
    if asked.job == "split":
        _split(FOLDER / asked.size)
        return
    if asked.job:
        print(json.dumps(run_job(asked.job, FOLDER / asked.size, asked.memory_limit)))
        return
    found = measure(asked.size, repeats=asked.repeats, memory_limit=asked.memory_limit)
    head = f"size {asked.size}, medians of {asked.repeats} (keep: once)"
    print(json.dumps(found) if asked.json else features.table(found, head, ("score", "scan")))


def measure(size: str, *, repeats: int, memory_limit: str = "1GB") -> dict[str, dict[str, float]]:
    """Return the medians of seconds, processor seconds and megabytes of each job, measured side by side."""
    folder = generated(size)
    command = [sys.executable, __file__, size, "--memory-limit", memory_limit, "--job"]
    if not (folder / "tonight").exists():
        # in this process its memory would count as that of every job that is started from it
        subprocess.run([*command, "split"], check=True)
    (tonight,) = (folder / "tonight").iterdir()

    def run(job: str) -> dict[str, float]:
        done = subprocess.run([*command, job], check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout))

    (folder / "nights" / tonight.name).unlink(missing_ok=True)
    for left in ("kept", "kept-before"):
        shutil.rmtree(folder / left, ignore_errors=True)
    first = run("keep")
    runs: dict[str, list[dict[str, float]]] = {job: [] for job in JOBS}
    for _ in range(repeats):
        before = shutil.copytree(folder / "kept", folder / "kept-before")
        shutil.copy2(tonight, folder / "nights")
        for job in JOBS:
            runs[job].append(run(job))
        (folder / "nights" / tonight.name).unlink()
        shutil.rmtree(folder / "kept")
        before.rename(folder / "kept")
    return {"keep": first} | {
        job: {name: statistics.median(run[name] for run in of_job) for name in of_job[0]}
        for job, of_job in runs.items()
    }


def run_job(job: str, folder: Path, memory_limit: str) -> dict[str, float]:
    """Do one job in this process and return its seconds and peak memory."""
    # a scoring run has loaded them by then
    import pandas  # noqa: F401
    import pyarrow  # noqa: F401
    from pydantic import TypeAdapter  # noqa: F401

    seconds, cpu = _run(job, folder, memory_limit, features.timed)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _run(
    job: str, folder: Path, memory_limit: str, timed: Callable[..., tuple[float, float]]
) -> tuple[float, float]:
    from churnrisk.features import FeatureConfig, create_feature_table, select_features
    from churnrisk.snapshots import ChurnConfig, build_panel
    from churnrisk.sources import CacheConfig, Engine, EngineConfig, TableConfig, open_tables
    from churnrisk.training import check_tables

    with Engine(EngineConfig(memory_limit=memory_limit), base=folder) as engine:
        if job == "scan":
            scan = f"select bit_xor(hash(account_id, user_id, occurred_at, feature)) from '{folder}/{EVENTS}'"
            return timed(lambda: engine.rows(scan))
        paths = {name: f"{name}.parquet" for name in TABLES} | {"events": EVENTS}
        tables = open_tables(engine, {name: TableConfig(path=path) for name, path in paths.items()})
        if job not in ("score", "check"):
            tables = replace(
                tables, cache=CacheConfig(folder / "kept", lambda said: print(said, file=sys.stderr))
            )
        if job.endswith("check"):
            return timed(lambda: check_tables(tables, now=NOW))
        if job == "keep":
            check_tables(tables, now=NOW)
        build_panel(tables, ChurnConfig(), [features.LAST], data_end=features.LAST)
        chosen = select_features(FeatureConfig(), tables.available)
        return timed(lambda: create_feature_table(tables, chosen, key_features=(), labelled_only=False))


def _split(folder: Path) -> None:
    """Write one file per day, all but the last into ``nights`` and that one into ``tonight``."""
    import duckdb

    apart, nights = folder / "apart", folder / "nights"
    for left in (apart, nights):  # of one that was stopped
        shutil.rmtree(left, ignore_errors=True)
    with duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '3GB'; set temp_directory = '{folder}'")
        connection.execute(
            f"copy (select *, cast(occurred_at as date) as day from '{folder}/events.parquet' "
            f"where occurred_at < timestamp '{features.LAST}') to '{apart}' "
            "(format parquet, compression zstd, partition_by (day))"
        )
    nights.mkdir()
    for path in sorted(apart.glob("day=*/*.parquet")):
        path.rename(nights / f"{path.parent.name.removeprefix('day=')}-{path.name}")
    shutil.rmtree(apart)
    apart.mkdir()
    last = max(nights.iterdir())
    last.rename(apart / last.name)
    apart.rename(folder / "tonight")  # last: whoever finds it finds all


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("size", nargs="?", choices=("S", "M", "L"), default="S")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-limit", default="1GB")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
