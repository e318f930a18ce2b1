"""Point-in-time features against floors on the same Parquet and a pandas notebook, in fresh processes.

G = one `group by account, feature, day` count pass; scan = a hash of the needed columns, both straight from the file.
TRAIN = 12 monthly snapshots, SCORE = one, both with the whole catalogue that the tables feed. The notebook computes
:data:`notebook.FEATURES` only. Times are medians, of the clock and of the processor; take the latter on a busy machine.

usage: python benchmarks/features.py [S|M|L] [--repeats N] [--notebook] [--memory-limit 1GB] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from generate import FOLDER, PEER_TABLES, TABLES, generated

LAST = datetime(2026, 1, 1)
MONTHS = tuple(datetime(2025, month, 1) for month in range(2, 13))
JOBS = ("scan", "G", "score", "train")
NOTEBOOK_JOBS = ("notebook score", "notebook train")


def main() -> None:
    """Measure every job in turn, several times over, and print ratios."""
    asked = _asked()
    if asked.job:
        print(json.dumps(run_job(asked.job, FOLDER / asked.size, asked.memory_limit)))
        return
    jobs = (*JOBS, *NOTEBOOK_JOBS) if asked.notebook else JOBS
    found = measure(asked.size, jobs, repeats=asked.repeats, memory_limit=asked.memory_limit)
    print(json.dumps(found) if asked.json else table(found, f"size {asked.size}, medians of {asked.repeats}"))


def measure(
    size: str, jobs: Sequence[str], *, repeats: int, memory_limit: str = "1GB"
) -> dict[str, dict[str, float]]:
    """Return the medians of seconds, processor seconds and megabytes of each job, measured side by side."""
    generated(size)
    command = [sys.executable, __file__, size, "--memory-limit", memory_limit, "--job"]
    runs: dict[str, list[dict[str, float]]] = {job: [] for job in jobs}
    for _ in range(repeats):
        for job in jobs:
            done = subprocess.run([*command, job], check=True, capture_output=True, text=True)
            runs[job].append(json.loads(done.stdout))
    return {
        job: {name: statistics.median(run[name] for run in of_job) for name in of_job[0]}
        for job, of_job in runs.items()
    }


def table(found: dict[str, dict[str, float]], head: str, floors: Sequence[str] = ("G", "scan")) -> str:
    """Return the figures as text, each beside the floors."""
    lines = [f"{head}; times of the processor are behind the slash"]
    for job, figures in found.items():
        ratios = "  ".join(
            f"{figures['seconds'] / found[floor]['seconds']:6.2f} / {figures['cpu'] / found[floor]['cpu']:5.2f} {floor}"
            for floor in floors
        )
        lines.append(
            f"{job:15} {figures['seconds']:7.2f} / {figures['cpu']:6.2f} s  {ratios}  {figures['megabytes']:6.0f} MB"
        )
    return "\n".join(lines)


def run_job(job: str, folder: Path, memory_limit: str) -> dict[str, float]:
    """Do one job in this process and return its seconds and peak memory."""
    seconds, cpu = (_notebook if job in NOTEBOOK_JOBS else _ours)(job, folder, memory_limit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "megabytes": peak}


def _ours(job: str, folder: Path, memory_limit: str) -> tuple[float, float]:
    from churnrisk.features import FeatureConfig, create_feature_table, select_features
    from churnrisk.snapshots import ChurnConfig, build_panel
    from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

    events = f"'{folder}/events.parquet'"
    with Engine(EngineConfig(memory_limit=memory_limit), base=folder) as engine:
        if job == "scan":
            scan = f"select bit_xor(hash(account_id, user_id, occurred_at, feature)) from {events}"
            return timed(lambda: engine.rows(scan))
        if job == "G":
            count = f"select account_id, feature, cast(occurred_at as date), count(*) n from {events} group by all"
            return timed(lambda: engine.rows(f"select count(*), sum(n) from ({count})"))
        tables = open_tables(engine, {name: TableConfig(path=f"{name}.parquet") for name in TABLES})
        build_panel(tables, ChurnConfig(), dates_of(job), data_end=LAST)
        features = select_features(FeatureConfig(), tables.available)
        return timed(lambda: create_feature_table(tables, features, key_features=(), labelled_only=False))


def _notebook(job: str, folder: Path, memory_limit: str) -> tuple[float, float]:
    import notebook
    import pandas as pd

    accounts, events, complaints = (pd.read_parquet(folder / f"{name}.parquet") for name in PEER_TABLES)
    dates = dates_of(job.removeprefix("notebook "))
    return timed(lambda: notebook.features(accounts, events, complaints, dates))


def dates_of(job: str) -> list[datetime]:
    """Return the as-of dates of a job."""
    return [*MONTHS, LAST] if job == "train" else [LAST]


def timed(work: Any) -> tuple[float, float]:
    """Return the seconds that work takes, of the clock and of the processor."""
    began, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return time.perf_counter() - began, after.user + after.system - before.user - before.system


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("size", nargs="?", choices=("S", "M", "L"), default="S")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--notebook", action="store_true", help="measure the notebook too")
    parser.add_argument("--memory-limit", default="1GB")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
