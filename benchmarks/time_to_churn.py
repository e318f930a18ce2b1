"""How well time to churn is told beside Kaplan-Meier, on later snapshots that were followed to the end of the data.

Everything is learned from what was known at a cut, on which the test snapshots begin: rows whose end came later count
as censored. Three curves: that of `ChurnHazard` with the model's own probability as its first window (what `explain`
tells), the churn probability repeated for every window, and Kaplan-Meier, which is the same for everybody.

usage: python benchmarks/time_to_churn.py [SET ...] [--data DIR] [--page]
    --page     write the tables into docs/quality.md
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from quality import PAGE, ROOT, default_data, write_block

#: Where each set is cut.
CUTS = {"sample": "2025-12-01", "ds365": "2022-07-01", "interconnect": "2019-12-01"}
#: Snapshots of so many days from the cut on are the test's.
TEST_DAYS = 65
LEAST_ROWS = 30
CURVES = {"hazard": "hazard and probability", "repeated": "probability repeated", "km": "Kaplan-Meier"}


def main() -> None:
    """Measure the sets that were asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(CUTS), metavar="SET")
    parser.add_argument("--data", type=Path, default=default_data(), metavar="DIR")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    text = "\n\n".join([_HEAD, *(measure(name, asked.data) for name in asked.sets)]).replace("\n\n|", "\n|")
    print(text)
    if asked.page:
        write_block("time to churn", text)
        print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)


_HEAD = (
    "| set, test rows | curve | mean AUC | integrated Brier score | AUC by day "
    "| lost by the last day: told, observed |\n"
    "|---|---|---|---|---|---|"
)


def measure(name: str, data: Path) -> str:
    """Return the lines of one set."""
    import numpy as np
    import pandas as pd

    from churnrisk.model import KaplanMeier, evaluate_survival
    from churnrisk.settings import load_project
    from churnrisk.snapshots import known_by
    from churnrisk.training import training_panel

    where = ROOT / "data" / "sample" if name == "sample" else ROOT / "tests" / "real" / name
    project = load_project(where, data=None if name == "sample" else data / name)
    panel = training_panel(project, now=datetime.now(), progress=lambda _: None)
    as_of, cut = panel.X.index.get_level_values("as_of"), pd.Timestamp(CUTS[name])
    early = known_by(panel.follow_up, project.churn, end=cut)
    learn = np.asarray(as_of < cut) & (early["windows"] > 0).to_numpy()
    test = np.asarray((as_of >= cut) & (as_of < cut + timedelta(days=TEST_DAYS)))
    period = project.churn.horizon_days
    classifier, hazard = _learned(panel, early, learn, project)
    later = panel.follow_up[test]
    days = _days(later, hazard.n_periods_, period)
    first = classifier.predict_proba(panel.X[test])[:, 1]
    km = KaplanMeier.fit(early["windows"][learn] * period, early["churned"][learn]).at(days)
    curves = {
        "hazard": hazard.predict_survival(panel.X[test], days, first=first),
        "repeated": np.clip(1 - first, 1e-9, 1)[:, None] ** (days / period),
        "km": np.tile(km, (len(later), 1)),
    }
    observed = 1 - KaplanMeier.fit(later["windows"] * period, later["churned"]).at(days)[-1]
    lines = []
    for kind, words in CURVES.items():
        found = evaluate_survival(
            later["windows"] * period, later["churned"], curves[kind], days, panel.groups[test]
        )
        told = 1 - curves[kind][:, -1].mean()
        lines.append(_line(f"{name}, {len(later):,}", words, found, told, observed))
    return "\n".join(lines)


def _learned(panel: Any, early: Any, learn: Any, project: Any) -> tuple[Any, Any]:
    """Return the classifier and the hazard, both of what was known at the cut."""
    from churnrisk.model import ChurnClassifier, ChurnHazard
    from churnrisk.training import AGEING

    shared = {
        "monotone": {feature.name: feature.monotone for feature in panel.features if feature.monotone},
        "embargo_days": project.churn.outcome_delay.days,
    }
    period = project.churn.horizon_days
    X, churned = panel.X[learn], early["churned"][learn]
    classifier = ChurnClassifier(candidates=project.model.candidates, **shared).fit(X, panel.y[learn])
    hazard = ChurnHazard(period_days=period, ageing=AGEING, **shared)
    return classifier, hazard.fit(X, early["windows"][learn] * period, churned)


def _days(later: Any, n_periods: int, period: int) -> Any:
    """Return the ends of windows by which enough rows were lost and are known to be there."""
    import numpy as np

    kept = [
        k
        for k in range(1, n_periods + 1)
        if ((later["windows"] >= k) & ~(later["churned"] & (later["windows"] == k))).sum() >= LEAST_ROWS
    ]
    return np.array(kept, dtype=float) * period


def _line(name: str, words: str, found: Any, told: float, observed: float) -> str:
    mean, brier = found.mean_auc, found.integrated_brier
    by_day = ", ".join(f"{day:.0f}: {one.value:.3f}" for day, one in zip(found.days, found.auc, strict=True))
    return (
        f"| {name} | {words} | {mean.value:.3f} ({mean.low:.3f}–{mean.high:.3f}) | {brier.value:.4f} "
        f"({brier.low:.4f}–{brier.high:.4f}) | {by_day} | {told:.1%}, {observed:.1%} |"
    )


if __name__ == "__main__":
    main()
