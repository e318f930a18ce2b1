"""Raw relations become typed ones: the contract's types, and what the user's own columns hold."""

from __future__ import annotations

from collections.abc import Mapping

from churnrisk.contract.casts import as_double, cast
from churnrisk.contract.tables import ColumnSpec, TableSpec
from churnrisk.sources.config import TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind
from churnrisk.sources.quoting import identifier, literal


def own_types(engine: Engine, spec: TableSpec, native: Mapping[str, str]) -> dict[str, str]:
    """Say of each column of the user's own whether it holds numbers, flags, text or something else."""
    own = {column: type_ for column, type_ in native.items() if spec.column(column) is None}
    types = (
        {column: _native_kind(type_) for column, type_ in own.items()}
        if spec.open
        else dict.fromkeys(own, "other")
    )
    text = [column for column, kind in types.items() if kind == "text"]
    if not text:
        return types
    counts = ", ".join(
        f"count(nullif(trim({identifier(column)}), '')) = count({as_double(identifier(column), 'VARCHAR')}), "
        f"approx_count_distinct({identifier(column)}), count({identifier(column)})"
        for column in text
    )
    row = engine.rows(f"select {counts} from raw_{spec.name}")[0]
    for number, column in enumerate(text):
        all_numbers, distinct, filled = row[3 * number : 3 * number + 3]
        if all_numbers and filled:
            types[column] = "number"
        elif distinct > max(50, filled / 2):
            types[column] = "other"  # free text and keys are no categories
    return types


def _native_kind(type_: str) -> str:
    if type_ == "BOOLEAN":
        return "flag"
    if type_ == "VARCHAR" or type_.startswith("ENUM"):
        return "text"
    numeric = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "U")
    return "number" if type_.startswith(numeric) and type_ != "UUID" else "other"


def open_typed(
    engine: Engine,
    spec: TableSpec,
    config: TableConfig,
    native: Mapping[str, str],
    own: Mapping[str, str],
    account_id: str | None = None,
) -> None:
    """Create the typed relation of a raw one: a view over Parquet, a table of anything else.

    A table of events gets a second view, ``bare_events``, whose ids and texts stand as the source spells them.
    """
    expressions: list[str] = []
    for column, type_ in native.items():
        value = _typed(column, spec.column(column), type_, own.get(column), config.date_format)
        if value is not None:
            expressions.append(f"{value} as {identifier(column)}")
    complete = " and ".join(f"{identifier(column)} is not null" for column in spec.required)
    if account_id is not None:
        complete += f" and account_id = {literal(account_id)}"
    columnar = engine.opens(config) or file_kind(config.path or "") == "parquet"
    stored = "temp view" if columnar else "temp table"
    engine.run(
        f"create {stored} {spec.name} as "
        f"select * from (select {', '.join(expressions)} from raw_{spec.name}) where {complete}"
    )
    if spec.name == "events":
        bare = (
            f"select {bare_columns(spec, native, config)} from raw_events"
            if columnar
            else "select * from events"
        )
        engine.run(f"create temp view bare_events as {bare}")


def _typed(
    column: str, declared: ColumnSpec | None, native: str, own: str | None, date_format: str | None
) -> str | None:
    quoted = identifier(column)
    if declared:
        return cast(quoted, declared.type, native=native, date_format=date_format)
    if own == "flag":
        return f"cast({quoted} as integer)"
    if own in ("number", "text"):
        return cast(quoted, "number" if own == "number" else "text", native=native)
    return None


def bare_columns(spec: TableSpec, native: Mapping[str, str], config: TableConfig) -> str:
    """Return the columns on which a reader of Parquet can group and skip without touching each value."""
    columns = []
    for column, type_ in native.items():
        declared, quoted = spec.column(column), identifier(column)
        if declared is None:
            continue
        value = cast(quoted, declared.type, native=type_, date_format=config.date_format)
        if declared.type in ("id", "text"):
            value = quoted
        elif column == spec.time and type_.startswith(("TIMESTAMP", "DATE")):
            value = f"cast({quoted} as timestamp)"
        columns.append(f"{value} as {quoted}")
    return ", ".join(columns)
