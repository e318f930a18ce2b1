"""The figures of docs/performance.md as ratios, each measured beside its floor in one run, in fresh processes.

usage: python benchmarks/performance.py [S] [M] [L] [--repeats N] [--rows N] [--postgres URL]
                                        [--featuretools PYTHON] [--write FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

import features
import featuretools_peer
import nightly
import publish
import score

Figures = dict[str, dict[str, float]]
Row = tuple[str, str, str]
#: The notebook is measured up to this size: beyond it the machine's memory is not enough for it.
NOTEBOOK_SIZES = ("S", "M")
#: At M one TRAIN of its `dfs` would take half an hour.
FEATURETOOLS_SIZES = ("S",)
OPENING = """\
# Performance

Made by `make bench`, medians of {repeats} fresh processes, on {machine}, {day}
({versions}).
Each job runs side by side with the floors. `benchmarks/generate.py` makes all tables but attributes: S has
10,000 accounts and 2 million events, M 50,000 and 20 million, L 200,000 and 100 million. *scan* is a hash of the needed
columns of the Parquet file, *G* one `group by account, feature, day` count over it. SCORE computes every feature that
the tables feed for one date, TRAIN for twelve monthly ones, both with `memory_limit = "1GB"`. Ratios are of processor
time, which other work on the machine disturbs less, and behind the slash of the clock.
"""
FEATURETOOLS = """
*featuretools* ({versions}, in an environment of its own)
computes the notebook's signals alone, and the benchmark fails unless they equal ours. `dfs` is what its guide shows:
cut-off times, a call for each training window, its own primitives. *Tuned* is the least time that we got it down to:
all windows in one `calculate_feature_matrix`, days numbered beforehand, no primitive in Python. Its entity set is ready
before its time begins, where ours reads Parquet within it; the figure after the semicolon counts its reading too. It
runs in one process, and its TRAIN once.
"""


def main() -> None:
    """Measure everything, print the table, and write the page where that is asked for."""
    asked = _asked()
    found = {size: _features(size, asked.repeats) for size in asked.sizes}
    rows = [
        *(row for size, figures in found.items() for row in _feature_rows(size, figures)),
        *_growth_rows(found),
        *_featuretools_rows(asked.featuretools, asked.sizes, asked.repeats),
        *(row for size in asked.sizes for row in _nightly_rows(size, asked.repeats)),
        *_reason_rows(asked.rows, asked.repeats),
        *(row for size in asked.sizes for row in _score_rows(size, asked.repeats)),
        *_publish_rows(asked.rows, asked.postgres),
    ]
    beside = asked.featuretools if set(asked.sizes) & set(FEATURETOOLS_SIZES) else None
    opening = _opening(asked.repeats, beside)
    page = "\n".join([opening, *_table(rows), "", *_seconds(found), ""])
    print(page)
    if asked.write:
        asked.write.write_text(page, encoding="utf-8")


def _features(size: str, repeats: int) -> Figures:
    jobs = (*features.JOBS, *(features.NOTEBOOK_JOBS if size in NOTEBOOK_SIZES else ()))
    found = features.measure(size, jobs, repeats=repeats)
    unlimited = features.measure(size, ("train",), repeats=repeats, memory_limit="64GB")
    return found | {"train, no limit": unlimited["train"]}


def _feature_rows(size: str, found: Figures) -> Iterator[Row]:
    yield f"TRAIN, {size}", _ratio(found, "train", "G") + " G", "≤ 1.0 G at S and M"
    yield (
        f"SCORE, {size}",
        f"{_ratio(found, 'score', 'G')} G; {_ratio(found, 'score', 'scan')} scan",
        "≤ 0.32 G; ≤ 2.2 scan at M and L",
    )
    peaks = f"{found['score']['megabytes']:,.0f} MB; {found['train']['megabytes']:,.0f} MB"
    yield f"peak memory, {size}: SCORE; TRAIN", peaks, "≤ 500 MB; ≤ 1,200 MB at L"
    yield (
        f"TRAIN with 1 GB against no limit, {size}",
        _ratio(found, "train", "train, no limit") + " ×",
        "≤ 1.2 × at L",
    )
    for job, goal in (("score", 7), ("train", 10)):
        if f"notebook {job}" in found:
            faster = _ratio(found, f"notebook {job}", job)
            yield f"{job.upper()} against a pandas notebook, {size}", f"{faster} × faster", f"≥ {goal} × at M"


def _growth_rows(found: dict[str, Figures]) -> Iterator[Row]:
    if {"M", "L"} <= found.keys():
        for job in ("score", "train"):
            time, memory = (found["L"][job][kind] / found["M"][job][kind] for kind in ("cpu", "megabytes"))
            yield (
                f"growth of {job.upper()} from M to L",
                f"{time:.1f} × time; {memory:.1f} × memory",
                "≤ 5.5 ×; ≤ 4 ×",
            )


def _featuretools_rows(python: str | None, sizes: Sequence[str], repeats: int) -> Iterator[Row]:
    for size in FEATURETOOLS_SIZES if python else ():
        if size not in sizes:
            continue
        found = featuretools_peer.measure(size, python, repeats=repeats)
        for style, peer in (("dfs", "featuretools `dfs`"), ("tuned", "featuretools, tuned")):
            for job, goal in (("score", 30), ("train", 60)):
                faster = _ratio(found, f"{style} {job}", job)
                with_reading = _ratio(found, f"{style} {job}, reading", job)
                yield (
                    f"{job.upper()} against {peer}, {size}",
                    f"{faster} × faster; {with_reading} × with its reading",
                    f"≥ {goal} ×" if style == "dfs" else "–",
                )


def _nightly_rows(size: str, repeats: int) -> Iterator[Row]:
    found = nightly.measure(size, repeats=repeats)
    yield (
        f"SCORE after one new day, from the kept roll-up, {size}",
        f"{_ratio(found, 'nightly', 'score')} × SCORE of the same files; {_ratio(found, 'nightly', 'scan')} scan",
        "≤ 0.25 ×; ≤ 0.4 scan at L",
    )


def _reason_rows(rows: int, repeats: int) -> Iterator[Row]:
    script = Path(__file__).with_name("reasons.py")
    command = [sys.executable, script, str(rows), "--repeats", str(repeats), "--json"]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    against = figures["against_trees"]
    yield (
        f"probability and exact reasons of {rows:,} accounts against bare `predict_proba`",
        f"{against['cpu']:.2f} / {against['seconds']:.2f} ×",
        "≤ 0.5 ×",
    )


def _score_rows(size: str, repeats: int) -> Iterator[Row]:
    found = score.measure(size, repeats)
    for job, floor in score.FLOORS.items():
        yield (
            f"whole `churnrisk score`, {job}, against features and probability, {size}; peak memory",
            f"{_ratio(found, job, floor)} ×; {found[job]['megabytes']:,.0f} MB",
            "≤ 1.6 × at L",
        )


def _publish_rows(rows: int, url: str | None) -> Iterator[Row]:
    for name, rates in publish.measure(rows, url=url).items():
        yield (
            f"publishing {rows:,} scores, {name}",
            f"{rates['cpu']:,.0f} / {rates['clock']:,.0f} rows a second; "
            f"{rates['of floor, cpu']:.2f} / {rates['of floor, clock']:.2f} of a bare table's",
            "≥ 150,000",
        )


def _ratio(found: Figures, job: str, floor: str) -> str:
    cpu, clock = (found[job][kind] / found[floor][kind] for kind in ("cpu", "seconds"))
    return f"{cpu:.2f} / {clock:.2f}"


def _opening(repeats: int, featuretools: str | None) -> str:
    names = ("duckdb", "pandas", "scikit-learn")
    versions = ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
    )
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    opening = OPENING.format(repeats=repeats, machine=machine, day=date.today(), versions=versions)
    return opening + (FEATURETOOLS.format(versions=_peer_versions(featuretools)) if featuretools else "")


def _peer_versions(python: str) -> str:
    told = "from importlib.metadata import version; print(version('featuretools'), 'with pandas', version('pandas'))"
    return subprocess.run([python, "-c", told], check=True, capture_output=True, text=True).stdout.strip()


def _table(rows: list[Row]) -> list[str]:
    return [
        "| what | found | goal |",
        "|---|---|---|",
        *(f"| {what} | {found} | {goal} |" for what, found, goal in rows),
    ]


def _seconds(found: dict[str, Figures]) -> list[str]:
    lines = ["| job | processor seconds | seconds on the clock | peak MB |", "|---|---|---|---|"]
    for size, figures in found.items():
        lines += [
            f"| {job}, {size} | {f['cpu']:.2f} | {f['seconds']:.2f} | {f['megabytes']:,.0f} |"
            for job, f in figures.items()
        ]
    return lines


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=["S"], help="S, M, L; default: S")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000, help="scores that are explained and published")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to publish into")
    parser.add_argument(
        "--featuretools", metavar="PYTHON", help="interpreter of featuretools_peers.txt; measure that too"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
