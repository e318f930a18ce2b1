"""How fast a large history is written and read: publishing, pages of the red list, one account, the team's page.

    python benchmarks/store.py                                        # 100,000 accounts, 8 runs
    python benchmarks/store.py --accounts 1000000 --runs 52 --store build/large.db

The latest run is published as `churnrisk score` does it; the runs before it are copied inside the database, without
the texts that no page reads. A store that is there already is only read. `benchmarks/web.py --store` asks it through
the browser's door.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import insert, literal, select, text

from churnrisk.monitoring import promises
from churnrisk.records import Disposition, RedListQuery
from churnrisk.store import HistoryStore, NewRun, run_totals
from churnrisk.store.schema import runs, scores
from churnrisk.team import Change, monday, read_red_list, review, view_account

AS_OF = datetime(2026, 7, 6)
NOW = datetime(2026, 7, 7, 9)
PIECE = 50_000
#: Accounts that the team can review between two runs.
CAPACITY = 50
SHARES = {"red": 0.05, "amber": 0.15, "green": 0.65, "grey": 0.15}
FAMILIES = ("recency", "breadth", "complaints", "satisfaction", "value", "relationship")
TEXTS = {"contributions", "moved", "reasons", "next_step"}


def main() -> None:
    """Build the store where there is none, then read it."""
    options = parsed()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        path = options.store or Path(scratch) / "history.db"
        with HistoryStore(options.url or f"sqlite:///{path}", pooled=True) as store:
            if not store.runs():
                build(store, options)
            size = f"{path.stat().st_size / 2**20:,.0f} MiB, " if path.exists() else ""
            print(f"{size}{len(store.runs())} runs of {store.latest_run().accounts:,} accounts")
            read(store, options.times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process {peak:,.0f} MiB")


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--owners", type=int, default=50)
    parser.add_argument(
        "--store", type=Path, help="file to build, or to read where it is there; default: none stays"
    )
    parser.add_argument("--url", help="a history on a server instead, such as postgresql://…")
    parser.add_argument("--times", type=int, default=50, help="how often each page is read")
    parser.add_argument("--scratch", type=Path, help="folder for the store that does not stay")
    return parser.parse_args()


def build(store: HistoryStore, options: argparse.Namespace) -> None:
    """Publish the latest run, copy it to the dates before, and let people have worked on it."""
    pieces = list(frames(options.accounts, options.owners))
    with Timed(f"publish {options.accounts:,} accounts"):
        store.publish(NewRun(AS_OF, AS_OF, "inputs", "1", "policy"), pieces)
    with Timed(f"copy it to {options.runs - 1} dates before"):
        for weeks in range(1, options.runs):
            copy_run(store, weeks)
        with store.database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("analyze"))  # as publishing does
    with Timed("record 200 reviews"):
        said = [*Disposition][:4]
        for number in range(200):
            wanted = {f"A{number * 37 % options.accounts:07d}": None}
            review(store, wanted, Change(said[number % 4]), author="Ada", via="cli", now=NOW)


def frames(accounts: int, owners: int) -> Iterator[pd.DataFrame]:
    """Yield scores of made-up accounts, a piece at a time."""
    random = np.random.default_rng(7)
    reasons = {family: reasons_of(family) for family in FAMILIES}
    for first in range(0, accounts, PIECE):
        n = min(PIECE, accounts - first)
        ids = np.arange(first, first + n)
        colour = random.choice(list(SHARES), n, p=list(SHARES.values()))
        listed = np.isin(colour, ("red", "amber"))
        family = random.choice(FAMILIES, n)
        middle = pd.Series(colour).map({"red": 0.35, "amber": 0.12, "green": 0.01, "grey": np.nan})
        probability = np.clip(middle * random.lognormal(0, 0.3, n), 0, 0.99)
        renewal = AS_OF + pd.to_timedelta(random.integers(-5, 400, n), unit="D")
        yield pd.DataFrame(
            {
                "account_id": [f"A{number:07d}" for number in ids],
                "name": [f"Company {number} GmbH" for number in ids],
                "owner": [f"Owner {number:03d}" for number in random.integers(0, owners, n)],
                "segment": random.choice(["Enterprise", "Mid-Market", "Small"], n, p=[0.1, 0.3, 0.6]),
                "probability": probability,
                "log_odds": np.log(probability / (1 - probability)),
                "colour": colour,
                "raw_colour": colour,
                "model_colour": colour,
                "decided_by": np.where(colour == "grey", "eligibility", "model"),
                "annual_value": np.round(random.lognormal(9, 1, n), 2),
                "renewal_at": renewal,
                "reasons": np.where(listed, [reasons[name] for name in family], "[]"),
                "family": np.where(listed, family, None),
                "next_step": "Call and ask what changed (account owner, phone, within 2 days).",
                "stage": "loyalist",
            }
        )


def reasons_of(family: str) -> str:
    """Return three reasons, about as long as real ones."""
    text = "Silent 12.4 times as long as is usual for this account"
    reason = {"feature": "days_since_last_event", "family": family, "text": text, "value": 40.0,
              "contribution": 1.2, "usual_low": 1.0, "usual_high": 9.0, "previous": 12.0}  # fmt: skip
    return json.dumps([reason, reason, reason])


def copy_run(store: HistoryStore, weeks: int) -> None:
    """Copy the latest run to a date some weeks before it, without texts."""
    as_of = AS_OF - timedelta(weeks=weeks)
    with store.database.writing() as connection:
        latest = connection.execute(select(runs).where(runs.c.run_id == 1)).mappings().one()
        values = {name: value for name, value in latest.items() if name != "run_id"}
        made = connection.execute(insert(runs).values({**values, "run_key": f"copy {weeks}", "as_of": as_of}))
        run_id = literal(made.inserted_primary_key[0])
        for table, dropped in ((scores, TEXTS), (run_totals, set())):
            names = [column.name for column in table.columns if column.name not in dropped]
            picked = [run_id if name == "run_id" else table.c[name] for name in names]
            copied = select(*picked).where(table.c.run_id == 1)
            connection.execute(insert(table).from_select(names, copied))


def read(store: HistoryStore, times: int) -> None:
    """Read each page many times and print how long it took."""
    views = {
        "red list, first page": RedListQuery(),
        "red list of one owner": RedListQuery(owner="Owner 007"),
        "red list within a scope": RedListQuery(scope="Owner 007"),
        "red list of a segment": RedListQuery(segment="Enterprise"),
        "newly red": RedListQuery(newly_red=True),
        "one reason, renewing in 60 days": RedListQuery(family="complaints", renews_within_days=60),
        "this run's work": RedListQuery(place="work"),
        "on watch": RedListQuery(place="watch"),
        "sorted by renewal": RedListQuery(sort="renewal"),
        "search": RedListQuery(search="company 777"),
    }
    views = {name: query.model_copy(update={"capacity": CAPACITY}) for name, query in views.items()}
    for name, wanted in views.items():
        measure(
            store,
            name,
            times,
            lambda _, wanted=wanted: read_red_list(store, as_of=None, query=wanted, now=NOW),
        )
    first = views["red list, first page"]
    measure(
        store,
        "red list, page 20",
        times,
        lambda _: read_red_list(store, as_of=None, query=first, now=NOW, page=20),
    )
    measure(
        store,
        "an account",
        times,
        lambda number: view_account(store, f"A{number * 997 % 90_000:07d}", now=NOW, capacity=CAPACITY),
    )
    measure(
        store, "the team's page", max(3, times // 10), lambda _: monday(store, now=NOW, capacity=CAPACITY)
    )
    measure(store, "what the colours promised", times, lambda _: promises(store))


def measure(store: HistoryStore, name: str, times: int, ask: Callable[[int], object]) -> None:
    """Print how long a call takes in milliseconds: read each time, and as the memory of a server answers it."""
    cache, store.query_cache = store.query_cache, None
    read_anew = timings(times, ask)
    store.query_cache = cache
    ask(0)
    remembered = timings(times, lambda _: ask(0))
    slow = sorted(read_anew)[int(len(read_anew) * 0.95) - 1]
    print(
        f"{name:34} median {statistics.median(read_anew):8.1f} ms, p95 {slow:8.1f} ms; "
        f"remembered {statistics.median(remembered):6.1f} ms"
    )


def timings(times: int, ask: Callable[[int], object]) -> list[float]:
    """Return how many milliseconds each of some calls took, after one that warms up."""
    took = []
    for number in range(times + 1):
        began = time.perf_counter()
        ask(number)
        took.append((time.perf_counter() - began) * 1000)
    return took[1:]


class Timed:
    """Print how long a block took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        print(f"{self.what}: {time.perf_counter() - self.began:,.1f} s", flush=True)


if __name__ == "__main__":
    main()
