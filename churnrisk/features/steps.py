"""The feature query as a person reads it: every statement, laid out, with a comment on what it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import wrap

from churnrisk.features.catalogue import GROUPS

_CREATED = re.compile(r"create or replace temp (?:table|view) (\w+) as ")
_STEPS = {
    "as_of_dates": "The dates at which the accounts are looked at; everything below is known before them.",
    "first_seen": "When each account was first seen: its sign-up, or its first row in any table.",
    "activity_days": "The days on which each account was active, and since when that was known.",
    "account_state": "Which accounts were customers at each date.",
    "account_outcome": "What became of each account in the label window after each date.",
    "panel": "One row per account and date: whether it can be scored (grey_reason) and whether it churned.",
    "account_keys": "Each account's number, which is quicker to join by than its id.",
    "panel_rows": "The rows of the panel that features are computed for.",
    "feature_inputs": "Every column that a feature may name, your own features too.",
    "feature_rows": "The features: one expression each over those columns. The label is joined afterwards, out of "
    "their sight.",
}
_OPENING = """\
-- The query behind the features of {project}, in the dialect of DuckDB, as it was run.
-- It reads the tables of the contract (accounts, events …), which churnrisk.toml maps onto yours; bare_events is
-- events with ids and texts as your files spell them, which are trimmed after grouping.
-- Rows count for a date only if they were known before it.
"""


def step_purposes() -> dict[str, str]:
    """Return what each step is for, by the relation that it creates."""
    return _STEPS | {name: purpose for group in GROUPS.values() for name, purpose in group.steps.items()}


def script_of(statements: Sequence[str], columns: Iterable[str], *, project: str) -> str:
    """Return recorded statements as one commented script; ``columns`` may be named by features, and are listed."""
    purposes = step_purposes()
    parts = [_OPENING.format(project=" ".join(project.split()))]
    for number, statement in enumerate(statements, start=1):
        created = _CREATED.match(statement)
        name = created[1] if created else ""
        purpose = purposes.get(name, name or "Preparation.")
        parts.append(f"-- {number}. {purpose}\n{lay_out(statement)};\n")
    listed = wrap(", ".join(columns), 100, initial_indent="--   ", subsequent_indent="--   ")
    return "\n".join([*parts, "-- Columns that a feature of your own may name:", *listed]) + "\n"


def lay_out(statement: str) -> str:
    """Return the statement with clauses and list items on lines of their own."""
    import sqlparse
    from sqlparse.exceptions import SQLParseError

    created = _CREATED.match(statement)
    head, query = (created[0].rstrip() + "\n", statement[created.end() :]) if created else ("", statement)
    try:
        laid = sqlparse.format(query, reindent_aligned=True)
    except SQLParseError:  # too long for it, such as a list of thousands of values
        return statement
    # words of DuckDB's joins that sqlparse does not know, and "is distinct from", which it takes for a from clause
    laid = re.sub(r" (asof|anti|semi)\n(\s*)((?:left )?join\b)", r"\n\2\1 \3", laid)
    return head + re.sub(r"\bdistinct\n\s*from\b", "distinct from", laid)
