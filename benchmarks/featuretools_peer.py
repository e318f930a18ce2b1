"""Featuretools with cut-off times beside our features: the signals of the notebook from the same files, and equal.

*dfs* is featuretools as its own guide has it: a training window per `dfs`, its own primitives, and of these only what
the window needs. *tuned* is the least time that we got it down to: all windows in one `calculate_feature_matrix`, no
primitive in Python, days numbered beforehand. Either is handed an entity set that is ready, with categories for
accounts, where ours reads Parquet within its time and computes the whole catalogue; "reading" counts that too. It runs
in one process: with two (`n_jobs=2`) a tuned SCORE of S took 13 times as long, a TRAIN 3.4 times, a `dfs` SCORE 2.9.

usage: python benchmarks/featuretools_peer.py PYTHON [S|M] [--repeats N] [--styles dfs tuned] [--json]
    PYTHON   interpreter of an environment with benchmarks/featuretools_peers.txt (`make bench` makes one)
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import features
import generate
import notebook
from generate import PEER_TABLES, TABLES

if TYPE_CHECKING:
    import featuretools as ft
    import numpy as np
    import pandas as pd

FOLDER = generate.FOLDER / "featuretools"
STYLES = ("dfs", "tuned")
#: What is counted in which windows of days; 60 is what the trend of the last 30 needs.
WINDOWS = {
    "events": (7, 30, 60, 90),
    "features": (7, 30, 90),
    "active_days": (7, 30, 90, 180, 365),
    "users": (30,),
    "complaints": (30, 90),
}
Figures = dict[str, dict[str, float]]


def main() -> None:
    """Measure ours and theirs, check that they are equal, and print ratios."""
    asked = _asked()
    found = measure(asked.size, asked.python, repeats=asked.repeats, styles=asked.styles)
    if asked.json:
        print(json.dumps(found))
        return
    head = f"size {asked.size}, equal in {len(notebook.FEATURES)} signals"
    print(features.table(found, head, floors=("score", "train")))


def measure(size: str, python: str, *, repeats: int, styles: tuple[str, ...] = STYLES) -> Figures:
    """Return the medians of each job in fresh processes; theirs of many dates, which takes minutes, is done once."""
    found = features.measure(size, ("score", "train"), repeats=repeats)
    for job in ("score", "train"):
        ours = _ours(size, job)
        for style in styles:
            runs = [_theirs(python, style, job, size) for _ in range(repeats if job == "score" else 1)]
            check(ours, FOLDER / f"{size} {style} {job}.parquet")
            for name, figures in runs[0].items():
                found[name] = {kind: statistics.median(run[name][kind] for run in runs) for kind in figures}
    return found


def check(ours: pd.DataFrame, file: Path) -> None:
    """Raise AssertionError unless theirs, in the file, has the rows and the values of ours."""
    import pandas as pd

    theirs = pd.read_parquet(file).set_index(["account_id", "as_of"]).sort_index()
    pd.testing.assert_frame_equal(ours, theirs, check_index_type=False, rtol=1e-12, obj=file.stem)


def _ours(size: str, job: str) -> pd.DataFrame:
    from churnrisk.features import FeatureConfig, build_features, select_features
    from churnrisk.snapshots import ChurnConfig, build_panel
    from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

    with Engine(EngineConfig(memory_limit="1GB"), base=generate.FOLDER / size) as engine:
        tables = open_tables(engine, {name: TableConfig(path=f"{name}.parquet") for name in TABLES})
        build_panel(tables, ChurnConfig(), features.dates_of(job), data_end=features.LAST)
        chosen = select_features(FeatureConfig(), tables.available)
        return build_features(tables, chosen, labelled_only=False).X[list(notebook.FEATURES)].sort_index()


def _theirs(python: str, style: str, job: str, size: str) -> Figures:
    command = [python, __file__, "--job", style, job, size]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def run_job(style: str, job: str, size: str) -> Figures:
    """Compute theirs in this process, write the matrix, and return its figures without and with reading the files."""
    # featuretools and what it stands on warn of their own use of pandas
    warnings.simplefilter("ignore")
    tuned = style == "tuned"
    ready: list[ft.EntitySet] = []
    read, read_cpu = features.timed(lambda: ready.append(_entities(generate.FOLDER / size, tuned)))
    entities, cutoffs = ready[0], _cutoffs(ready[0], job)
    parts: list[pd.DataFrame] = []
    seconds, cpu = features.timed(lambda: parts.extend((_tuned if tuned else _dfs)(entities, cutoffs)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    FOLDER.mkdir(parents=True, exist_ok=True)
    _in_our_terms(parts, tuned).to_parquet(FOLDER / f"{size} {style} {job}.parquet", index=False)
    return {
        f"{style} {job}": {"seconds": seconds, "cpu": cpu, "megabytes": peak},
        f"{style} {job}, reading": {"seconds": seconds + read, "cpu": cpu + read_cpu, "megabytes": peak},
    }


def _entities(folder: Path, tuned: bool) -> ft.EntitySet:
    """Return accounts with their events and complaints; tuned, with the numbers of days that it aggregates."""
    import featuretools as ft
    import pandas as pd

    accounts, events, complaints = (pd.read_parquet(folder / f"{name}.parquet") for name in PEER_TABLES)
    keys = pd.CategoricalDtype(sorted(accounts["account_id"]))
    for frame in (accounts, events, complaints):
        frame["account_id"] = frame["account_id"].astype(keys)
    complaints["hours"] = (complaints["resolved_at"] - complaints["opened_at"]).dt.total_seconds() / 3600
    types = {"account_id": "Categorical", "user_id": "Categorical", "feature": "Categorical"}
    if tuned:
        complaints["day_number"] = _day_number(complaints["opened_at"])
        events["day_number"] = _day_number(events["occurred_at"])
        events["day"], types["day"] = events["day_number"], "Categorical"
    entities = ft.EntitySet()
    entities.add_dataframe(
        accounts,
        "accounts",
        "account_id",
        time_index="signed_up_at",
        logical_types={"account_id": "Categorical"},
    )
    entities.add_dataframe(
        events, "events", "event_id", make_index=True, time_index="occurred_at", logical_types=types
    )
    entities.add_dataframe(
        complaints,
        "complaints",
        "complaint_id",
        make_index=True,
        time_index="opened_at",
        # a resolution is unknown before it happens
        secondary_time_index={"resolved_at": ["hours"]},
        logical_types={"account_id": "Categorical", "severity": "Integer"},
    )
    for child in ("events", "complaints"):
        entities.add_relationship("accounts", "account_id", child, "account_id")
    if not tuned:
        entities.add_last_time_indexes()
    return entities


def _day_number(times: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    return times.to_numpy().astype("datetime64[D]").astype("int64")


def _cutoffs(entities: ft.EntitySet, job: str) -> pd.DataFrame:
    """Return one row per account and date, of the accounts that had signed up."""
    import pandas as pd

    accounts = entities["accounts"]
    return pd.concat(
        [
            pd.DataFrame(
                {"account_id": accounts.loc[accounts["signed_up_at"] < date, "account_id"], "time": date}
            )
            for date in map(pd.Timestamp, features.dates_of(job))
        ],
        ignore_index=True,
    )


def _dfs(entities: ft.EntitySet, cutoffs: pd.DataFrame) -> list[pd.DataFrame]:
    """Return a matrix for each training window, and one for all time before the cut-off."""
    import featuretools as ft

    windows = sorted({days for windows in WINDOWS.values() for days in windows})
    matrices = []
    for days in (*windows, None):
        asked = _ever(entities, tuned=False)
        if days is not None:
            asked = [_in_window(entities, what, days) for what, windows in WINDOWS.items() if days in windows]
        matrix, _ = ft.dfs(
            entityset=entities,
            target_dataframe_name="accounts",
            cutoff_time=cutoffs,
            cutoff_time_in_index=True,
            # [as_of - days, as_of), as ours
            include_cutoff_time=False,
            training_window=f"{days} days" if days else None,
            agg_primitives=[],
            trans_primitives=[],
            seed_features=asked,
        )
        matrices.append(matrix[[feature.get_name() for feature in asked]])
    return matrices


def _tuned(entities: ft.EntitySet, cutoffs: pd.DataFrame) -> list[pd.DataFrame]:
    """Return one matrix, in which each feature has its own window."""
    import featuretools as ft

    windows = ((what, days) for what, windows in WINDOWS.items() for days in windows)
    asked = [_in_window(entities, what, days, tuned=True) for what, days in windows]
    return [
        ft.calculate_feature_matrix(
            [*asked, *_ever(entities, tuned=True)],
            entities,
            cutoff_time=cutoffs,
            cutoff_time_in_index=True,
            include_cutoff_time=False,
        )
    ]


def _in_window(entities: ft.EntitySet, what: str, days: int, *, tuned: bool = False) -> ft.Feature:
    """Return what is counted in a window, which is the feature's own when tuned and the call's otherwise."""
    import featuretools as ft
    from featuretools.primitives import Count, NumUnique, NUniqueDays

    events, complaints = entities["events"].ww, entities["complaints"].ww
    column, primitive = {
        "events": (events["event_id"], Count),
        "features": (events["feature"], NumUnique),
        "active_days": (events["day"], NumUnique) if tuned else (events["occurred_at"], NUniqueDays),
        "users": (events["user_id"], NumUnique),
        "complaints": (complaints["complaint_id"], Count),
    }[what]
    window = f"{days} days" if tuned else None
    feature = ft.Feature(column, parent_dataframe_name="accounts", primitive=primitive, use_previous=window)
    return feature.rename(f"{what}_{days}")


def _ever(entities: ft.EntitySet, *, tuned: bool) -> list[ft.Feature]:
    """Return what looks at all time before the cut-off."""
    import featuretools as ft
    from featuretools.primitives import Count, IsNull, Max, Mean, TimeSinceLast

    events, complaints = entities["events"].ww, entities["complaints"].ww
    is_open = ft.Feature(complaints["resolved_at"], primitive=IsNull)
    last = Max if tuned else TimeSinceLast(unit="days")
    asked = {
        "days_since_last_event": (events["day_number" if tuned else "occurred_at"], last, None),
        "days_since_complaint": (complaints["day_number" if tuned else "opened_at"], last, None),
        "open_complaints": (complaints["complaint_id"], Count, is_open),
        "worst_open_severity": (complaints["severity"], Max, is_open),
        "resolution_hours": (complaints["hours"], Mean, None),
    }
    return [
        ft.Feature(column, parent_dataframe_name="accounts", primitive=primitive, where=where).rename(name)
        for name, (column, primitive, where) in asked.items()
    ]


def _in_our_terms(parts: list[pd.DataFrame], tuned: bool) -> pd.DataFrame:
    """Return one row per (account_id, as_of): none is 0, days are those of the calendar."""
    import numpy as np
    import pandas as pd

    matrix = pd.concat(parts, axis=1).astype("float64").rename_axis(["account_id", "as_of"])
    as_of = matrix.index.get_level_values("as_of")
    for name in ("days_since_last_event", "days_since_complaint"):
        matrix[name] = _day_number(as_of) - matrix[name] if tuned else np.ceil(matrix[name])
    unknown = ("days_since_last_event", "days_since_complaint", "resolution_hours")
    counts = [name for name in matrix if name not in unknown]
    matrix[counts] = matrix[counts].fillna(0)
    both, last = matrix["events_60"], matrix["events_30"]
    matrix["events_trend_30"] = ((2 * last - both) / both).where(both > 0)
    found = matrix[list(notebook.FEATURES)].reset_index()
    return found.astype({"account_id": "str"})


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("python", metavar="PYTHON")
    parser.add_argument("size", nargs="?", choices=("S", "M"), default="S")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=STYLES)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        print(json.dumps(run_job(*sys.argv[2:])))
    else:
        main()
