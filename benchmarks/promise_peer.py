"""MAPIE's risk control on the blocks of benchmarks/promise.py, run by it with the interpreter of MAPIE's environment.

usage: python benchmarks/promise_peer.py WORLDS.npz     prints one pair of thresholds per way and world, as JSON

`BinaryClassificationController` (Learn then Test, MAPIE 1.6.0) chooses a threshold for green, whose negative predictive
value is controlled, and one for red, whose precision is. Of the thresholds that it certifies it takes the one with the
largest colour. Thresholds without a row on either side are left out, without a look at labels: their p-value is NaN,
and Holm's procedure would stop there.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
from mapie.risk_control import BinaryClassificationController
from mapie.risk_control.fwer_control import FWERFixedSequenceTesting

# MAPIE's default, and a walk as churnrisk's, which MAPIE starts at the end with the fewest rows; ten starts are kinder.
PROCEDURES = {"Holm": "bonferroni_holm", "fixed sequence": FWERFixedSequenceTesting(n_starts=10)}
COLOURS = (("negative_predictive_value", "predicted_positive_fraction"), ("precision", "recall"))


def main() -> None:
    """Calibrate on each block, with all rows and with one row per account at most."""
    warnings.simplefilter("ignore")
    saved = np.load(sys.argv[1])
    ends = np.cumsum(saved["rows"])[:-1]
    blocks = zip(
        *(np.split(saved[name], ends) for name in ("scores", "churned", "account", "snapshot")),
        saved["promises"],
        strict=True,
    )
    found: dict[str, list[Any]] = {}
    for seed, (scores, churned, account, snapshot, promises) in enumerate(blocks):
        drawn = np.random.default_rng([seed, 2]).choice(np.unique(snapshot), size=account.max() + 1)
        one = snapshot == drawn[account]
        for name, procedure in PROCEDURES.items():
            for rows, ending in ((slice(None), ""), (one, ", one row each")):
                pair = cuts(scores[rows], churned[rows], promises, saved["grid"], procedure)
                found.setdefault(f"MAPIE, {name}{ending}", []).append(pair)
    print(json.dumps(found))


def cuts(scores: Any, churned: Any, promises: Any, grid: Any, procedure: Any) -> list[float | None]:
    """Return the thresholds of green and red; None: empty."""
    inside = grid[(grid > scores.min()) & (grid <= scores.max())]
    return [
        BinaryClassificationController(
            lambda p: np.column_stack([1.0 - p, p]),
            risk=risk,
            target_level=float(level),
            confidence_level=0.95,
            best_predict_param_choice=largest,
            list_predict_params=inside,
            fwer_method=procedure,
        )
        .calibrate(scores, churned)
        .best_predict_param
        for (risk, largest), level in zip(COLOURS, (1.0 - promises[0], promises[1]), strict=True)
    ]


if __name__ == "__main__":
    main()
