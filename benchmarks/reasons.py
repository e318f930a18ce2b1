"""Probability and exact reasons of the default model, beside scikit-learn's bare trees and SHAP on the same trees.

Medians of fresh processes that load one stored model. "bare trees" is scikit-learn's ``predict_proba`` on the
numbers of bins, which the trees were grown on; everything of ours starts from the frame and encodes it first.
SHAP is measured on fewer rows and scaled per row, in an environment of its own.

usage: python benchmarks/reasons.py [ROWS] [COLUMNS] [--repeats N] [--peers PYTHON] [--json]
    --peers   interpreter of an environment with benchmarks/peers.txt (`make bench-peers` makes one)
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "build" / "bench" / "reasons"
FIT_ROWS = 50_000
SHAP_ROWS = 2_000
JOBS = ("trees", "probability", "reasons", "raw", "both")
WORDS = {
    "trees": "scikit-learn, bare trees",
    "probability": "probability",
    "reasons": "exact reasons",
    "raw": "the same, uncalibrated",
    "both": "probability and reasons",
    "shap": "SHAP TreeExplainer",
}


def main() -> None:
    """Fit and store a model, measure every job in turn, several times over, and print a table."""
    asked = _asked()
    folder = FOLDER / f"{asked.columns}"
    _fit(folder, asked.columns)
    own = sys.executable
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(asked.repeats):
        for job in JOBS:
            runs.setdefault(job, []).append(_measured(own, job, asked.rows, folder))
        if asked.peers:
            runs.setdefault("shap", []).append(_measured(asked.peers, "shap", SHAP_ROWS, folder))
    figures = _figures(runs, asked)
    print(json.dumps(figures) if asked.json else _table(figures))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("columns", nargs="?", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _fit(folder: Path, columns: int) -> None:
    """Store an additive model of all columns, its bare trees, and rows that SHAP can be asked for."""
    import joblib
    import numpy as np
    import pandas as pd

    from churnrisk.model import ChurnClassifier

    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(FIT_ROWS, columns)), columns=[f"x{i}" for i in range(columns)])
    y = rng.random(len(X)) < 1 / (1 + np.exp(2 - X.iloc[:, :10].sum(axis=1) / 3))
    model = ChurnClassifier(candidates=("additive",), n_models=1).fit(X, y).calibrate(X, y)
    folder.mkdir(parents=True, exist_ok=True)
    binned = model.model_.binner_.bins(model.encoder_.transform(X.iloc[:SHAP_ROWS]))
    np.save(folder / "binned.npy", binned)
    np.save(folder / "shares.npy", model.contributions(X.iloc[:SHAP_ROWS], calibrated=False).to_numpy())
    joblib.dump(model.model_.trees_[0], folder / "trees.joblib")
    joblib.dump(model, folder / "model.joblib")


def _measured(python: str, job: str, rows: int, folder: Path) -> dict[str, Any]:
    command = [python, __file__, "--job", job, str(rows), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_job(job: str, rows: int, folder: Path) -> None:
    """Do one job in this process and print its seconds and peak memory."""
    found = _shap(folder) if job == "shap" else _own(job, rows, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found | {"megabytes": peak}))


def _own(job: str, rows: int, folder: Path) -> dict[str, Any]:
    import joblib
    import numpy as np
    import pandas as pd

    model = joblib.load(folder / "model.joblib")
    names = list(model.feature_names_in_)
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(rows, len(names))), columns=names)
    boosted = model.model_
    found: dict[str, Any] = {"trees": int(boosted.n_iter_), "exact": bool(boosted.exact_)}
    if job == "trees":
        binned = boosted.binner_.bins(model.encoder_.transform(frame))
        return found | _timed(lambda: boosted.trees_[0].predict_proba(binned))
    if job == "probability":
        return found | _timed(lambda: model.predict_proba(frame))
    if job == "raw":
        return found | _timed(lambda: model.contributions(frame, calibrated=False))
    if job == "reasons":
        return found | _timed(lambda: model.contributions(frame))
    told: list[Any] = []
    timed = _timed(lambda: told.extend((model.predict_proba(frame), model.contributions(frame))))
    p, shares = told[0][:, 1], told[1].to_numpy()
    gap = np.abs(np.log(p / (1 - p)) - model.baseline_ - shares.sum(axis=1)).max()
    few = frame.iloc[:20_000]
    walked = boosted.trees_[0].decision_function(boosted.binner_.bins(model.encoder_.transform(few)))
    off = np.abs(model.raw_log_odds(few) - walked).max()
    return found | {**timed, "gap": float(gap), "off": float(off)}


def _shap(folder: Path) -> dict[str, Any]:
    import joblib
    import numpy as np
    import shap

    trees, binned = joblib.load(folder / "trees.joblib"), np.load(folder / "binned.npy")
    ours = np.load(folder / "shares.npy")
    explainer = shap.TreeExplainer(trees, feature_perturbation="tree_path_dependent")
    explainer.shap_values(binned[:10], check_additivity=False)
    told: list[Any] = []
    timed = _timed(lambda: told.append(explainer.shap_values(binned, check_additivity=False)))
    apart = np.asarray(told[0]).reshape(ours.shape) - ours
    # SHAP centres each column on the trees' own counts, ours on the training rows: a constant per column
    return {**timed, "apart": float(np.abs(apart - apart.mean(axis=0)).max())}


def _timed(work: Any) -> dict[str, float]:
    """Return what work takes on the clock and on all cores together; the latter holds on a busy machine too."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def _figures(runs: dict[str, list[dict[str, Any]]], asked: argparse.Namespace) -> dict[str, Any]:
    """Return medians, and the ratios that were asked for."""
    medians = {
        kind: {job: statistics.median(run[kind] for run in measured) for job, measured in runs.items()}
        for kind in ("seconds", "cpu", "megabytes")
    }
    figures: dict[str, Any] = {
        "rows": asked.rows,
        "columns": asked.columns,
        "repeats": asked.repeats,
        "trees": runs["both"][0]["trees"],
        "exact": runs["both"][0]["exact"],
        **medians,
        "against_trees": {
            kind: medians[kind]["both"] / medians[kind]["trees"] for kind in ("seconds", "cpu")
        },
        "gap": max(run["gap"] for run in runs["both"]),
        "off": max(run["off"] for run in runs["both"]),
    }
    if "shap" in runs:
        figures["shap_rows"] = SHAP_ROWS
        figures["shap_times"] = {
            kind: medians[kind]["shap"] / SHAP_ROWS * asked.rows / medians[kind]["raw"]
            for kind in ("seconds", "cpu")
        }
        figures["shap_apart"] = max(run["apart"] for run in runs["shap"])
    return figures


