"""Compute the features of a panel, what the red list shows beside them, and the script of the SQL behind both.

Blocks first, then one expression per feature over their columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from churnrisk.contract import identifier
from churnrisk.errors import UsageError
from churnrisk.features.block import ArrayBlock, BlockInputs
from churnrisk.features.catalogue import GROUPS
from churnrisk.features.gather import gather, join
from churnrisk.records import Feature
from churnrisk.snapshots import PANEL
from churnrisk.sources import Tables, names_in

if TYPE_CHECKING:
    import pandas as pd

MONTHS = 12
#: Types of DuckDB that are no numbers.
_NO_NUMBERS = (
    "VARCHAR",
    "ENUM",
    "DATE",
    "TIME",
    "INTERVAL",
    "UUID",
    "BLOB",
    "BIT",
    "JSON",
    "STRUCT",
    "MAP",
    "UNION",
)
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
    "static_columns": "Columns of accounts that never change.",
    "panel_inputs": "Every column of the relations above for each row of the panel, and what is computed beside SQL "
    "of each date, from the roll-up, the complaints, the surveys and the subscriptions.",
    "feature_inputs": "Every column that a feature may name, your own features too. The label is out of their sight.",
    "feature_rows": "The features: one expression each over those columns.",
}
_OPENING = """\
-- The query behind the features of {project}, in the dialect of DuckDB, as it was run.
-- It reads the tables of the contract (accounts, events …), which churnrisk.toml maps onto yours; bare_events is
-- events with ids and texts as your files spell them, which are trimmed after grouping.
-- Rows count for a date only if they were known before it.
"""


@dataclass(frozen=True)
class FeatureFrame:
    """Features by (account_id, as_of), as float64 and category; ``churned`` and ``grey_reason`` may be missing."""

    X: pd.DataFrame
    churned: pd.Series
    grey_reason: pd.Series


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Relations behind a feature frame: ``rows`` with a column per feature, ``inputs`` with what features may name."""

    rows: str = "feature_rows"
    inputs: str = "feature_inputs"


#: What :func:`create_feature_table` creates; there is one per engine.
FEATURE_TABLE = FeatureTable()


def build_features(
    tables: Tables, features: Sequence[Feature], *, key_features: tuple[str, ...] = (), labelled_only: bool
) -> FeatureFrame:
    """Compute the features of a panel, ordered by (as_of, account_id); ``labelled_only`` drops rows without a label."""
    table = create_feature_table(tables, features, key_features=key_features, labelled_only=labelled_only)
    frame = tables.engine.frame(f"select * from {table.rows} order by as_of, account_id")
    frame = frame.set_index(["account_id", "as_of"])
    X = frame[[feature.name for feature in features]]
    categorical = {feature.name: "category" for feature in features if feature.categorical}
    return FeatureFrame(X.astype(categorical), frame["churned"].astype("Int8"), frame["grey_reason"])


def create_feature_table(
    tables: Tables, features: Sequence[Feature], *, key_features: tuple[str, ...], labelled_only: bool
) -> FeatureTable:
    """Create the feature table of a panel in the engine."""
    where = "where churned is not null" if labelled_only else ""
    chosen = f"(select * from {PANEL.rows} {where})"
    dates = tables.engine.rows(f"select as_of from {PANEL.dates} order by as_of")
    as_of = tuple(moment for (moment,) in dates)
    inputs = BlockInputs(tables, "panel_rows", "account_keys", PANEL.dates, as_of, key_features)
    inputs.create(inputs.keys, tables.engine.keyed(chosen))
    inputs.create(
        inputs.rows,
        "select p.*, k.account_key, f.first_seen_at, f.dated "
        f"from {chosen} p join {inputs.keys} k on k.account_id = p.account_id "
        f"join {PANEL.first_seen} f on f.account_id = p.account_id",
    )
    blocks = [group.prepare(inputs) for name, group in GROUPS.items() if tables.available.has(name)]
    relations = {name: keys for block in blocks for name, keys in block.relations.items()}
    static = "".join(
        f", a.{identifier(feature.name)} as {identifier(f'accounts.{feature.name}')}"
        for feature in features
        if feature.sql == identifier(f"accounts.{feature.name}")
    )
    if static:
        query = f"select k.account_key{static} from {inputs.keys} k join accounts a on a.account_id = k.account_id"
        relations[inputs.create("static_columns", query)] = ("account_key",)
    require_prepared(tables, features)
    arrays = [block.arrays for block in blocks if block.arrays]
    _project(inputs, features, relations, arrays, read_later=not labelled_only)
    tables.engine.drop(inputs.rows, *relations, *(block.rows for block in arrays))
    return FEATURE_TABLE


def _project(
    inputs: BlockInputs,
    features: Sequence[Feature],
    relations: Mapping[str, tuple[str, ...]],
    arrays: Sequence[ArrayBlock],
    *,
    read_later: bool,
) -> None:
    """Create the feature table; store what features may name if it is ``read_later``, or where a feature queries it."""
    engine, made, stored = inputs.engine, FEATURE_TABLE, "panel_inputs"
    columns = f"account_id, as_of, grey_reason, churned{feature_columns(features)}"
    if engine.distributed:
        _open_inputs(inputs, features, join(inputs, relations, arrays))
        computed = f"select account_id, as_of{feature_columns(features)} from {made.inputs}"
        labelled = f"join {inputs.rows} p on p.account_id = v.account_id and p.as_of = v.as_of"
        inputs.create(
            made.rows,
            "select p.account_id, p.as_of, p.grey_reason, p.churned, v.* exclude (account_id, as_of) "
            f"from ({computed}) v {labelled}",
        )
        return
    whole = read_later or any(
        feature.family == "own" and names_in(feature.sql).relations for feature in features
    )
    for number, (chunk, found) in enumerate(gather(inputs, relations, arrays)):
        given = f"select {found} from incoming"
        if whole or not number:
            engine.append(stored, chunk if whole else chunk.slice(0, 0), given, first=not number)
        if not number:
            _open_inputs(inputs, features, f"select * exclude (grey_reason, churned) from {stored}")
        if not whole:
            engine.append(
                made.rows, chunk, f"select {columns} from ({given}) {made.inputs}", first=not number
            )
    if whole:
        inputs.create(made.rows, f"select {columns} from {stored} {made.inputs}")


