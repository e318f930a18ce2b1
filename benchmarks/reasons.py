"""Probability and exact reasons of the default model against scikit-learn's bare predict_proba of the same trees.

usage: python benchmarks/reasons.py [ROWS] [COLUMNS]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from churnrisk.model import ChurnClassifier

REPEATS = 3


def main() -> None:
    """Print medians and their ratios."""
    rows, columns = (int(argument) for argument in (*sys.argv[1:3], *("1000000", "40")[len(sys.argv) - 1 :]))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50_000, columns))
    y = rng.random(len(X)) < 1 / (1 + np.exp(2 - X[:, :10].sum(axis=1) / 3))
    names = [f"x{i}" for i in range(columns)]
    model = ChurnClassifier(candidates=("additive",), n_models=1).fit(pd.DataFrame(X, columns=names), y)
    model.calibrate(pd.DataFrame(X, columns=names), y)
    frame = pd.DataFrame(rng.normal(size=(rows, columns)), columns=names)
    boosted = model.model_
    binned = boosted.binner_.bins(model.encoder_.transform(frame))
    figures = {
        "scikit-learn predict_proba": median(lambda: boosted.trees_[0].predict_proba(binned)),
        "probability": median(lambda: model.predict_proba(frame)),
        "exact reasons": median(lambda: model.contributions(frame)),
    }
    together = figures["probability"] + figures["exact reasons"]
    trees = boosted.trees_[0].n_iter_
    print(f"{rows:,} rows × {columns} columns, {trees} trees, exact: {model.exact_}, medians of {REPEATS}")
    for name, seconds in figures.items():
        print(f"{name:28} {seconds:6.2f} s")
    ratio = together / figures["scikit-learn predict_proba"]
    print(f"{'both against bare trees':28} {ratio:6.2f} ×")
    gap = np.abs(
        model.decision_function(frame) - model.baseline_ - model.contributions(frame).to_numpy().sum(axis=1)
    )
    print(f"{'largest gap of the sum':28} {gap.max():.1e} log-odds")


def median(work: Callable[[], object]) -> float:
    """Return the median seconds of a few runs."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
