"""A good company's export, broken in one way at a time: the list stays the same, or a line names the cause."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import churnrisk as cr
from churnrisk.errors import ChurnRiskError
from churnrisk.features import build_features, select_features
from churnrisk.snapshots import build_panel
from churnrisk.training import checked_tables, snapshot_dates

NOW = datetime(2026, 12, 1)
END = datetime(2026, 11, 1)
START = datetime(2025, 9, 1)
ACCOUNTS = 60
#: `BREAKAGES=300` runs as many as the figure in docs/quality.md.
COUNT = int(os.environ.get("BREAKAGES", "32"))
TOML = """
[tables.accounts]
path = "accounts.csv"
[tables.events]
path = "events.csv"
[tables.complaints]
path = "complaints.csv"
[tables.subscriptions]
path = "subscriptions.csv"
[tables.surveys]
path = "surveys.csv"
[churn]
definition = "contractual"
[snapshots]
every_days = 30
"""
Frames = dict[str, pd.DataFrame]


@cache
def good() -> Frames:
    """Return the tables of a company in which everything is as it should be, all columns as text."""
    rng = np.random.default_rng(5)
    ids = [f"K-{n:04}" for n in range(1, ACCOUNTS + 1)]
    days = (END - START).days
    lost = {account: int(rng.integers(120, days - 20)) for account in ids[::5]}
    events, complaints, surveys, terms = [], [], [], []
    for n, account in enumerate(ids):
        until = lost.get(account, days)
        active = np.flatnonzero(rng.random(until) < rng.uniform(0.2, 0.8))
        for day in active:
            moment = START + timedelta(
                days=int(day), hours=int(rng.integers(7, 20)), minutes=int(rng.integers(60))
            )
            events.append((account, f"{moment}", f"f{rng.integers(6)}", f"u{n}-{rng.integers(3)}"))
        for day in np.flatnonzero(rng.random(until) < 0.02):
            opened = START + timedelta(days=int(day), hours=9)
            closed = opened + timedelta(days=int(rng.integers(1, 20)))
            severity = ("low", "medium", "high", "critical")[int(rng.integers(4))]
            complaints.append((account, f"{opened}", f"{closed}" if closed < END else "", severity))
        for day in np.flatnonzero(rng.random(until) < 0.015):
            answered = START + timedelta(days=int(day), hours=11)
            surveys.append((account, f"{answered}", str(rng.integers(3, 11))))
        begin = START - timedelta(days=int(rng.integers(30, 300)))
        ended = f"{START + timedelta(days=lost[account])}" if account in lost else ""
        terms.append((f"S{n}", account, f"{begin}", ended, f"{rng.integers(50, 900)}.50"))
    text = {
        "accounts": (["account_id", "name"], [(account, f"Firm {account}") for account in ids]),
        "events": (
            ["account_id", "occurred_at", "feature", "user_id"],
            sorted(events, key=lambda row: row[1]),
        ),
        "complaints": (
            ["account_id", "opened_at", "resolved_at", "severity"],
            sorted(complaints, key=lambda row: row[1]),
        ),
        "surveys": (["account_id", "answered_at", "score"], sorted(surveys, key=lambda row: row[1])),
        "subscriptions": (["subscription_id", "account_id", "started_at", "ended_at", "mrr"], terms),
    }
    return {
        name: pd.DataFrame(rows, columns=columns, dtype="string") for name, (columns, rows) in text.items()
    }


TIME = {
    "events": "occurred_at",
    "complaints": "opened_at",
    "surveys": "answered_at",
    "subscriptions": "started_at",
}


@dataclass(frozen=True)
class Broken:
    """The tables that a breakage changed, the one it is about, and the words one of which a line about it holds."""

    changed: Frames
    table: str
    words: tuple[str, ...]


class Choice:
    """What a breakage draws from: one seed gives the same breakage."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def of(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def accounts(self, tables: Frames, low: int, high: int) -> set[str]:
        return set(self.rng.choice(tables["accounts"]["account_id"], self.between(low, high), replace=False))


def change(table: str, frame: pd.DataFrame, *words: str, **columns: Any) -> Broken:
    return Broken({table: frame.assign(**columns)}, table, words)


def respelt(frame: pd.DataFrame, form: Callable[[str], str], some: set[str]) -> pd.Series:
    return frame["account_id"].map(lambda text: form(text) if text in some else text).astype("string")


