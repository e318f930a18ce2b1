"""How long each connector's shape takes to read, as a multiple of the same rows in plain CSV.

It takes the time of the processor, as others may use the machine too. The plain tables hold only the columns that
count, while the shapes hold those that their products add.

Run: ``python benchmarks/connectors.py [--rows 1000000] [--shapes segment posthog]``; it prints one line per shape.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables, recognise, table_configs
from tests.sources.company import make_company
from tests.sources.shapes import SHAPES, Frames, Shape

ROUNDS = 3


def enlarged(shape: Shape, rows: int) -> tuple[str, Frames]:
    """Return the table that counts and the company with that many rows in it, on as many more accounts."""
    company = shape.plain(make_company(shape.key))
    table = next(name for name in ("events", "subscriptions", "complaints") if name in shape.carries)
    copies = -(-rows // len(company[table]))
    more = dict(company)
    for name in ("accounts", table):
        frame = pd.concat([company[name]] * copies, ignore_index=True)
        copy = (frame.index // len(company[name])).astype(str).str.zfill(5)
        for column in {"account_id", "user_id", "subscription_id", "name"} & set(frame.columns):
            # in front, where it is part of an id of fifteen characters too
            shared = 5 if shape.connector == "salesforce" and column == "account_id" else 0
            frame[column] = copy + frame[column].str[shared:]
        more[name] = frame
    return table, more


def seconds(folder: Path, tables: dict[str, TableConfig]) -> float:
    """Return the time of the processor to open the tables, the best of some rounds: others may use the machine too."""
    best = float("inf")
    for _ in range(ROUNDS):
        with Engine(EngineConfig(memory_limit="2GB"), base=folder) as engine:
            start = time.process_time()
            open_tables(engine, tables)
            best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print the ratio of every shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES))
    given = parser.parse_args()
    for name in given.shapes:
        shape = SHAPES[name]
        table, company = enlarged(shape, given.rows)
        with tempfile.TemporaryDirectory() as scratch:
            (export := Path(scratch, "export")).mkdir()
            (plain := Path(scratch, "plain")).mkdir()
            shape.write(company, export)
            for one in ("accounts", table):
                columns = shape.carries[one].split()
                company[one][columns].to_csv(
                    plain / f"{one}.csv", index=False, date_format="%Y-%m-%d %H:%M:%S"
                )
            found = recognise(export).tables
            took = seconds(export, table_configs({one: found[one] for one in ("accounts", table)}))
            base = seconds(plain, {one: TableConfig(path=f"{one}.csv") for one in ("accounts", table)})
        print(f"{name:18} {table:14} {took:6.2f} s, plain {base:6.2f} s: {took / base:.2f}", flush=True)


if __name__ == "__main__":
    main()
