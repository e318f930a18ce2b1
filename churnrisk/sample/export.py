"""Writes a world as a company would hand it over: its own file names, column names and formats."""

from __future__ import annotations

import gzip
import os
from importlib.resources import files
from io import StringIO
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.sample.defects import Defect, Raw, spoil
from churnrisk.sample.world import World, make_world

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
        "account_id": "AccountID",
        "name": "Account Name",
        "signed_up_at": "Created",
        "segment": "Segment",
        "industry": "Industry",
        "owner": "CSM",
    },
    "events": {
        "account_id": "AccountID",
        "occurred_at": "Timestamp",
        "feature": "Module",
        "user_id": "UserID",
        "recorded_at": "LoadedAt",
    },
    "complaints": {
        "account_id": "Account",
        "opened_at": "Opened",
        "first_response_at": "First Reply",
        "resolved_at": "Closed",
        "severity": "Priority",
        "category": "Topic",
        "csat": "CSAT",
        "recorded_at": "Logged",
    },
    "subscriptions": {
        "account_id": "customer",
        "started_at": "start_date",
        "ended_at": "end_date",
        "plan": "plan_name",
        "mrr": "mrr_eur",
        "seats": "seat_count",
        "renewal_at": "next_renewal",
    },
    "surveys": {
        "account_id": "account",
        "answered_at": "responded_on",
        "score": "score",
        "kind": "survey",
    },
    "attributes": {
        "account_id": "acct",
        "valid_from": "since",
        "owner": "csm",
        "contacts": "known_contacts",
    },
}
_DATE_ONLY = {"signed_up_at", "started_at", "ended_at", "renewal_at", "valid_from"}
_SEVERITY_WORDS = {1: "low", 2: "medium", 3: "high", 4: "critical"}
_FULL_WINDOWS_DAYS = 90


def write_world(world: World, directory: str | Path, *, defects: bool = True) -> tuple[Defect, ...]:
    """Write raw tables, the ``churnrisk.toml`` that maps them, and ``truth.parquet``, which it does not map.

    Parameters
    ----------
    world : World
        What to write.
    directory : str or Path
        Where to; made when absent. Files of the same names are replaced, each whole or not at all.
    defects : bool
        Whether to put in the mistakes of a real export, from the world's own seed.

    Returns
    -------
    tuple of Defect
        What was put in; empty without ``defects``.

    Raises
    ------
    UsageError
        When ``directory`` is a file.
    """
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder for the sample, found the file {folder}; name another one")
    raw = {name: _as_exported(name, getattr(world, name)) for name in _FILES}
    _add_crm_status(raw, world)
    found: tuple[Defect, ...] = ()
    if defects:
        raw, found = spoil(np.random.default_rng([world.seed, 1]), raw)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in raw.items():
        _replace(folder / _FILES[name], _csv(table))
    _replace(folder / "churnrisk.toml", _project_file(world).encode())
    temporary = folder / ".truth.parquet.part"
    world.truth.to_parquet(temporary, index=False, compression="zstd")
    os.replace(temporary, folder / "truth.parquet")
    return found


def sample_folder(directory: str | Path, *, seed: int = 7, accounts: int = 2000, months: int = 18) -> Path:
    """Return a project folder with a sample world, made unless there is a project in it already.

    Parameters
    ----------
    directory : str or Path
    seed, accounts, months : int
        Of :func:`churnrisk.sample.make_world`.

    Raises
    ------
    UsageError
        When ``directory`` is a file.
    """
    folder = Path(directory)
    if not (folder / "churnrisk.toml").is_file():
        write_world(make_world(seed=seed, accounts=accounts, months=months), folder)
    return folder


def _as_exported(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text under the company's column names."""
    exported = table.copy()
    if name == "complaints":
        exported["severity"] = exported["severity"].map(_SEVERITY_WORDS)
    for column in exported.columns:
        if pd.api.types.is_datetime64_any_dtype(exported[column]):
            exported[column] = _as_text(exported[column], date_only=column in _DATE_ONLY)
    return exported.rename(columns=_COLUMNS[name])


def _as_text(moments: pd.Series[Any], *, date_only: bool) -> pd.Series[Any]:
    # numpy writes a million timestamps in the time that strftime takes for a few thousand
    values = moments.to_numpy(dtype="datetime64[s]")
    text = np.datetime_as_string(values, unit="D" if date_only else "s")
    written = pd.Series(text, index=moments.index, dtype="str").str.replace("T", " ")
    return written.where(moments.notna(), None)


def _add_crm_status(raw: Raw, world: World) -> None:
    """Add what a CRM shows today and a model must not see: who is still a customer."""
    running = world.subscriptions.loc[world.subscriptions["ended_at"].isna(), "account_id"]
    customer = world.accounts["account_id"].isin(running)
    raw["accounts"]["Status"] = np.where(customer, "Customer", "Former customer")


def _csv(table: pd.DataFrame) -> bytes:
    text = StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode("utf-8")


def _replace(path: Path, content: bytes) -> None:
    if path.suffix == ".gz":
        content = gzip.compress(
            content, compresslevel=9, mtime=0
        )  # no clock in the file: same seed, same bytes
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _project_file(world: World) -> str:
    template = Template(files("churnrisk.sample").joinpath("project.toml").read_text(encoding="utf-8"))
    periods = (world.end - world.start).days // 30
    windows_are_full = min(_FULL_WINDOWS_DAYS, 30 * (periods // 4))
    first = world.start + pd.Timedelta(days=windows_are_full)
    columns = {f"{name}_columns": _mapping(name) for name in _FILES}
    return template.substitute(
        first=f"{first:%Y-%m-%d}", seed=world.seed, accounts=len(world.accounts), **columns
    )


def _mapping(name: str) -> str:
    width = max(map(len, _COLUMNS[name]))
    return "\n".join(f'{ours:<{width}} = "{theirs}"' for ours, theirs in _COLUMNS[name].items())