def stop(tables: Frames, draw: Choice) -> Broken:
    name, days = draw.of(("events", draw.between(14, 150)), ("complaints", draw.between(60, 150)))
    until = f"{END - timedelta(days=days)}"
    kept = tables[name][tables[name][TIME[name]] < until]
    closed = (
        {"resolved_at": kept["resolved_at"].where(kept["resolved_at"] < until, "")}
        if name == "complaints"
        else {}
    )
    return change(name, kept, "end on", **closed)


def hole(tables: Frames, draw: Choice) -> Broken:
    start = START + timedelta(days=draw.between(60, 300))
    end = start + timedelta(days=draw.between(35, 80))
    time = tables["events"]["occurred_at"]
    return change("events", tables["events"][(time < f"{start}") | (time > f"{end}")], "no row between")


def stray(tables: Frames, draw: Choice) -> Broken:
    row = tables["events"].iloc[[0]]
    row = row.assign(occurred_at=draw.of("2026-11-25 10:00:00", f"20{draw.between(10, 24)}-01-01 00:00:00"))
    return change("events", pd.concat([tables["events"], row]), "far from all")


def respell(tables: Frames, draw: Choice) -> Broken:
    name = draw.of("events", "complaints", "subscriptions", "surveys")
    form = draw.of(str.lower, lambda text: text.replace("-", "- "), lambda text: f" {text.lower()} ")
    ids = respelt(tables[name], form, draw.accounts(tables, 5, 25))
    return change(name, tables[name], "spelt differently", account_id=ids)


def write_numbers(tables: Frames, draw: Choice) -> Broken:
    bare = {name: frame.assign(account_id=frame["account_id"].str[2:]) for name, frame in tables.items()}
    name = draw.of("events", "subscriptions")
    form = draw.of(lambda text: str(int(text)), lambda text: f"{int(text)}.0", lambda text: f"{int(text):08}")
    changed = bare[name].assign(account_id=bare[name]["account_id"].map(form).astype("string"))
    return Broken({**bare, name: changed}, name, ("spelt differently", "not in accounts"))


def lose_ids(tables: Frames, draw: Choice) -> Broken:
    name = draw.of("events", "subscriptions")
    ids = respelt(tables[name], lambda text: f"crm/{int(text[2:]) * 7 % 997}", draw.accounts(tables, 3, 25))
    return change(name, tables[name], "have no row", "not in accounts", account_id=ids)


def rescale(tables: Frames, draw: Choice) -> Broken:
    low, high = draw.of((1, 5), (1, 7), (0, 5), (0, 100))
    score = low + tables["surveys"]["score"].astype(float) / 10 * (high - low)
    return change(
        "surveys", tables["surveys"], "scale", "0-10", score=score.round().astype(int).astype("string")
    )


def number_severities(tables: Frames, draw: Choice) -> Broken:
    order = {"critical": "1", "high": "2", "medium": "3", "low": "4"}
    severity = tables["complaints"]["severity"].map(order).astype("string")
    return change("complaints", tables["complaints"], "which end", severity=severity)


def plan_ends(tables: Frames, draw: Choice) -> Broken:
    ends = tables["subscriptions"]["ended_at"]
    planned = ends.mask(ends == "", f"{END + timedelta(days=draw.between(2, 28))}")
    return change("subscriptions", tables["subscriptions"], "planned", ended_at=planned)


def inclusive_ends(tables: Frames, _: Choice) -> Broken:
    """Write ends as the last day of a term instead of the midnight after it: nothing may change."""
    ends = tables["subscriptions"]["ended_at"]
    last_day = pd.to_datetime(ends.mask(ends == "")) - pd.Timedelta(days=1)
    text = last_day.dt.strftime("%Y-%m-%d").fillna("").astype("string")
    return change("subscriptions", tables["subscriptions"], ended_at=text)


def versions(tables: Frames, draw: Choice) -> Broken:
    terms = tables["subscriptions"]
    stale = terms.sample(frac=0.5, random_state=draw.between(0, 1000)).assign(ended_at="", mrr="10.0")
    both = pd.concat([terms.assign(_fivetran_active="true"), stale.assign(_fivetran_active="false")])
    dropped = draw.of([], ["_fivetran_active"])
    return change(
        "subscriptions", both.drop(columns=dropped), "version", "subscription_id", "_fivetran_active"
    )


