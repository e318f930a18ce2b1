"""Start a project: from a folder of files, with a guessed churnrisk.toml, or as a sample world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from churnrisk.contract import TABLES, identifier, literal
from churnrisk.errors import UsageError
from churnrisk.files import write_whole
from churnrisk.sample import make_world, write_world
from churnrisk.sources import GuessedTable, file_kind, guess_tables
from churnrisk.training.panel import Progress

_HEAD = """# churnrisk project. `churnrisk check` says what is wrong with it; paths are relative to this file.
[project]
name = {name}
"""

_CHURN = {
    "contractual": """
[churn]
definition = "contractual"   # a subscription ends and none covers the account within grace_days
horizon_days = 30            # the churn probability is that of the next 30 days
grace_days = 7
""",
    "inactivity": """
[churn]
definition = "inactivity"    # active in the look-back, then silent through the horizon
horizon_days = 30
lookback_days = 30
""",
    "labels": """
[churn]
definition = "labels"        # your own labels, one row per (account_id, as_of)
horizon_days = 30            # over how many days after as_of they look: say it, the labels do not
""",
}

_TAIL = """
[snapshots]
every_days = 30              # one training row per account every 30 days
# first = 2025-01-01         # when your data are complete from a later day on
# data_until = 2026-01-01    # when your data are complete up to an earlier day than their last row

[features]
# key_features = ["login"]   # product features whose own recency matters
# static = ["country"]       # columns of accounts that never change; others show today's state and would leak

[decision]
policy = "certified"         # green and red keep a promised churn rate; or "capacity", "cost", "fixed"
capacity = 50                # accounts your team can review between two runs
"""


@dataclass(frozen=True)
class StartedProject:
    """The churnrisk.toml that ``init`` wrote (or would write), and the questions left to the user."""

    path: Path
    text: str
    tables: dict[str, str]
    open_questions: tuple[str, ...]


def start_project(folder: Path, *, force: bool, dry_run: bool) -> StartedProject:
    """Guess a mapping from the files in a folder and write churnrisk.toml there."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Give the one that holds your tables.")
    path = folder / "churnrisk.toml"
    if path.exists() and not (force or dry_run):
        raise UsageError(
            f"{path} exists already. Use --force to replace it, or --dry-run to see what would be written."
        )
    guesses = guess_tables(folder)
    if not guesses:
        raise UsageError(
            f"{folder} holds no CSV, Parquet or JSON file. Put your tables there, or map them by url."
        )
    text, questions = _render(folder, guesses)
    if not dry_run:
        write_whole(path, text.encode())
    tables = {guess.table: guess.path for guess in guesses if guess.table}
    return StartedProject(path, text, tables, tuple(questions))


def make_sample(
    folder: Path, *, seed: int, accounts: int, months: int, force: bool, progress: Progress
) -> str:
    """Write a sample world and say in a sentence what it is."""
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} is not empty. Choose another folder, or use --force to write into it.")
    progress(f"making a world of {accounts:,} accounts and {months} months")
    world = make_world(seed=seed, accounts=accounts, months=months)
    progress("writing its tables")
    write_world(world, folder)
    return (
        f"wrote {len(world.accounts):,} accounts, {len(world.events):,} events and "
        f"{len(world.complaints):,} complaints to {folder}; the true churn probabilities are in truth.parquet"
    )


def _render(folder: Path, guesses: Sequence[GuessedTable]) -> tuple[str, list[str]]:
    """Return the text of churnrisk.toml and the open questions."""
    by_table = {guess.table: guess for guess in guesses if guess.table}
    flat = _flat_label(by_table)
    parts = [_HEAD.format(name=json.dumps(folder.resolve().name, ensure_ascii=False))]
    questions: list[str] = []
    if flat:
        parts.append(_flat_tables(by_table["accounts"], flat))
        questions.append(
            f"{flat} was taken for the label; if your table has a date of observation, use it in [tables.labels]"
        )
    else:
        if "accounts" not in by_table:
            parts.append(_accounts_from(by_table))
        parts += [_mapping(by_table[name]) for name in TABLES if name in by_table]
    questions += [
        f"{guess.path} fits no table; it has {', '.join(guess.all_columns) or 'no readable columns'}"
        for guess in guesses
        if guess.table is None
    ]
    if "accounts" not in by_table:
        questions.append("no file lists the accounts one row each, so they are taken from the other tables")
    definition = "labels" if flat else _definition(by_table)
    parts += [_CHURN[definition], _TAIL]
    if flat:
        parts.append(
            '\n[model]\nsplit = "accounts"           # one snapshot only: validate on held-out accounts\n'
        )
    if questions:
        parts.insert(1, "\n# Left open:\n" + "".join(f"#   {question}\n" for question in questions))
    return "".join(parts), questions


def _definition(by_table: dict[str, GuessedTable]) -> str:
    if "subscriptions" in by_table and "ended_at" in by_table["subscriptions"].columns:
        return "contractual"
    return "labels" if "labels" in by_table and "events" not in by_table else "inactivity"


def _flat_label(by_table: dict[str, GuessedTable]) -> str | None:
    """Return the label column if one customer table is all there is."""
    if set(by_table) != {"accounts"}:
        return None
    words = ("churned", "churn", "churnflag", "ischurned", "exited", "attrition")
    return next(
        (name for name in by_table["accounts"].all_columns if name.lower().replace("_", "") in words), None
    )


def _flat_tables(guess: GuessedTable, label: str) -> str:
    source = _reader(guess.path)
    account = identifier(guess.columns["account_id"])
    queries = {
        "accounts": f"select {account} as account_id from {source}",
        "attributes": f"select {account} as account_id, date '2000-01-01' as valid_from, "
        f"* exclude ({account}, {identifier(label)}) from {source}",
        "labels": f"select {account} as account_id, date '2000-07-01' as as_of, "
        f"{identifier(label)} as churned from {source}",
    }
    return "".join(f"\n[tables.{name}]\nsql = '''{query}'''\n" for name, query in queries.items())


def _accounts_from(by_table: dict[str, GuessedTable]) -> str:
    """Derive the accounts from the ids of another table."""
    for name in ("subscriptions", "events", "complaints", "surveys"):
        if name in by_table:
            guess = by_table[name]
            account = identifier(guess.columns["account_id"])
            query = f"select distinct {account} as account_id from {_reader(guess.path)} where {account} is not null"
            return f"\n[tables.accounts]\nsql = '''{query}'''\n"
    return ""


def _reader(path: str) -> str:
    return f"read_{file_kind(path)}({literal(path)})"


def _mapping(guess: GuessedTable) -> str:
    lines = [f"\n[tables.{guess.table}]", f"path = {json.dumps(guess.path)}"]
    renamed = {name: own for name, own in guess.columns.items() if name != own}
    if renamed:
        lines.append(f"[tables.{guess.table}.columns]     # the contract's name = yours")
    lines += [f"{name} = {json.dumps(own, ensure_ascii=False)}" for name, own in renamed.items()]
    unused = [column for column in guess.all_columns if column not in guess.columns.values()]
    if unused:
        lines.append(f"# not mapped: {', '.join(unused)}")
    return "\n".join(lines) + "\n"
