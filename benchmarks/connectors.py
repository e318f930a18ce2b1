"""How long each connector's shape takes to read, as a multiple of the same rows in plain CSV.

Every reading is a fresh process that opens the accounts and the shape's longest table; times are of the processor, as
others may use the machine too. The plain tables hold only the columns that the shape carries, while the shapes hold
those that their products add. A workbook ends where a sheet does; a bare loop over its cells is measured too.

usage: python benchmarks/connectors.py [--rows 1000000] [--repeats 3] [--shapes segment posthog] [--write FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from churnrisk.sources import connectors, recognise
from tests.sources.company import make_company
from tests.sources.shapes import SHAPES, Frames, Shape

GOAL = 1.5
#: Excel's rows per sheet, but for those above the header and itself.
SHEET_ROWS = 1_048_576 - 3
OPENING = """\
# How fast exports are read

Made by `python benchmarks/connectors.py --rows {rows} --write docs/reading.md`, medians of {repeats} fresh processes,
on {machine}, {day} ({versions}).
Seconds of the processor to open the accounts and the table with {rows:,} rows of each export, `memory_limit = "1GB"`,
beside plain CSV files of the same rows with only the columns that count. The goal is {goal} × plain CSV.

| export | table, rows | bytes / plain CSV | seconds | plain CSV | ratio |
|---|---|---|---|---|---|
"""
BARE = """
A workbook is compressed XML. A bare loop of `python-calamine` over the cells of the same sheets takes {bare:.1f}
seconds, {floor:.1f} × plain CSV; ours takes {ratio:.2f} × that loop.
"""


def main() -> None:
    """Print a line per shape as it is measured, and write the page where that is asked for."""
    asked = _asked()
    lines, after = [], ""
    for name in asked.shapes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (asked.folder or Path(scratch)) / f"{name}-{asked.rows}"
            table, rows = written(SHAPES[name], asked.rows, folder)
            jobs = ("plain", "export", "bare") if name == "spreadsheet" else ("plain", "export")
            found = measure(folder, jobs, asked.repeats)
            size = _bytes(folder / "export") / _bytes(folder / "plain")
        plain, export = found["plain"], found["export"]
        label = f"{connectors()[SHAPES[name].connector].title}: {name}"
        row = (label, f"{table}, {rows:,}", f"{size:.1f}", f"{export:.2f}", f"{plain:.2f}",
               f"{export / plain:.2f}")  # fmt: skip
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
        if bare := found.get("bare"):
            after = BARE.format(bare=bare, floor=bare / plain, ratio=export / bare)
    page = _opening(asked) + "\n".join(lines) + "\n" + after
    if asked.write:
        asked.write.write_text(page, encoding="utf-8")


def written(shape: Shape, rows: int, folder: Path) -> tuple[str, int]:
    """Write the export and the plain files of a company, once; return the table that counts and its rows."""
    export, plain, done = folder / "export", folder / "plain", folder / "rows.json"
    table = next(name for name in ("events", "subscriptions", "complaints") if name in shape.carries)
    if not done.exists():
        company = enlarged(shape, table, rows)
        export.mkdir(parents=True)
        plain.mkdir()
        shape.write(company, export)
        for one in ("accounts", table):
            frame = company[one][shape.carries[one].split()]
            frame.to_csv(plain / f"{one}.csv", index=False, date_format="%Y-%m-%d %H:%M:%S")
        done.write_text(json.dumps(len(company[table])))
    found = recognise(export).tables
    settings = {
        "export": {one: found[one] for one in ("accounts", table)},
        "plain": {one: {"path": f"{one}.csv"} for one in ("accounts", table)},
    }
    (folder / "tables.json").write_text(json.dumps(settings))
    return table, json.loads(done.read_text())


def enlarged(shape: Shape, table: str, rows: int) -> Frames:
    """Return the company with that many rows in a table, on as many more accounts."""
    company = shape.plain(make_company(shape.key))
    if shape.connector == "spreadsheet":
        rows = min(rows, SHEET_ROWS)
    copies = -(-rows // len(company[table]))
    more = dict(company)
    for name in ("accounts", table):
        frame = pd.concat([company[name]] * copies, ignore_index=True)
        copy = (frame.index // len(company[name])).astype(str).str.zfill(5)
        for column in {"account_id", "user_id", "subscription_id", "name"} & set(frame.columns):
            # in front, where it is part of an id of fifteen characters too
            shared = 5 if shape.connector == "salesforce" and column == "account_id" else 0
            frame[column] = copy + frame[column].str[shared:]
        more[name] = frame.head(rows)
    return more


def measure(folder: Path, jobs: Iterable[str], repeats: int) -> dict[str, float]:
    """Return the median seconds of each job, run in turns."""
    runs: dict[str, list[float]] = {job: [] for job in jobs}
    for _ in range(repeats):
        for job, of_job in runs.items():
            command = [sys.executable, str(Path(__file__).with_name("reading.py")), str(folder), job]
            of_job.append(float(subprocess.run(command, check=True, capture_output=True).stdout))
    return {job: statistics.median(of_job) for job, of_job in runs.items()}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _opening(asked: argparse.Namespace) -> str:
    names = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "python-calamine"))
    return OPENING.format(
        rows=asked.rows,
        repeats=asked.repeats,
        machine=f"{os.cpu_count()} cores ({platform.machine()})",
        day=date.today(),
        versions=f"Python {platform.python_version()}, {names}",
        goal=GOAL,
    )


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--folder", type=Path, help="write the exports there, and take those that are there")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
