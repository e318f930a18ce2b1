"""Write a world as a company would hand it over: its own file names, columns and formats, and counted defects."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.files import write_whole
from churnrisk.sample.world import World, make_world

Raw = dict[str, pd.DataFrame]

_ODD_NAMES = (
    "MÃ¼ller & SÃ¶hne GmbH",
    'The "Good" Company, Inc',
    "株式会社サンプル",
    "Łukasz Ćwik Żegluga",
    "<b>Bold</b> Claims Ltd",
    "=HYPERLINK Holdings",
    "Null",
    "  Spaced Out  Studios ",
)

_FILES = {
    "accounts": "crm_accounts.csv",
    "events": "usage_events.csv.gz",
    "complaints": "tickets.csv",
    "subscriptions": "subscriptions.csv",
    "surveys": "nps.csv",
    "attributes": "owner_history.csv",
}
_COLUMNS = {
    "accounts": {
        "account_id": "AccountID", "name": "Account Name", "signed_up_at": "Created", "segment": "Segment",
        "industry": "Industry", "owner": "CSM",
    },
    "events": {
        "account_id": "AccountID", "occurred_at": "Timestamp", "feature": "Module", "user_id": "UserID",
        "recorded_at": "LoadedAt",
    },
    "complaints": {
        "account_id": "Account", "opened_at": "Opened", "first_response_at": "First Reply",
        "resolved_at": "Closed", "severity": "Priority", "category": "Topic", "csat": "CSAT",
        "recorded_at": "Logged",
    },
    "subscriptions": {
        "account_id": "customer", "started_at": "start_date", "ended_at": "end_date", "plan": "plan_name",
        "mrr": "mrr_eur", "seats": "seat_count", "renewal_at": "next_renewal",
    },
    "surveys": {
        "account_id": "account", "answered_at": "responded_on", "score": "score", "kind": "survey",
    },
    "attributes": {
        "account_id": "acct", "valid_from": "since", "owner": "csm", "contacts": "known_contacts",
    },
}  # fmt: skip
#: By table: the raw column that its spoiled rows must have, if any, and per mistake the column, its kind, how many rows
#: have it, and what their values become.
_MISTAKES: dict[str, tuple[str, tuple[tuple[str, str, int, Callable[[Any], Any]], ...]]] = {
    "accounts": ("", (
        ("name", "odd_text", len(_ODD_NAMES), lambda names: list(_ODD_NAMES[: len(names)])),
    )),
    "complaints": ("Closed", (
        ("resolved_at", "end_before_start", 6, lambda _: "2019-12-31 12:00:00"),
        ("resolved_at", "future_date", 2, lambda _: "2062-01-15 09:00:00"),
        ("resolved_at", "bad_date", 4, lambda _: "31.02.2026"),
        ("account_id", "padded_id", 40, lambda ids: "  " + ids + " "),
        ("severity", "mixed_case", 120, lambda words: words.str.upper()),
    )),
    "subscriptions": ("end_date", (
        ("mrr", "negative_money", 4, lambda money: -money),
    )),
    "surveys": ("", (
        ("answered_at", "bad_date", 3, lambda _: "n/a"),
    )),
    "events": ("", (
        ("account_id", "unknown_account", 12, lambda _: "TEST-0001"),
        ("occurred_at", "bad_date", 4, lambda _: "0000-00-00 00:00:00"),
        ("occurred_at", "future_date", 3, lambda _: "2062-03-01 08:00:00"),
        ("user_id", "missing", 150, lambda _: None),
        ("feature", "missing", 60, lambda _: None),
    )),
}  # fmt: skip
_DUPLICATES = 25
_DATE_ONLY = {"signed_up_at", "started_at", "ended_at", "renewal_at", "valid_from"}
_SEVERITY_WORDS = {1: "low", 2: "medium", 3: "high", 4: "critical"}
_FULL_WINDOWS_DAYS = 90


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of mistake in one raw column (contract names), and how many rows have it."""

    table: str
    column: str
    kind: str
    count: int


