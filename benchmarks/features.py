"""Point-in-time features against floors on the same Parquet: ratios, medians of fresh processes.

G = one `group by account, feature, day` count pass; scan = a hash of the needed columns.
TRAIN = 12 monthly snapshots, SCORE = one, both with the whole catalogue that the tables feed.

usage: python benchmarks/features.py [S|M|L] [REPEATS]
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "bench"
LAST = datetime(2026, 1, 1)


def main() -> None:
    """Measure every job in turn, several times over, and print ratios."""
    size = sys.argv[1] if len(sys.argv) > 1 else "S"
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    folder = FOLDER / size
    if not (folder / "complaints.parquet").exists():
        subprocess.run([sys.executable, Path(__file__).with_name("generate.py"), size, folder], check=True)
    jobs = ("scan", "G", "score", "train")
    runs: dict[str, list[dict[str, float]]] = {job: [] for job in jobs}
    for _ in range(repeats):
        for job in jobs:
            command = [sys.executable, __file__, "--job", job, str(folder)]
            runs[job].append(
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            )
    seconds = {job: statistics.median(run["seconds"] for run in runs[job]) for job in jobs}
    print(f"size {size}, medians of {repeats}")
    for job in jobs:
        peak = statistics.median(run["megabytes"] for run in runs[job])
        print(
            f"{job:6} {seconds[job]:7.2f} s  {seconds[job] / seconds['G']:5.2f} G  "
            f"{seconds[job] / seconds['scan']:6.2f} scan  {peak:6.0f} MB"
        )


def run_job(job: str, folder: Path) -> None:
    """Do one job in this process and print its seconds and peak memory."""
    from churnrisk.features import FeatureConfig, select_features
    from churnrisk.features.build import create_feature_table
    from churnrisk.snapshots import ChurnConfig, build_panel
    from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

    names = ("accounts", "events", "complaints")
    with Engine(EngineConfig(), base=folder) as engine:
        tables = open_tables(engine, {name: TableConfig(path=f"{name}.parquet") for name in names})
        if job in ("score", "train"):
            months = range(2, 13) if job == "train" else ()
            dates = [*(datetime(2025, month, 1) for month in months), LAST]
            build_panel(tables, ChurnConfig(), dates, data_end=LAST)
        features = select_features(FeatureConfig(), tables.available)
        began = time.perf_counter()
        if job == "scan":
            engine.rows("select bit_xor(hash(account_id, user_id, occurred_at, feature)) from events")
        elif job == "G":
            engine.rows(
                "select count(*), sum(n) from (select account_id, feature, cast(occurred_at as date), count(*) n "
                "from events group by all)"
            )
        else:
            create_feature_table(tables, features, key_features=(), labelled_only=False)
        seconds = time.perf_counter() - began
    print(
        json.dumps(
            {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        )
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        run_job(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