def _open_inputs(inputs: BlockInputs, features: Sequence[Feature], query: str) -> None:
    """Create the view of what features may name, and bind them where the label is out of their sight."""
    view = FEATURE_TABLE.inputs
    inputs.engine.run(f"create or replace temp view {view} as {query}")
    _require_numbers(inputs.tables, features)
    inputs.engine.columns(f"(select account_id{feature_columns(features)} from {view})")


def require_prepared(tables: Tables, features: Sequence[Feature]) -> None:
    """Refuse own signals that read more than the prepared tables, or whose value depends on the day of the run."""
    bare = {"bare_events"} if tables.available.has("events") else set()
    known = {PANEL.rows, PANEL.dates, PANEL.first_seen, FEATURE_TABLE.inputs}
    allowed = {*tables.available.tables, *bare, *known}
    for feature in features:
        if feature.family != "own":
            continue
        try:
            names = names_in(feature.sql)
        except UsageError as error:
            raise UsageError(f"[[features.own]] {feature.name}: {error}") from error
        if names.unsteady:
            raise UsageError(
                f"[[features.own]] {feature.name}: found {', '.join(sorted(names.unsteady))} in its sql; a signal must "
                "come out the same on every run, so it reads no clock, random numbers, settings or files. Use as_of "
                "for the time, and map files under [tables]."
            )
        if unknown := sorted(name for name in names.relations if name.lower() not in allowed):
            raise UsageError(
                f"[[features.own]] {feature.name}: found the relation {', '.join(unknown)} in its sql; a signal may "
                f"read {', '.join(sorted(allowed))}, and the columns that `churnrisk features --sql` lists."
            )


def _require_numbers(tables: Tables, features: Sequence[Feature]) -> None:
    """Refuse own signals that are no numbers."""
    own = {feature.name for feature in features if feature.family == "own"}
    if not own:
        return
    columns = "".join(f", ({feature.sql}) as {identifier(feature.name)}" for feature in features)
    types = tables.engine.columns(f"(select account_id{columns} from {FEATURE_TABLE.inputs})")
    for name in sorted(own):
        if types[name].startswith(_NO_NUMBERS) or types[name].endswith("[]"):
            raise UsageError(
                f"[[features.own]] {name}: expected a number or a condition, found {types[name]}. Turn it into one, "
                "such as (plan = 'Team')::int for a text or date_diff('day', opened_at, as_of) for a date."
            )


def feature_columns(features: Sequence[Feature]) -> str:
    """Return the features as a select list over the inputs, with a leading comma; each may name those before it."""
    return "".join(
        f", ({feature.sql})::{'varchar' if feature.categorical else 'double'} as {identifier(feature.name)}"
        for feature in features
    )


def facts_query(tables: Tables) -> str:
    """Return SQL for what the red list shows of each account of the latest panel date, one row per account."""
    available = tables.available
    mrr = _first(tables, ("subscriptions.mrr", "i.mrr"), ("accounts.mrr", "a.mrr"), absent="null::double")
    renewal = _first(
        tables,
        ("subscriptions.renewal_at", "i.next_renewal_at"),
        ("accounts.renewal_at", "a.renewal_at"),
        absent="null::timestamp",
    )
    owner = _first(
        tables, ("attributes.owner", "i.owner"), ("accounts.owner", "a.owner"), absent="null::varchar"
    )
    name = _first(tables, ("accounts.name", "a.name"), absent="null::varchar")
    segment = _first(tables, ("accounts.segment", "a.segment"), absent="null::varchar")
    survey = "i.last_score" if available.has("surveys") else "null::double"
    return (
        f"select i.account_id, {name} as name, {owner} as owner, {segment} as segment, "
        f"({mrr})::double * {MONTHS} as annual_value, {renewal} as renewal_at, "
        "case when i.dated then date_diff('day', i.first_seen_at, i.as_of) end::double as tenure_days, "
        f"{survey} as last_survey_score "
        f"from {FEATURE_TABLE.inputs} i join accounts a on a.account_id = i.account_id "
        f"where i.as_of = (select max(as_of) from {PANEL.dates})"
    )


def annual_value(X: pd.DataFrame) -> pd.Series | None:
    """Return what each account was worth a year at its as-of date; None without a feature for it."""
    return X["mrr"] * MONTHS if "mrr" in X else None


def _first(tables: Tables, *choices: tuple[str, str], absent: str) -> str:
    """Return the first expression whose column is there, with the later ones to fill its gaps."""
    there = [expression for need, expression in choices if tables.available.has(need)]
    return f"coalesce({', '.join(there)})" if there else absent


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
        shown = re.sub(r"from \(select .* from incoming\) (\w+)$", r"from panel_inputs \1", statement)
        # what comes from arrays is no SQL
        laid = f"-- {name}" if "from incoming" in shown else f"{lay_out(shown)};"
        parts.append(f"-- {number}. {purpose}\n{laid}\n")
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
