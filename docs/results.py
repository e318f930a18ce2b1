"""Run the main job on the sample and on the real sets, through the command line only, and write docs/results.md.

usage: python docs/results.py [DATA] [--only lights] [--sets a,b] [--save DIR]

DATA: folder of the real sets; default CHURNRISK_REAL_DATA or ../shared/data. With --only, the section is printed and no
page is written. --save keeps what `train` and `evaluate --backtest` returned as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
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


@dataclass(frozen=True)
class Measured:
    """What the command line said of a set; ``folded`` for flat ones, ``history`` for the others."""

    case: Case
    trained: dict[str, Any]
    folded: dict[str, Any] | None
    history: dict[str, Any] | None


CASES = (
    Case("ds365", "ds365", "snapshots every 14 days, the last two (2022-09-02, 2022-09-16) as test",
         (("auc", "≥", 0.885), ("calibration_error", "≤", 0.03))),
    Case("ds365_paid", "ds365", "paid monthly and quarterly terms, snapshots every 14 days, the last two as test", ()),
    Case("interconnect", "interconnect", "monthly snapshots, trained up to December 2019, tested on 2020-01-01",
         (("auc", "≥", 0.865),)),
    Case("interconnect_flat", "interconnect", "the same, flat, five folds of accounts", (("auc", "≥", 0.845),),
         folds=5),
    Case("cell2cell", "cell2cell", "flat table, five folds of accounts", (("auc", "≥", 0.685),
         ("average_precision", "≥", 0.46)), folds=5),
    Case("online_retail", "online_retail", "28-day snapshots, tested on 2011-08-16", (("auc", "≥", 0.75),)),
    Case("cdnow", "cdnow", "28-day snapshots from 1997-05-01, tested on 1998-03-05", (("auc", "≥", 0.7169),
         ("log_loss", "≤", 0.6027))),
    Case("bankchurners", "bankchurners", "flat table without its two leaks, five folds of accounts",
         (("log_loss", "≤", 0.065),), folds=5),
    Case("ravenstack", "ravenstack", "negative control: churn_flag in five folds of accounts",
         (("auc", "≥", 0.40), ("auc", "≤", 0.62)), folds=5),
    Case("sample", "", "the shipped sample, snapshots every 30 days", (("calibration_error", "≤", 0.03),)),
)  # fmt: skip

METRICS = {
    "auc": "AUC",
    "average_precision": "AP",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "lift_top_10": "lift at 10 %",
}


def main() -> None:
    """Measure the cases and write the page, or print its section on the lights."""
    options = _options()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for case in options.sets:
            found.append(_measure(case, options.data, Path(scratch), folds=options.only is None))
            if options.save:
                _save(found[-1], options.save)
    if options.only:
        print(_lights(found))
        return
    histories = [_history(one.case, one.history) for one in found if one.history]
    sections = [_HEAD, *map(_section, found), _lights(found), _BACKTEST_HEAD, *histories]
    print("promises over 1,000 worlds", file=sys.stderr, flush=True)
    sections.append(_promises())
    print("reasons", file=sys.stderr, flush=True)
    sections.append(_reasons())
    TARGET.write_text("\n".join(sections), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}", file=sys.stderr)


def _save(one: Measured, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("train", one.trained), ("backtest", one.history)):
        if content is not None:
            (folder / f"{one.case.name}.{name}.json").write_text(json.dumps(content, indent=2))


def _options() -> argparse.Namespace:
    default = os.environ.get("CHURNRISK_REAL_DATA") or ROOT.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description="Write docs/results.md from the command line's own figures.")
    parser.add_argument("data", nargs="?", type=Path, default=Path(default), help="folder of the real sets")
    parser.add_argument("--only", choices=["lights"], help="print this section and write nothing")
    parser.add_argument("--sets", help="names, separated by commas; default: all")
    parser.add_argument("--save", type=Path, metavar="DIR", help="where to keep the JSON of each set")
    options = parser.parse_args()
    names = options.sets.split(",") if options.sets else [case.name for case in CASES]
    known = {case.name: case for case in CASES}
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"--sets: expected some of {', '.join(known)}, found {', '.join(unknown)}")
    if options.sets and not options.only:
        parser.error("--sets: the page holds all sets; add --only lights")
    options.sets = [known[name] for name in names]
    return options


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
    "| colour | of all rows | rows | accounts | rows churned | churn rate of rows | 95 % bounds | of all churned | "
    "promise | |\n|---|---|---|---|---|---|---|---|---|---|"
)

_LIGHTS_HEAD = """
## The lights

