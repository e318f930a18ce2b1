"""How good the default model is beside LightGBM, XGBoost and CatBoost, each tuned for the same CPU time, and AutoGluon.

Same signals, same rows, same splits, one thread each. Ours is `ChurnClassifier` as a project's churnrisk.toml sets it:
nothing is tuned by hand. The peers run in an environment of their own (`make bench-quality` makes it); the matrices are
handed over as Parquet. Intervals are 95 % bootstrap intervals with accounts as the units; "behind" means that the whole
interval of the paired difference lies on the other side.

usage: python benchmarks/quality.py [SET ...] [--seconds N] [--peers PYTHON] [--data DIR] [--page]
    --seconds  CPU seconds of each peer's search, per set; default 60
    --peers    interpreter of an environment with benchmarks/quality_peers.txt
    --autogluon  interpreter of an environment with benchmarks/quality_autogluon.txt; without one it is left out
    --data     folder of the real sets; default CHURNRISK_REAL_DATA or ../shared/data
    --page     write the tables of all sets measured so far into docs/quality.md
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "bench" / "quality"
PAGE = ROOT / "docs" / "quality.md"
TUNED = ("LightGBM", "XGBoost", "CatBoost")
AUTOGLUON = "AutoGluon"
OURS = "churnrisk"
FOLDS = 5
#: Name, folder of the data, and whether it is measured in folds of accounts.
SETS = {
    "sample": ("", False),
    "ds365": ("ds365", False),
    "ds365_paid": ("ds365", False),
    "interconnect": ("interconnect", False),
    "interconnect_flat": ("interconnect", True),
    "cell2cell": ("cell2cell", True),
    "online_retail": ("online_retail", False),
    "ravenstack": ("ravenstack", True),
}
METRICS = {
    "auc": "AUC",
    "average_precision": "AP",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}


@dataclass(frozen=True)
class Part:
    """One split of one set: rows to fit on, later rows to calibrate or stop early on, rows to test on."""

    X: Any
    y: Any
    block: Any
    monotone: dict[str, int]
    candidates: tuple[str, ...]
    embargo_days: int
    calibrates: bool

    def rows(self, name: str) -> Any:
        """Return the matrix and the outcomes of one block."""
        mask = self.block == name
        return self.X[mask], self.y[mask]


def main() -> None:
    """Measure the sets that were asked for and print a table of each."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    asked = _asked()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in asked.sets or ([] if asked.page else SETS):
        found = measure(name, asked)
        (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1))
        print(table(found), flush=True)
    if asked.page:
        write_page()


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], metavar="SET")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--peers", default=str(ROOT / ".venv-quality" / "bin" / "python"), metavar="PYTHON")
    beside = ROOT / ".venv-autogluon" / "bin" / "python"
    parser.add_argument("--autogluon", default=str(beside) if beside.exists() else None, metavar="PYTHON")
    parser.add_argument("--data", type=Path, default=default_data(), metavar="DIR")
    parser.add_argument("--page", action="store_true")
    return parser.parse_args()


def default_data() -> Path:
    """Return the folder of the real sets."""
    return Path(os.environ.get("CHURNRISK_REAL_DATA") or ROOT.parent / "shared" / "data")


