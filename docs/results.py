"""Run the main job on the sample and on the real sets, through the command line only, and write docs/results.md.

usage: python docs/results.py [DATA]     DATA: folder of the real sets; default CHURNRISK_REAL_DATA or ../shared/data
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "results.md"


@dataclass(frozen=True)
class Case:
    """One set, how it is measured, and what was asked for."""

    name: str
    folder: str
    protocol: str
    goals: tuple[tuple[str, str, float], ...]
    folds: int | None = None
    backtest: bool = False


CASES = (
    Case("ds365", "ds365", "snapshots every 14 days, the last two (2022-09-02, 2022-09-16) as test",
         (("auc", "≥", 0.885), ("calibration_error", "≤", 0.03)), backtest=True),
    Case("ds365_paid", "ds365", "paid monthly and quarterly terms, snapshots every 14 days, the last two as test", ()),
    Case("interconnect", "interconnect", "monthly snapshots, trained up to December 2019, tested on 2020-01-01",
         (("auc", "≥", 0.865),), backtest=True),
    Case("cell2cell", "cell2cell", "flat table, five folds of accounts", (("auc", "≥", 0.685),
         ("average_precision", "≥", 0.46)), folds=5),
    Case("online_retail", "online_retail", "28-day snapshots, tested on 2011-08-16", (("auc", "≥", 0.75),),
         backtest=True),
    Case("ravenstack", "ravenstack", "negative control: churn_flag in five folds of accounts",
         (("auc", "≥", 0.40), ("auc", "≤", 0.62)), folds=5),
    Case("sample", "", "the shipped sample, snapshots every 30 days", (("calibration_error", "≤", 0.03),),
         backtest=True),
)  # fmt: skip

METRICS = {
    "auc": "AUC",
    "average_precision": "AP",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "lift_top_10": "lift at 10 %",
}


def main() -> None:
    """Measure every case and write the page."""
    default = os.environ.get("CHURNRISK_REAL_DATA") or ROOT.parent / "shared" / "data"
    data = Path(sys.argv[1] if len(sys.argv) > 1 else default)
    sections = [_HEAD]
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            print(case.name, file=sys.stderr, flush=True)
            sections.append(_section(case, _measure(case, data, Path(scratch))))
        sections.append(_BACKTEST_HEAD)
        for case in CASES:
            if case.backtest:
                print(f"{case.name}, backtest", file=sys.stderr, flush=True)
                sections.append(_history(case, _look_back(case, data, Path(scratch))))
    print("promises over 200 worlds", file=sys.stderr, flush=True)
    sections.append(_promises())
    print("reasons", file=sys.stderr, flush=True)
    sections.append(_reasons())
    TARGET.write_text("\n".join(sections), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}", file=sys.stderr)


_HEAD = """# Results

Made by `make results`: every figure comes from the command line run on the commit that holds this page. Intervals are
95 % bootstrap intervals with accounts as the units. The *recency rule* is the one-column rule "days since the last
event". A promise counts as *kept* when the observed rate keeps it, as *broken* when the exact bound contradicts it.
"""


_BACKTEST_HEAD = """
## Promises through time

