"""The whole of `churnrisk score` against features and probability alone, in fresh processes, with the peak memory.

The model is trained on size S and exported. The first run has none before it; the second, a week later, also tells why
each score moved, which takes the features of both dates.

usage: python benchmarks/score.py [S|M|L|A] [--repeats N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

from generate import FOLDER, generated

NOW = datetime(2026, 1, 1, 6)
FIRST, SECOND = date(2025, 12, 25), date(2026, 1, 1)
#: What each job is held against: features and probability of the same dates.
FLOORS = {"first run": "one date", "second run": "two dates"}
SETTINGS = """\
[tables.accounts]
# before the first event, as in a table that keeps the contract
sql = "select account_id, signed_up_at - to_days(200) as signed_up_at from 'accounts.parquet'"
[tables.events]
path = "events.parquet"
[tables.complaints]
path = "complaints.parquet"
[tables.subscriptions]
path = "subscriptions.parquet"
[tables.surveys]
path = "surveys.parquet"
[churn]
definition = "inactivity"
[model]
candidates = ["additive"]
"""


def main() -> None:
    """Measure both runs and their floors in turn and print the ratios."""
    asked = _asked()
    if asked.job:
        print(json.dumps(_job(asked.job, FOLDER / asked.size)))
        return
    found = measure(asked.size, asked.repeats)
    if asked.json:
        print(json.dumps(found))
        return
    for job, figures in found.items():
        floor = found[FLOORS.get(job, job)]
        ratio = " / ".join(f"{figures[kind] / floor[kind]:.2f}" for kind in ("cpu", "seconds"))
        print(
            f"{job:12} {figures['cpu']:7.2f} / {figures['seconds']:7.2f} s (processor / clock), {ratio} × "
            f"{FLOORS.get(job, job)}; peak {figures['megabytes']:,.0f} MB"
        )


def measure(size: str, repeats: int) -> dict[str, dict[str, float]]:
    """Return the medians of processor seconds, seconds on the clock and megabytes of each job."""
    folder = _project(size)
    runs: dict[str, list[dict[str, float]]] = {job: [] for pair in FLOORS.items() for job in reversed(pair)}
    for _ in range(repeats):
        (folder / "history.db").unlink(missing_ok=True)
        for job, of_job in runs.items():
            done = subprocess.run(
                [sys.executable, __file__, size, "--job", job], check=True, capture_output=True, text=True
            )
            of_job.append(json.loads(done.stdout))
    return {
        job: {kind: statistics.median(run[kind] for run in of_job) for kind in of_job[0]}
        for job, of_job in runs.items()
    }


def _project(size: str) -> Path:
    """Return the folder of a size's tables with settings and a model beside them."""
    folder, small = generated(size), generated("S")
    for place in (folder, small):
        (place / "churnrisk.toml").write_text(SETTINGS)
    bundle = small / "model.churnrisk"
    if not bundle.exists():
        shutil.rmtree(small / "models", ignore_errors=True)
        for command in (["train"], ["promote", "--author", "bench", "--force"], ["export", str(bundle)]):
            subprocess.run([sys.executable, "-m", "churnrisk", "-p", small, *command], check=True)
    return folder


def _job(job: str, folder: Path) -> dict[str, float]:
    from churnrisk.settings import load_project
    from churnrisk.training import read_bundle

    project = load_project(folder)
    models, _ = read_bundle(FOLDER / "S" / "model.churnrisk", project)
    began, before = time.perf_counter(), os.times()
    (_whole if job in FLOORS else _alone)(project, models, job)
    after = os.times()
    return {
        "cpu": after.user + after.system - before.user - before.system,
        "seconds": time.perf_counter() - began,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _whole(project: Any, models: Any, job: str) -> None:
    from churnrisk.scoring import score

    as_of = FIRST if job == "first run" else SECOND
    # what earlier runs have kept would be read by one side only
    options = {"dry_run": False, "forced_by": "bench", "progress": _silent, "cache": False}
    score(project, as_of=as_of, now=NOW, models=models, **options)


def _alone(project: Any, models: Any, job: str) -> None:
    """Compute features and probabilities, in batches too."""
    from churnrisk.contract import timestamp_literal
    from churnrisk.features import create_feature_table
    from churnrisk.snapshots import build_panel
    from churnrisk.training import checked_tables, features_of

    dates = [datetime.combine(day, datetime.min.time()) for day in (FIRST, SECOND)][
        : 1 + (job == "two dates")
    ]
    with checked_tables(project, now=NOW, progress=_silent) as checked:
        model, tables = models.load("champion"), checked.tables
        build_panel(tables, project.churn, dates, data_end=checked.span.end)
        create_feature_table(
            tables, features_of(model, project, tables), key_features=(), labelled_only=False
        )
        columns = ", ".join(model.columns)
        now = f"from feature_rows where as_of = {timestamp_literal(dates[-1])}"
        parts = 1 + tables.engine.value(f"select count(*) {now}") // 50_000
        for part in range(parts):
            some = f"select {columns} {now} and hash(account_id) % {parts} = {part}"
            model.classifier.predict_proba(tables.engine.arrow(some).to_pandas())


def _silent(_: str) -> None:
    """Say nothing."""


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("size", nargs="?", choices=("S", "M", "L", "A"), default="S")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
