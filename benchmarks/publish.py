"""How fast a run is published: a million made-up scores into an empty history, in a fresh process each time.

usage: python benchmarks/publish.py [ROWS] [--url postgresql://…] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

REPEATS = 3


def main() -> None:
    """Publish several times over and print the rows a second."""
    asked = _asked()
    if asked.job:
        print(json.dumps(_publish(asked.rows, asked.job)))
        return
    found = measure(asked.rows, url=asked.url)
    if asked.json:
        print(json.dumps(found))
        return
    for name, rates in found.items():
        print(
            f"{name:11} {rates['clock']:10,.0f} rows a second, {rates['cpu']:10,.0f} by this process's CPU time"
        )


def measure(rows: int, *, url: str | None = None) -> dict[str, dict[str, float]]:
    """Return rows a second, by the clock and by processor time, of SQLite and of the server at ``url``."""
    found = {}
    for name in ("SQLite", *(["PostgreSQL"] if url else [])):
        runs = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                address = url if url and name == "PostgreSQL" else f"sqlite:///{Path(folder) / 'history.db'}"
                command = [sys.executable, __file__, str(rows), "--job", address]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                runs.append(json.loads(done.stdout))
        found[name] = {kind: median(run[kind] for run in runs) for kind in ("clock", "cpu")}
    return found


def _publish(rows: int, url: str) -> dict[str, float]:
    import store as made_up

    from churnrisk.history import HistoryStore, NewRun

    pieces = list(made_up.frames(rows, 50))
    with HistoryStore(url) as store:
        # a run of its own each time: publishing one again would be a no-op
        key = datetime.now().isoformat()
        began, before = time.perf_counter(), time.process_time()
        store.publish(NewRun(made_up.AS_OF, made_up.AS_OF, key, "1", "policy"), pieces)
        seconds, cpu = time.perf_counter() - began, time.process_time() - before
    return {"clock": rows / seconds, "cpu": rows / cpu}


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--url", help="an empty PostgreSQL database, which keeps what is published")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