Are they useful, beside being honest? Final colours, rules included, on rows that the model never saw: the test block of
`churnrisk train`, for flat tables a held-out share of accounts. A *row* is an account at a snapshot, rates are churned
rows per row within the label window. *Efficiency* is the mutual information of colour and outcome over that of the
probability (20 bins) and outcome: 1 if the colours keep all of the probability's information, in brackets that of the
model's own colours before the rules. *Caught* is the share of the churned rows that were flagged, red or amber: the
share flagged stands beside it. Green: share, rate, promise. Red: share, rate, recall, promise.

| set | AUC | recency AUC | base rate | green | red | flagged, caught | efficiency | verdict |
|---|---|---|---|---|---|---|---|---|"""

_LIGHTS_HISTORY_HEAD = """
Through time (`churnrisk evaluate --backtest`, final colours with hysteresis), green and red. *Empty*: of the
(snapshot, colour) pairs at which the model's AUC beats that of the recency rule (0.5 where there are no events). In the
sums below a flat set counts as one snapshot: its test block, where the intervals say whether the model beats the rule.

| set | snapshots | kept, unclear, broken | empty | flagged, caught | median efficiency | least |
|---|---|---|---|---|---|---|"""


def _measure(case: Case, data: Path, scratch: Path, *, folds: bool) -> Measured:
    """Train on a set, cross-validate it if it is flat (with ``folds``), else walk through its snapshots."""
    project, where = scratch / case.name, _where(case, data)
    if case.name == "sample":
        shutil.copytree(ROOT / "data" / "sample", project)
    else:
        project.mkdir()
        shutil.copy(ROOT / "tests" / "real" / case.name / "churnrisk.toml", project)
    print(case.name, file=sys.stderr, flush=True)
    trained, said = _json(project, where, "train")
    chosen = [line for line in said.splitlines() if line.startswith("version ")]
    trained["chosen"] = chosen[0] if chosen else ""
    if case.folds:
        folded = _json(project, where, "evaluate", "--folds", str(case.folds))[0] if folds else None
        return Measured(case, trained, folded, None)
    print(f"{case.name}, backtest", file=sys.stderr, flush=True)
    _run(project, where, "promote", "--author", "results")
    return Measured(case, trained, None, _json(project, where, "evaluate", "--backtest")[0])


def _where(case: Case, data: Path) -> list[str]:
    return ["--data", str(data / case.folder)] if case.folder else []


def _json(project: Path, where: list[str], *step: str) -> tuple[dict[str, Any], str]:
    """Return what a step found, and what it said beside."""
    done = _run(project, where, *step, "--format", "json")
    return json.loads(done.stdout), done.stderr


def _run(project: Path, where: list[str], *step: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), *where, *step]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{project.name}: {done.stderr}")
    return done


def _lights(found: list[Measured]) -> str:
    """Return the section on the lights: a row per set, then the backtests, then what was asked for."""
    histories = [one for one in found if one.history]
    lines = [_LIGHTS_HEAD, *map(_light_row, found)]
    if histories:
        lines += [
            _LIGHTS_HISTORY_HEAD,
            *(_light_history(one, one.history) for one in histories if one.history),
        ]
    return "\n".join([*lines, "", *_light_goals(found)]) + "\n"


def _light_row(one: Measured) -> str:
    evaluation, light = one.trained["evaluation"], one.trained["light"]
    auc, recency = (_auc(one, scorer) for scorer in ("model", "recency rule"))
    at = _colours(one)
    green, red = at["green"], at["red"]
    cells = (
        one.case.name,
        _number(auc),
        _number(recency),
        f"{evaluation['base_rate']:.1%}",
        f"{_shared(green)}, {_promise(green)}" if green["rows"] else f"empty, {_promise(green)}",
        f"{_shared(red)}, {red['recall']:.0%}, {_promise(red)}" if red["rows"] else f"empty, {_promise(red)}",
        f"{at['amber']['share'] + red['share']:.0%}, {at['amber']['recall'] + red['recall']:.0%}",
        f"{_number(light['efficiency'])} ({_number(light['model_efficiency'])})",
        light["verdict"],
    )
    return f"| {' | '.join(cells)} |"


def _light_history(one: Measured, history: dict[str, Any]) -> str:
    pairs, summary = _pairs(one), history["summary"]
    outcomes = [pair["outcome"] for pair in pairs]
    able = [pair for pair in pairs if pair["able"]]
    known = [light["efficiency"] for light in history["lights"] if light["efficiency"] is not None]
    cells = (
        one.case.name,
        f"{summary['snapshots']}",
        ", ".join(str(outcomes.count(name)) for name in ("kept", "unclear", "broken")),
        f"{sum(not pair['accounts'] for pair in able)} of {len(able)}",
        f"{summary['flagged']:.0%}, {summary['recall']:.0%}",
        f"{_number(summary['median_efficiency'])} ({_number(summary['median_efficiency_of_model'])})",
        _number(min(known, default=None)),
    )
    return f"| {' | '.join(cells)} |"


def _pairs(one: Measured) -> list[dict[str, Any]]:
    """Return the (snapshot, colour) pairs of green and red; ``able`` where the model beats the recency rule.

    A flat set has one snapshot: its test block, which tells by the intervals.
    """
    if not one.history:
        evaluation = one.trained["evaluation"]
        beats = evaluation["differences"].get("recency rule", {}).get("auc", {}).get("low", 1.0) > 0
        sure = beats and evaluation["figures"]["model"]["auc"]["low"] > 0.5
        kept = {True: "kept", False: "broken", None: "unclear"}
        rows = [row for row in one.trained["evidence"] if row["colour"] in ("green", "red")]
        judged = [row["promise"] and row["accounts"] for row in rows]
        return [
            row | {"able": sure, "outcome": kept[row["kept"]] if known else ""}
            for row, known in zip(rows, judged, strict=True)
        ]
    able = {
        light["as_of"]: light["auc"] is not None and light["auc"] > (light["recency_auc"] or 0.5)
        for light in one.history["lights"]
    }
    return [
        row | {"able": able[row["as_of"]]} for row in one.history["rows"] if row["colour"] in ("green", "red")
    ]


def _light_goals(found: list[Measured]) -> list[str]:
    by_name = {one.case.name: one for one in found}
    efficiency = {
        one.case.name: value for one in found if (value := one.trained["light"]["efficiency"]) is not None
    }
    pairs = [pair for one in found for pair in _pairs(one)]
    judged, able = [pair for pair in pairs if pair["outcome"]], [pair for pair in pairs if pair["able"]]
    broken, empty = (
        sum(pair["outcome"] == "broken" for pair in judged),
        sum(not pair["accounts"] for pair in able),
    )
    lines = []
    if judged:
        what = f"promises broken: {broken} of {len(judged)} non-empty (snapshot, colour) pairs"
        lines.append(_reached(f"{what}, {broken / len(judged):.1%} (≤ 5 %)", broken <= 0.05 * len(judged)))
    if able:
        what = f"empty: {empty} of {len(able)} pairs where the model beats the recency rule"
        lines.append(_reached(f"{what}, {empty / len(able):.0%} (≤ 20 %)", empty <= 0.2 * len(able)))
    if efficiency:
        median = statistics.median(efficiency.values())
        what = f"median efficiency of {len(efficiency)} sets: {median:.2f} (≥ 0.75)"
        lines.append(_reached(what, median >= 0.75))
        low = [
            f"{name} {value:.2f}"
            for name, value in efficiency.items()
            if (_auc(by_name[name], "model") or 0.0) >= 0.75 and value < 0.55
        ]
        lines.append(
            _reached(
                f"sets with an AUC of at least 0.75 and less than 0.55: {', '.join(low) or 'none'}", not low
            )
        )
    lines += [_share_goal(by_name[name], *asked) for name, *asked in _LIGHT_GOALS if name in by_name]
    return lines


#: Set, colour, figure, sign, number.
_LIGHT_GOALS = (
    ("bankchurners", "green", "share", "≥", 0.70),
    ("bankchurners", "green", "churn_rate", "≤", 0.015),
    ("bankchurners", "red", "churn_rate", "≥", 0.65),
    ("bankchurners", "red", "recall", "≥", 0.90),
    ("sample", "green", "share", "≥", 0.50),
    ("sample", "red", "share", "≤", 0.15),
)


def _share_goal(one: Measured, colour: str, figure: str, sign: str, wanted: float) -> str:
    row = _colours(one)[colour]
    value = row[figure]
    words = {"share": "share of rows", "churn_rate": "churn rate", "recall": "recall"}[figure]
    if not row["rows"]:
        empty = figure == "share" and sign == "≤"
        return _reached(f"{one.case.name}, {colour}, {words} {sign} {wanted:.1%}: empty", empty)
    met = value >= wanted if sign == "≥" else value <= wanted
    return _reached(f"{one.case.name}, {colour}, {words} {sign} {wanted:.1%}: {value:.1%}", met)


def _reached(what: str, met: bool) -> str:
    return f"- {what[:1].upper()}{what[1:]}: **{'reached' if met else 'missed'}**."


def _colours(one: Measured) -> dict[str, dict[str, Any]]:
    return {row["colour"]: row for row in one.trained["evidence"]}


def _auc(one: Measured, scorer: str) -> float | None:
    figure = one.trained["evaluation"]["figures"].get(scorer, {}).get("auc")
    return None if figure is None else float(figure["value"])


def _shared(row: dict[str, Any]) -> str:
    return f"{row['share']:.0%}, {row['churn_rate']:.1%}"


def _promise(row: dict[str, Any]) -> str:
    return row["promise"].replace("churn of at most", "≤").replace("churn of at least", "≥") or "no promise"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _section(one: Measured) -> str:
    case, found = one.case, one.folded or one.trained
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
    if not one.folded and one.trained["chosen"]:
        reason = one.trained["chosen"].split(" (", 1)[1].rsplit(")", 1)[0]
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
        return f"| {row['colour']} | 0 | 0 | 0 | 0 | – | – | – | {promise} | {kept} |"
    bounds = f"{row['churn_low']:.1%}–{row['churn_high']:.1%}"
    return (
        f"| {row['colour']} | {row['share']:.1%} | {row['rows']:,} | {row['accounts']:,} | {row['churned_rows']:,} | "
        f"{row['churn_rate']:.1%} | {bounds} | {row['recall']:.1%} | {promise} | {kept} |"
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
    recall = f"Recall, with {summary['flagged']:.0%} of all accounts flagged"
    for name, words in (("flap_rate", "Flaps"), ("recall", recall)):
        lines.append(f"- {words}: {_rate(summary[name])} ({_rate(summary[f'{name}_without_hysteresis'])}).")
    lines.append(
        f"- Efficiency, median of the snapshots: {_number(summary['median_efficiency'])} "
        f"(model's own: {_number(summary['median_efficiency_of_model'])}); of all together: "
        f"{_number(summary['efficiency'])} ({_number(summary['efficiency_of_model'])})."
    )
    return "\n".join(lines) + "\n"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _promised(row: dict[str, Any]) -> tuple[str, str]:
    if not row["accounts"]:
        return "empty", ""
    limits = (("≤", row["at_most"]), ("≥", row["at_least"]))
    limit = " ".join(f"{sign} {value:.1%}" for sign, value in limits if value is not None) or "no promise"
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
    peers = ROOT / ".venv-monitor" / "bin" / "python"
    beside = ["--peers", str(peers)] if peers.exists() else []
    return (
        "\n## Promises over 1,000 worlds\n\n`make bench-promise`, benchmarks/promise.py, whose head says what it "
        "simulates: worlds with known probabilities,\nand a stand-in for the model.\n\n"
        f"{_printed('promise.py', '1000', *beside)}\n"
        "`benchmarks/promise_trained.py`: other worlds, in which the model is trained, cross-fitted as "
        f"`churnrisk train` does,\nand held out for comparison (decision 0019).\n\n"
        f"{_printed('promise_trained.py', '100')}"
        "\n\n## Promises watched for a year\n\n`make bench-monitor`, benchmarks/promise_monitor.py: false "
        "withdrawals, and how soon a broken promise is noticed (decision 0021).\n\n"
        f"{_printed('promise_monitor.py', *beside)}"
    )


def _printed(benchmark: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / benchmark), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = "\n".join(done.stdout.splitlines()[:-1])  # the last line is how long it took
    return f"```\n{figures}\n```\n"


if __name__ == "__main__":
    main()