`churnrisk evaluate --backtest`: at every mature snapshot with enough history, one kind of model is trained, calibrated
and certified on what was known then, rules and hysteresis apply, and the outcomes are counted. *Unclear*: the rate
misses the promise by no more than chance explains. *Flaps*: colours that change and are back at the next snapshot.
*Recall*: churners that were red or amber. Grouped by final colours; in brackets without hysteresis.
"""

_HISTORY_HEAD = (
    "| as of | green: share, rate, promised | | red: share, rate, promised | |\n|---|---|---|---|---|"
)

_EVIDENCE_HEAD = (
    "| colour | accounts | rows | churned | rate per account and snapshot | 95 % bounds | promise | |\n"
    "|---|---|---|---|---|---|---|---|"
)


def _measure(case: Case, data: Path, scratch: Path) -> dict[str, Any]:
    project = scratch / case.name
    where = _where(case, data)
    if case.name == "sample":
        shutil.copytree(ROOT / "data" / "sample", project)
    else:
        project.mkdir()
        shutil.copy(ROOT / "tests" / "real" / case.name / "churnrisk.toml", project)
    step = ["evaluate", "--folds", str(case.folds)] if case.folds else ["train"]
    done = _run(project, where, *step, "--format", "json")
    found: dict[str, Any] = json.loads(done.stdout)
    chosen = [line for line in done.stderr.splitlines() if line.startswith("version ")]
    return found | {"chosen": chosen[0] if chosen else ""}


def _where(case: Case, data: Path) -> list[str]:
    return ["--data", str(data / case.folder)] if case.folder else []


def _run(project: Path, where: list[str], *step: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), *where, *step]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{project.name}: {done.stderr}")
    return done


def _look_back(case: Case, data: Path, scratch: Path) -> dict[str, Any]:
    """Walk through the snapshots of a set that has been trained already, with its model as champion."""
    project, where = scratch / case.name, _where(case, data)
    _run(project, where, "promote", "--author", "results")
    found: dict[str, Any] = json.loads(
        _run(project, where, "evaluate", "--backtest", "--format", "json").stdout
    )
    return found


def _section(case: Case, found: dict[str, Any]) -> str:
    evaluation = found["evaluation"]
    lines = [
        f"\n## {case.name}\n",
        f"{case.protocol}; {evaluation['rows']:,} rows of {evaluation['accounts']:,} accounts, base rate "
        f"{evaluation['base_rate']:.1%}.\n",
        f"| | {' | '.join(METRICS.values())} |",
        "|---|" + "---|" * len(METRICS),
    ]
    for scorer, figures in evaluation["figures"].items():
        cells = [_cell(figures.get(metric)) for metric in METRICS]
        lines.append(f"| {scorer} | {' | '.join(cells)} |")
    lines += ["", *(_goal(goal, evaluation) for goal in case.goals), _against_recency(evaluation)]
    if found["evidence"]:
        lines += ["", _EVIDENCE_HEAD]
        lines += [_evidence(row) for row in found["evidence"]]
    if found["chosen"]:
        reason = found["chosen"].split(" (", 1)[1].rsplit(")", 1)[0]
        lines += ["", f"Model in use: {reason}."]
    return "\n".join(lines) + "\n"


def _cell(interval: dict[str, float] | None) -> str:
    return "–" if not interval else f"{interval['value']:.4f} ({interval['low']:.3f}–{interval['high']:.3f})"


def _goal(goal: tuple[str, str, float], evaluation: dict[str, Any]) -> str:
    metric, sign, wanted = goal
    value = evaluation["figures"]["model"][metric]["value"]
    reached = value >= wanted if sign == "≥" else value <= wanted
    return (
        f"- Goal: {METRICS[metric]} {sign} {wanted}: {value:.4f}, **{'reached' if reached else 'missed'}**."
    )


def _against_recency(evaluation: dict[str, Any]) -> str:
    difference = evaluation["differences"].get("recency rule", {}).get("auc")
    if difference is None:
        return "- No recency rule to compare with: there are no events."
    words = "beats" if difference["low"] > 0 else "does **not** beat"
    return (
        f"- The model {words} the recency rule on AUC by more than the interval: {difference['value']:+.4f} "
        f"({difference['low']:+.4f} to {difference['high']:+.4f})."
    )


def _evidence(row: dict[str, Any]) -> str:
    promise, kept = row["promise"] or "–", {True: "kept", False: "broken", None: ""}[row["kept"]]
    if not row["accounts"]:
        return f"| {row['colour']} | 0 | 0 | 0 | – | – | {promise} | {kept} |"
    bounds = f"{row['churn_low']:.1%}–{row['churn_high']:.1%}"
    return (
        f"| {row['colour']} | {row['accounts']:,} | {row['rows']:,} | {row['churned']:,} | {row['churn_rate']:.1%} | "
        f"{bounds} | {promise} | {kept} |"
    )


def _history(case: Case, found: dict[str, Any]) -> str:
    summary = found["summary"]
    lines = [f"\n### {case.name}\n", f"Model: {found['candidate']}.\n", _HISTORY_HEAD]
    for date in dict.fromkeys(row["as_of"] for row in found["rows"]):
        at = {row["colour"]: row for row in found["rows"] if row["as_of"] == date}
        cells = [cell for colour in ("green", "red") for cell in _promised(at[colour])]
        lines.append(f"| {date} | {' | '.join(cells)} |")
    lines.append("")
    for colour, counts in summary["promises"].items():
        last = summary["promises_last_5"][colour]["broken"]
        lines.append(
            f"- {colour}: {counts['kept']} kept, {counts['unclear']} unclear, {counts['broken']} broken; broken in "
            f"the last five: {last}; the model's own colour, before rules and hysteresis: "
            f"{summary['promises_of_model'][colour]['broken']} broken."
        )
    for name, words in (("flap_rate", "Flaps"), ("recall", "Recall")):
        lines.append(f"- {words}: {summary[name]:.1%} ({summary[f'{name}_without_hysteresis']:.1%}).")
    return "\n".join(lines) + "\n"


def _promised(row: dict[str, Any]) -> tuple[str, str]:
    if not row["accounts"]:
        return "empty", ""
    limit = f"≤ {row['at_most']:.1%}" if row["at_most"] is not None else f"≥ {row['at_least']:.1%}"
    return f"{row['share']:.0%}, {row['churn_rate']:.1%}, {limit}", row["outcome"]


def _reasons() -> str:
    """Run the benchmark of the reasons on fewer rows, beside SHAP where its environment is there."""
    peers = ROOT / ".venv-peers" / "bin" / "python"
    beside = ["--peers", str(peers)] if peers.exists() else []
    command = [sys.executable, str(ROOT / "benchmarks" / "reasons.py"), "200000", *beside]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (
        "\n## Reasons\n\n`make bench-peers`, here on 200,000 rows: the default model's probability and exact reasons "
        "beside scikit-learn's\n`predict_proba` of the same trees and SHAP's `TreeExplainer`.\n\n"
        f"```\n{done.stdout.rstrip()}\n```\n"
    )


def _promises() -> str:
    """Run the benchmarks of the promises and show what they printed."""
    return (
        "\n## Promises over 200 worlds\n\n`benchmarks/promise.py`, whose head says what it simulates: worlds with "
        f"known probabilities, and a stand-in for the model.\n\n{_printed('promise.py')}\n"
        "`benchmarks/promise_trained.py`: other worlds, in which the model is trained, cross-fitted as "
        f"`churnrisk train` does,\nand held out for comparison (decision 0019).\n\n"
        f"{_printed('promise_trained.py', '100')}"
    )


def _printed(benchmark: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / benchmark), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = "\n".join(done.stdout.splitlines()[:-1])  # the last line is how long it took
    return f"```\n{figures}\n```\n"


if __name__ == "__main__":
    main()