def measure(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Fit ours and every peer on each split of a set; test rows of all folds count together."""
    import numpy as np
    import pandas as pd

    from churnrisk.model import evaluate

    peers = dict.fromkeys(TUNED, asked.peers) | ({AUTOGLUON: asked.autogluon} if asked.autogluon else {})
    p: dict[str, list[Any]] = {scorer: [] for scorer in (OURS, *peers)}
    seconds = dict.fromkeys(p, 0.0)
    outcomes, accounts, trials = [], [], dict.fromkeys(peers, 0)
    folds = FOLDS if SETS[name][1] else 1
    for number, part in enumerate(_parts(name, asked.data)):
        matrix = FOLDER / f"{name}-{number}.parquet"
        _hand_over(part, matrix)
        probability, spent = ours(part)
        p[OURS].append(probability)
        seconds[OURS] += spent
        for peer, python in peers.items():
            print(f"{name} {number + 1}/{folds}: {peer}", file=sys.stderr, flush=True)
            found = _peer(python, peer, matrix, asked.seconds / folds)
            p[peer].append(np.array(found["p"]))
            seconds[peer] += found["seconds"]
            trials[peer] += found["trials"]
        X, y = part.rows("test")
        outcomes.append(y)
        accounts.append(X.index.get_level_values("account_id"))
    joined = {scorer: np.concatenate(values) for scorer, values in p.items()}
    account_id = np.concatenate(accounts)
    measured = evaluate(
        pd.concat(outcomes), joined[OURS], account_id, baselines={peer: joined[peer] for peer in peers}
    )
    return {"set": name, "seconds": seconds, "trials": trials, "folds": folds, **measured.to_dict()}


def ours(part: Part) -> tuple[Any, float]:
    """Return our probabilities of the test rows and the CPU seconds of the training."""
    import numpy as np
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from churnrisk.model import ChurnClassifier

    fit, later = part.rows("fit"), part.rows("calibration")
    with threadpool_limits(limits=1):
        began = time.process_time()
        both = pd.concat([fit[0], later[0]]), pd.concat([fit[1], later[1]])
        classifier = ChurnClassifier(
            candidates=part.candidates, monotone=part.monotone, embargo_days=part.embargo_days
        )
        if part.calibrates:
            is_later = np.repeat([False, True], [len(fit[1]), len(later[1])])
            classifier.fit_and_calibrate(*both, is_later)
        else:
            classifier.fit(*both)
        spent = time.process_time() - began
        return classifier.predict_proba(part.rows("test")[0])[:, 1], spent


def _peer(python: str, peer: str, matrix: Path, seconds: float) -> dict[str, Any]:
    command = [python, str(Path(__file__).with_name("quality_peers.py")), peer, str(matrix), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{peer} on {matrix.name}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _hand_over(part: Part, path: Path) -> None:
    texts = {name: part.X[name].astype(object) for name in part.X if part.X[name].dtype == "category"}
    frame = part.X.assign(**texts).reset_index()
    frame = frame.drop(columns=["account_id", "as_of"], errors="ignore")
    account_id = part.X.index.get_level_values("account_id").astype(str)
    frame.assign(_account=account_id, _block=part.block, _y=part.y.to_numpy().astype(int)).to_parquet(path)


def _parts(name: str, data: Path) -> Iterator[Part]:
    """Yield the splits of a set: that of `churnrisk train`, or folds of accounts for a flat table."""
    import numpy as np

    if name == "interconnect_flat":
        X, y = _flat_interconnect(data / "interconnect")
        yield from _folds(X, y, {}, ("logistic", "additive", "full"))
        return
    from churnrisk.settings import load_project
    from churnrisk.training import CutPanel, training_panel

    folder, flat = SETS[name]
    where = ROOT / "tests" / "real" / name if folder else ROOT / "data" / "sample"
    project = load_project(where, data=data / folder if folder else None)
    panel = training_panel(project, now=datetime.now(), progress=lambda _: None)
    monotone = {feature.name: feature.monotone for feature in panel.features if feature.monotone}
    if flat:
        yield from _folds(panel.X, panel.y, monotone, project.model.candidates)
        return
    cut = CutPanel.of(project, panel).cut
    block = np.select([cut.fit, cut.calibration, cut.test], ["fit", "calibration", "test"], "embargo")
    days = project.churn.outcome_delay.days
    used = block != "embargo"
    yield Part(panel.X[used], panel.y[used], block[used], monotone, project.model.candidates, days, True)


def _folds(X: Any, y: Any, monotone: dict[str, int], candidates: tuple[str, ...]) -> Iterator[Part]:
    """Yield folds of accounts as `evaluate --folds` cuts them; a quarter of the others stops the peers early."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    accounts = X.index.get_level_values("account_id")
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    member = np.empty(len(X), dtype=int)
    for number, (_, test) in enumerate(splitter.split(X, y, accounts)):
        member[test] = number
    for number in range(FOLDS):
        stopping = (number + 1) % FOLDS
        block = np.select([member == number, member == stopping], ["test", "calibration"], "fit")
        yield Part(X, y, block, monotone, candidates, 0, False)


def _flat_interconnect(data: Path) -> tuple[Any, Any]:
    """Return what the public notebook predicts "EndDate set" from: the four tables joined, without the dates."""
    import pandas as pd

    joined = pd.read_csv(data / "contract.csv")
    for name in ("personal", "internet", "phone"):
        joined = joined.merge(pd.read_csv(data / f"{name}.csv"), on="customerID", how="left")
    y = (joined["EndDate"] != "No").astype("int8")
    joined["TotalCharges"] = pd.to_numeric(joined["TotalCharges"], errors="coerce")
    X = joined.drop(columns=["BeginDate", "EndDate"]).set_index("customerID").rename_axis("account_id")
    texts = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    X[texts] = X[texts].fillna("none").astype("category")
    return X, y.set_axis(X.index)


def table(found: dict[str, Any]) -> str:
    """Return a set's figures as Markdown, with the verdict."""
    lines = [
        f"\n### {found['set']}\n",
        f"{found['rows']:,} test rows of {found['accounts']:,} accounts, base rate {found['base_rate']:.1%}"
        f"{', ' + str(found['folds']) + ' folds of accounts' if found['folds'] > 1 else ''}.\n",
        f"| | {' | '.join(METRICS.values())} | training, CPU s | trials |",
        "|---|" + "---|" * (len(METRICS) + 2),
    ]
    for scorer in (OURS, *found["trials"]):
        figures = found["figures"]["model" if scorer == OURS else scorer]
        cells = ["{value:.4f} ({low:.3f}–{high:.3f})".format(**figures[metric]) for metric in METRICS]
        trials = found["trials"].get(scorer, "–")
        lines.append(f"| {scorer} | {' | '.join(cells)} | {found['seconds'][scorer]:.1f} | {trials} |")
    return "\n".join([*lines, "", *(f"- {line}" for line in verdict(found).values())])


def verdict(found: dict[str, Any]) -> dict[str, str]:
    """Return in words, per metric, how ours stands to the best peer."""
    told = {}
    for metric, words in METRICS.items():
        sign = -1 if metric in ("log_loss", "calibration_error") else 1
        best = max(found["trials"], key=lambda peer, m=metric, s=sign: s * found["figures"][peer][m]["value"])
        gap = found["differences"][best][metric]
        low, high = sorted((sign * gap["low"], sign * gap["high"]))
        stands = "ahead of" if low > 0 else "behind" if high < 0 else "level with"
        first = "best" if sign * gap["value"] >= 0 else "not best"
        told[metric] = (
            f"{words}: {first}; {stands} {best}, the best peer ({gap['value']:+.4f}, {gap['low']:+.4f} to "
            f"{gap['high']:+.4f})."
        )
    quickest = min(found["seconds"][peer] for peer in found["trials"])
    times = quickest / found["seconds"][OURS]
    told["seconds"] = f"Training: {times:.{0 if times >= 1 else 1}f} times as quick as the quickest peer."
    return told


def summary(all_found: list[dict[str, Any]]) -> str:
    """Return one line per set: best, level, or behind."""
    lines = [f"| | {' | '.join(METRICS.values())} | times as quick |", "|---|" + "---|" * (len(METRICS) + 1)]
    for found in all_found:
        told = verdict(found)
        cells = [re.split(r": |\(|, the", told[metric])[1] for metric in METRICS]
        lines.append(f"| {found['set']} | {' | '.join(cells)} | {told['seconds'].split()[1]} |")
    return "\n".join(lines)


def ranks(all_found: list[dict[str, Any]]) -> str:
    """Return each scorer's mean rank over the sets, 1 for the best, per metric."""
    scorers = [OURS, *all_found[0]["trials"]]
    lines = [
        f"| mean rank of {len(scorers)} | {' | '.join(METRICS.values())} |",
        "|---|" + "---|" * len(METRICS),
    ]
    for scorer in scorers:
        cells = []
        for metric in METRICS:
            sign = 1 if metric in ("log_loss", "calibration_error") else -1
            places = []
            for found in all_found:
                values = {
                    one: sign * found["figures"]["model" if one == OURS else one][metric]["value"]
                    for one in scorers
                }
                places.append(1 + sum(value < values[scorer] for value in values.values()))
            cells.append(f"{sum(places) / len(places):.1f}")
        lines.append(f"| {scorer} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page() -> None:
    """Write the tables of every set measured so far into the page."""
    files = [FOLDER / f"{name}.json" for name in SETS]
    all_found = [json.loads(file.read_text()) for file in files if file.exists()]
    write_block("summary", f"{summary(all_found)}\n\n{ranks(all_found)}")
    write_block("quality", "\n".join(table(found) for found in all_found).lstrip("\n"))
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)


def write_block(name: str, text: str) -> None:
    """Write what was measured between its markers in the page."""
    marked = re.compile(rf"<!-- output: {name} -->.*?<!-- end -->", re.DOTALL)
    block = f"<!-- output: {name} -->\n{text}\n<!-- end -->"
    PAGE.write_text(marked.sub(lambda _: block, PAGE.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