def _table(figures: dict[str, Any]) -> str:
    rows = figures["rows"]
    lines = [
        f"{rows:,} rows × {figures['columns']} columns, {figures['trees']} trees, tables exact: {figures['exact']}, "
        f"medians of {figures['repeats']} processes",
        f"{'':34} {'seconds':>9} {'µs a row':>9} {'CPU s':>9} {'peak MB':>8}",
    ]
    for job, seconds in figures["seconds"].items():
        measured = figures["shap_rows"] if job == "shap" else rows
        name = WORDS[job] + (f", {measured:,} rows" if job == "shap" else "")
        cpu, peak = figures["cpu"][job], figures["megabytes"][job]
        lines.append(f"{name:34} {seconds:9.2f} {1e6 * seconds / measured:9.2f} {cpu:9.2f} {peak:8.0f}")
    against = figures["against_trees"]
    lines += [
        f"probability and reasons against bare trees: {against['seconds']:.2f} × on the clock, "
        f"{against['cpu']:.2f} × in CPU time",
        f"contributions add up to the log-odds within {figures['gap']:.1e}, tables are the trees within "
        f"{figures['off']:.1e}",
    ]
    if "shap_times" in figures:
        times = figures["shap_times"]
        lines.append(
            f"uncalibrated reasons are {times['seconds']:,.0f} × as fast as SHAP per row, {times['cpu']:,.0f} × in CPU "
            f"time; values agree, up to the centring, within {figures['shap_apart']:.1e}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        run_job(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