def trials(tables: Frames, draw: Choice) -> Broken:
    terms = tables["subscriptions"]
    status = terms["ended_at"].map(lambda text: "canceled" if text else "active").astype("string")
    terms = terms.assign(status=status)
    begin = START + timedelta(days=draw.between(100, 300))
    tried = terms.sample(20, random_state=draw.between(0, 1000)).assign(
        subscription_id=[f"T{n}" for n in range(20)],
        started_at=f"{begin}",
        ended_at=f"{begin + timedelta(days=14)}",
        status=draw.of("trialing", "incomplete_expired"),
    )
    return change("subscriptions", pd.concat([terms, tried]), "trial", "incomplete", "no customer")


def other_dates(tables: Frames, draw: Choice) -> Broken:
    name = draw.of(*TIME)
    time = pd.to_datetime(tables[name][TIME[name]])
    seconds = (time - pd.Timestamp(0)) // pd.Timedelta("1s")
    text = draw.of(
        *(time.dt.strftime(form) for form in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y")),
        *((seconds * times).astype("string") for times in (1, 1000)),
    )
    return change(name, tables[name], "date", **{TIME[name]: text})


def other_numbers(tables: Frames, draw: Choice) -> Broken:
    mrr = tables["subscriptions"]["mrr"]
    text = draw.of(
        mrr.str.replace(".", ","), mrr.str.replace(".50", ".000"), "1." + mrr.str.replace(".50", ".000")
    )
    return change("subscriptions", tables["subscriptions"], "number", "thousands", mrr=text)


def double(tables: Frames, draw: Choice) -> Broken:
    name = draw.of("events", "complaints", "subscriptions", "surveys")
    return change(name, pd.concat([tables[name]] * 2), "duplicated", "subscription_id", "version")


def words_for_unknown(tables: Frames, draw: Choice) -> Broken:
    name, column = draw.of(
        ("complaints", "resolved_at"), ("subscriptions", "ended_at"), ("subscriptions", "mrr")
    )
    filled = tables[name][column]
    word = draw.of("N/A", "-", "none", "unknown")
    return change(
        name, tables[name], "not a", **{column: word if column == "mrr" else filled.mask(filled == "", word)}
    )


BREAKAGES: tuple[Callable[[Frames, Choice], Broken], ...] = (
    stop, hole, stray, respell, write_numbers, lose_ids, rescale, number_severities, plan_ends, inclusive_ends,
    versions, trials, other_dates, other_numbers, double, words_for_unknown,
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of an export: every value of the panel and of the list, and the lines that were said."""

    values: pd.DataFrame | None
    lines: tuple[str, ...]


def outcome(folder: Path, tables: Frames) -> Outcome:
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "churnrisk.toml").write_text(TOML)
    project = cr.load(folder, engine={"threads": 1}).settings
    try:
        with checked_tables(project, now=NOW, progress=lambda _: None) as checked:
            lines = tuple(f"{one.table}: {one.rule} {one.fix}" for one in checked.violations)
            dates = [*snapshot_dates(checked, project), checked.span.end]
            build_panel(checked.tables, project.churn, dates, data_end=checked.span.end)
            features = select_features(project.features, checked.tables.available)
            frame = build_features(checked.tables, features, key_features=(), labelled_only=False)
            values = frame.X.assign(churned=frame.churned).sort_index()
            return Outcome(values, lines)
    except ChurnRiskError as error:
        return Outcome(None, (str(error),))


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    found = outcome(tmp_path_factory.mktemp("good"), good())
    assert found.values is not None, found.lines
    assert found.lines == ()
    return found.values


@pytest.mark.parametrize("number", range(COUNT))
def test_no_list_differs_without_a_line_that_names_the_cause(
    number: int, untouched: pd.DataFrame, tmp_path: Path
) -> None:
    breakage = BREAKAGES[number % len(BREAKAGES)]
    tables = good()
    broken = breakage(tables, Choice(number))
    found = outcome(tmp_path, tables | broken.changed)
    if found.values is not None and untouched.equals(found.values):
        return
    about = [line for line in found.lines if broken.table in line]
    assert any(word in line for word in broken.words for line in about), (breakage.__name__, found.lines)
