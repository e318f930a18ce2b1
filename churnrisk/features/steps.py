"""The feature query as a person reads it: every statement, laid out, with a word on what it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import wrap

from churnrisk.sources.layout import lay_out

_CREATED = re.compile(r"create or replace temp (?:table|view) (\w+)")

#: What each step is for, by the name of what it creates.
STEPS = {
    "as_of_dates": "The dates at which the accounts are looked at; everything below is known before them.",
    "first_seen": "When each account was first seen: its sign-up, or its first row in any table.",
    "activity_days": "The days on which each account was active, and since when that was known.",
    "account_state": "Which accounts were customers at each date.",
    "account_outcome": "What became of each account in the label window after each date.",
    "panel": "One row per account and date: whether it can be scored (grey_reason) and whether it churned.",
    "account_keys": "Each account's number, which is quicker to join by than its id.",
    "panel_rows": "The rows of the panel that features are computed for.",
    "feature_bits": "Every product feature gets one bit of a mask, so that distinct features can be counted by bits.",
    "segment_edges": "All edges of all windows cut time into segments: a window is a set of whole segments.",
    "event_days": "Each day with its segment, and the first date that looks back on it.",
    "segment_windows": "Which segments each date looks back on, and how old they are then, in days.",
    "event_rollup": "The days of all windows of up to 90 days, read once: one row per account, user and segment.",
    "event_history": "The days before them that only year-long windows see: one row per account and segment.",
    "event_spellings": "Which account each id in the events stands for, however it is spelled.",
    "event_people": "Of the roll-up what the windows of people need: one row per account, user and segment.",
    "event_segments": "All of it without users: one row per account and segment.",
    "silent_accounts": "Accounts that have no day in either that the first date knows.",
    "event_lookback": "Their last day, from the days before.",
    "feature_masks": "Which product features anybody had used by each date.",
    "feature_sightings": "The first date that knows a use of each product feature.",
    "event_windows": "Every window of every account and date, from the segments in it.",
    "event_users": "How many people used the product in the last 30 days and in the 30 before, and who most.",
    "event_last": "The last active day of each account as it was known from each date on.",
    "event_before": "The last active day of accounts that have none in the windows of a date.",
    "known_features": "How many product features had been seen by each date.",
    "complaint_rows": "The complaints with the instant from which each was known.",
    "reopened_complaints": "Complaints that came back: one of the same category was resolved shortly before.",
    "complaint_columns": "What was open, how bad and how old at each date. A later resolution is not seen.",
    "reopened_columns": "How many complaints had come back in the 90 days before each date.",
    "survey_columns": "The last answer before each date, and the one before it.",
    "subscription_terms": "The terms with the instant from which each was known, in the order that they began.",
    "subscription_columns": "What was paid, for how many seats and until when, as of each date.",
    "attribute_columns": "The last known value of each slowly changing fact before each date.",
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


def script_of(statements: Sequence[str], columns: Iterable[str], *, project: str) -> str:
    """Return the statements as one script with a comment before each.

    Parameters
    ----------
    statements : sequence of str
        As they were run, without semicolons.
    columns : iterable of str
        What a feature may name, listed at the end.
    project : str
        Name of the project, for the opening comment.
    """
    parts = [_OPENING.format(project=" ".join(project.split()))]
    for number, statement in enumerate(statements, start=1):
        parts.append(f"-- {number}. {_purpose(statement)}\n{lay_out(statement)};\n")
    listed = wrap(", ".join(columns), 100, initial_indent="--   ", subsequent_indent="--   ")
    return "\n".join([*parts, "-- Columns that a feature of your own may name:", *listed]) + "\n"


def _purpose(statement: str) -> str:
    created = _CREATED.match(statement)
    name = created[1] if created else ""
    return STEPS.get(name, name or "Preparation.")
