"""How the tests of this folder check small tables written as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from churnrisk.contract import validate
from churnrisk.records import Violation
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

NOW = datetime(2026, 1, 1)
ACCOUNTS = "account_id,signed_up_at\n" + "".join(f"A{number},2025-01-01\n" for number in range(30))


def violations(
    folder: Path, *, configs: Mapping[str, TableConfig] | None = None, **tables: str
) -> list[Violation]:
    """Write each table to a CSV file, open them and return what the check finds."""
    given = {"accounts": ACCOUNTS} | tables
    for name, text in given.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    files = {name: TableConfig(path=f"{name}.csv") for name in given} | dict(configs or {})
    with Engine(EngineConfig(threads=1), base=folder) as engine:
        opened = open_tables(engine, files)
        return validate(engine, opened.available, native=opened.native, readings=opened.readings, now=NOW)


def rows(header: str, bad: list[str], *, good: str, count: int = 40) -> str:
    """Return a CSV text of ``count`` rows: the bad ones, then copies of the good one, numbered by {i}."""
    lines = bad + [good.format(i=number % 30, n=number) for number in range(count - len(bad))]
    return "\n".join([header, *lines]) + "\n"


def events(*bad: str, count: int = 40) -> str:
    return rows(
        "account_id,occurred_at,quantity", list(bad), good="A{i},2025-06-01 10:00:{n:02},1", count=count
    )


def only(found: list[Violation]) -> Violation:
    assert len(found) == 1, found
    return found[0]