def write_world(world: World, directory: str | Path, *, defects: bool = True) -> tuple[Defect, ...]:
    """Write raw tables, the ``churnrisk.toml`` that maps them, and ``truth.parquet``, which it does not map.

    Returns the ``defects`` that were put in, drawn from the world's own seed. Files are replaced, each whole or not at
    all.
    """
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder for the sample, found the file {folder}; name another one")
    raw = {name: _as_exported(name, getattr(world, name)) for name in _FILES}
    _add_crm_status(raw, world)
    found: tuple[Defect, ...] = ()
    if defects:
        raw, found = _spoil(np.random.default_rng([world.seed, 1]), raw)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in raw.items():
        content = table.to_csv(index=False, lineterminator="\n").encode("utf-8")
        if _FILES[name].endswith(".gz"):
            # no clock in the file: same seed, same bytes
            content = gzip.compress(content, compresslevel=9, mtime=0)
        write_whole(folder / _FILES[name], content)
    write_whole(folder / "churnrisk.toml", _project_file(world).encode())
    write_whole(
        folder / "truth.parquet", lambda file: world.truth.to_parquet(file, index=False, compression="zstd")
    )
    return found


def sample_folder(directory: str | Path, *, seed: int = 7, accounts: int = 2000, months: int = 18) -> Path:
    """Return a project folder with a sample world, made unless there is a project in it already."""
    folder = Path(directory)
    if not (folder / "churnrisk.toml").is_file():
        write_world(make_world(seed=seed, accounts=accounts, months=months), folder)
    return folder


def _as_exported(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text under the company's column names."""
    exported = table.copy()
    if name == "complaints":
        exported["severity"] = exported["severity"].map(_SEVERITY_WORDS)
    if name == "subscriptions":
        # the company writes the last day of a term, not the day after it
        exported["ended_at"] -= pd.Timedelta(days=1)
    for column in exported.columns:
        if pd.api.types.is_datetime64_any_dtype(exported[column]):
            exported[column] = _as_text(exported[column], date_only=column in _DATE_ONLY)
    return exported.rename(columns=_COLUMNS[name])


def _as_text(moments: pd.Series[Any], *, date_only: bool) -> pd.Series[Any]:
    # numpy is some hundred times faster than strftime
    values = moments.to_numpy(dtype="datetime64[s]")
    text = np.datetime_as_string(values, unit="D" if date_only else "s")
    written = pd.Series(text, index=moments.index, dtype="str").str.replace("T", " ")
    return written.where(moments.notna(), None)


def _add_crm_status(raw: Raw, world: World) -> None:
    """Add what a CRM shows today and a model must not see: who is still a customer."""
    running = world.subscriptions.loc[world.subscriptions["ended_at"].isna(), "account_id"]
    customer = world.accounts["account_id"].isin(running)
    raw["accounts"]["Status"] = np.where(customer, "Customer", "Former customer")


def _project_file(world: World) -> str:
    template = Template(files("churnrisk.sample").joinpath("project.toml").read_text(encoding="utf-8"))
    periods = (world.end - world.start).days // 30
    windows_are_full = min(_FULL_WINDOWS_DAYS, 30 * (periods // 4))
    first = world.start + pd.Timedelta(days=windows_are_full)
    columns = {}
    for name, mapping in _COLUMNS.items():
        width = max(map(len, mapping))
        columns[f"{name}_columns"] = "\n".join(
            f'{ours:<{width}} = "{theirs}"' for ours, theirs in mapping.items()
        )
    return template.substitute(
        first=f"{first:%Y-%m-%d}", seed=world.seed, accounts=len(world.accounts), **columns
    )


def _spoil(rng: np.random.Generator, raw: Raw) -> tuple[Raw, tuple[Defect, ...]]:
    """Return a copy of the raw tables with defects that must be counted but not block, and what they are.

    Each kind takes rows of its own within a table, so that counts do not overlap. Small tables get fewer.
    """
    spoiled = {name: table.copy() for name, table in raw.items()}
    defects = []
    for table, (required, mistakes) in _MISTAKES.items():
        rows = spoiled[table]
        left = rng.permutation(np.nonzero(rows[required].notna())[0] if required else np.arange(len(rows)))
        for column, kind, count, new in mistakes:
            taken, left = left[:count], left[count:]
            own = _COLUMNS[table][column]
            values = rows[own].copy()
            values.iloc[taken] = new(values.iloc[taken])
            rows[own] = values
            defects.append(Defect(table, column, kind, len(taken)))
    twice = left[:_DUPLICATES]  # of the events, the last table
    order = np.sort(np.concatenate([np.arange(len(spoiled["events"])), twice]))
    spoiled["events"] = spoiled["events"].iloc[order].reset_index(drop=True)
    defects.append(Defect("events", "", "duplicate_row", len(twice)))
    return spoiled, tuple(defect for defect in defects if defect.count)
