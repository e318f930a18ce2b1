"""Open the tables of a project: the user's names become the contract's, raw text becomes its types.

For every table ``t`` the engine then holds ``raw_t`` (contract names, source types) and ``t`` (contract types; rows
without a required value are left out and counted by the check).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from churnrisk.contract import (
    EPOCHS,
    TABLES,
    Available,
    ColumnSpec,
    Reading,
    TableSpec,
    TermRows,
    as_double,
    cast,
    identifier,
    literal,
    markers,
)
from churnrisk.errors import ContractError, UsageError
from churnrisk.files import digest_of
from churnrisk.sources.config import EngineConfig, TableConfig, require_applicable
from churnrisk.sources.convert import detect_encoding, not_utf8
from churnrisk.sources.database import read_batches
from churnrisk.sources.engine import Engine, spark_not_installed
from churnrisk.sources.files import (
    CacheConfig,
    EventFiles,
    event_parts,
    file_kind,
    find_files,
    fingerprint,
    require_distinct_names,
    scan,
)
from churnrisk.sources.joins import account_column, raw_rows
from churnrisk.sources.mapping import RawRows
from churnrisk.sources.periods import unpivoted

#: So many rows show that a column is of texts.
_HEAD_ROWS = 1000
#: Where SQL names a file: ``{usage.csv}``, ``{book.xlsx#Usage}``.
_IN_BRACES = re.compile(r"\{([^{}\n]+)\}")


@dataclass(frozen=True)
class Tables:
    """The opened tables; ``digest`` changes with any input file or its mapping, ``native`` are the source's types.

    ``left_out`` are the rows that ``where`` leaves out, by table.
    ``event_parts`` are the files of the events if DuckDB reads Parquet; a ``cache`` reuses their roll-up between runs.
    """

    engine: Engine
    available: Available
    native: Mapping[str, Mapping[str, str]]
    readings: Mapping[str, Reading]
    digest: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    event_parts: EventFiles | None = None
    cache: CacheConfig | None = None


def open_engine(config: EngineConfig, *, base: Path) -> Engine:
    """Open the engine that churnrisk.toml asks for; a context manager."""
    if config.name == "spark":
        try:
            # pyspark, sqlglot and Java are for those who ask for them
            from churnrisk.sources.spark_engine import SparkEngine
        except ModuleNotFoundError as error:
            raise spark_not_installed(error) from error
        return SparkEngine(config, base=base)
    return Engine(config, base=base)


def open_tables(engine: Engine, configs: Mapping[str, TableConfig]) -> Tables:
    """Create the raw and the typed relation of every configured table."""
    _require_known(configs)
    columns: dict[str, tuple[str, ...]] = {}
    categorical: dict[str, tuple[str, ...]] = {}
    native: dict[str, Mapping[str, str]] = {}
    left_out: dict[str, int] = {}
    marks: list[object] = []
    parts: EventFiles | None = None
    # accounts come first: other tables may be joined to them
    for name, config in sorted(configs.items(), key=lambda item: item[0] != "accounts"):
        raw = _open_raw(engine, name, configs, columns)
        left_out[name] = raw.left_out
        marks.append([name, repr(config), raw.mark])
        native[name] = engine.columns(f"raw_{name}")
        _require_columns(TABLES[name], native[name], config)
        types = _own_types(engine, TABLES[name], native[name], config)
        columns[name] = tuple(column for column in native[name] if types.get(column) != "other")
        categorical[name] = tuple(column for column in columns[name] if types.get(column) == "text")
        _open_typed(engine, TABLES[name], config, native[name], types)
        if name == "events":
            bare = _bare_columns(TABLES[name], native[name], config)
            parts = event_parts(engine, config, native=native[name], raw=raw, bare=bare)
    digest = digest_of(json.dumps(marks, default=str))[:16]
    return Tables(engine, Available(columns, categorical), native, configs, digest, left_out, parts)


def open_account(
    engine: Engine, configs: Mapping[str, TableConfig], account_id: str, names: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Create the typed relations of one account's rows, reading each source once; return their columns by table."""
    there: dict[str, tuple[str, ...]] = {}
    for name in (name for name in names if name in configs):
        _open_raw(engine, name, configs, there, account_id)
        native = engine.columns(f"raw_{name}")
        _require_columns(TABLES[name], native, configs[name])
        own = dict.fromkeys((column for column in native if TABLES[name].column(column) is None), "other")
        _open_typed(engine, TABLES[name], configs[name], native, own, account_id)
        there[name] = tuple(column for column in native if column not in own)
    return there


def _require_known(configs: Mapping[str, TableConfig]) -> None:
    unknown = sorted(set(configs) - set(TABLES))
    if unknown:
        raise UsageError(
            f"churnrisk.toml maps unknown tables {', '.join(unknown)}; the contract has {', '.join(TABLES)}."
        )
    if "accounts" not in configs or len(configs) < 2:
        raise UsageError(
            "a project needs [tables.accounts] and at least one more table; churnrisk.toml maps "
            f"{', '.join(configs) or 'none'}. `churnrisk init` guesses a mapping from a folder of files."
        )


def _open_raw(
    engine: Engine,
    name: str,
    configs: Mapping[str, TableConfig],
    opened: Collection[str],
    account_id: str | None = None,
) -> RawRows:
    """Create ``raw_<name>``, of one account if given, and return how it reads its source."""
    require_applicable(name, configs[name], engine.rows)

    def accounts() -> str:
        if "accounts" not in opened:
            _open_raw(engine, "accounts", configs, ("accounts",))
        return "raw_accounts"

    def way(alias: str, config: TableConfig) -> object:
        return _open_source(engine, alias, config, None)

    try:
        mark = _open_source(engine, name, configs[name], account_id)
        require_distinct_names(engine, name, configs[name])
        raw = raw_rows(engine, name, configs, whole=account_id is None, source=way, accounts=accounts)
        raw = _counted(engine, name, configs[name], raw)
    except (ContractError, UsageError) as error:
        prefix = "" if f"[tables.{name}" in str(error) else f"[tables.{name}] "
        raise type(error)(f"{prefix}{error}") from error
    engine.run(f"create temp view raw_{name} as {raw.of(f'source_{name}')}")
    return replace(raw, mark=[mark, raw.mark])


def _counted(engine: Engine, name: str, config: TableConfig, raw: RawRows) -> RawRows:
    """Leave out the rows that the source marks as deleted or superseded, unless a column is mapped or in ``where``."""
    there = engine.columns(f"source_{name}")
    unmapped = {own: type_ for own, type_ in there.items() if own.strip().lower() not in config.mapped}
    gone = [f"not {marked}" for marked in markers(name, unmapped, config).values()]
    if not gone:
        return raw
    return replace(raw, where=f"{raw.where} {'and' if raw.where else 'where'} {' and '.join(gone)}")


def _open_source(engine: Engine, name: str, config: TableConfig, account_id: str | None) -> object:
    """Create ``source_<name>`` as it is and return its fingerprint; for one account a view without a fingerprint."""
    once = account_id is not None
    if engine.opens(config):
        _require_readable_elsewhere(name, config)
        return engine.open_source(name, config)
    if config.url and config.table:
        column = account_column(config)
        only = (column, account_id) if column and account_id is not None else None
        batches = read_batches(config.url, config.table, base=engine.base, only=only)
        for number, batch in enumerate(batches):
            engine.table_from("batch", batch)
            verb = "insert into" if number else "create temp table"
            engine.run(f"{verb} source_{name} {'' if number else 'as '}select * from batch")
    elif config.sql:
        # SQL may be slow to compute: where it is read several times, it becomes a table
        stored = "temp view" if once else "temp table"
        sql = _with_files(engine, name, config, config.sql.rstrip().rstrip(";"))
        engine.run(f"create {stored} source_{name} as {sql}")
    else:
        files = find_files(str(config.path), base=engine.base, table=name)
        if not once and not any(path.stat().st_size for path in files):
            raise ContractError(f"{files[0]} is empty, without even a header. Export it again.")
        _open_files(engine, name, config, files, once=once)
        return fingerprint(files)
    if config.unpivot:
        relation = _unpivoted(engine, f"source_{name}", config)
        engine.run(f"create temp table unpivoted_{name} as select * from {relation}")
        engine.run(f"drop {'view' if config.sql and once else 'table'} source_{name}")
        engine.run(f"create temp view source_{name} as from unpivoted_{name}")
    # a sum, not an exclusive or, in which two equal rows would cancel out
    return None if once else engine.rows(f"select count(*), sum(hash(s)) from source_{name} s")


def _with_files(engine: Engine, name: str, config: TableConfig, sql: str) -> str:
    """Return SQL in which each file in braces, ``{usage.csv}``, is the relation that ``path`` would read."""

    def relation(match: re.Match[str]) -> str:
        path = match[1]
        if file_kind(path) is None:
            return match[0]
        files = find_files(path, base=engine.base, table=name)
        # of several files the encoding is that of those that are not UTF-8
        encoding = config.encoding if config.encoding and detect_encoding(files[0]) is not None else None
        return scan(files, replace(config, sql=None, path=path, encoding=encoding), engine=engine)

    return _IN_BRACES.sub(relation, sql)


def _open_files(engine: Engine, name: str, config: TableConfig, files: Sequence[Path], *, once: bool) -> None:
    # text is parsed once; Parquet is read by column as often as needed
    stored = "temp view" if once or file_kind(files[0]) == "parquet" else "temp table"
    try:
        relation = _unpivoted(engine, scan(files, config, engine=engine), config)
        engine.run(f"create {stored} source_{name} as select * from {relation}")
    except ContractError as error:
        if file_kind(files[0]) in ("csv", "json") and config.encoding is None:
            raise not_utf8(files) or error from error
        raise


def _unpivoted(engine: Engine, relation: str, config: TableConfig) -> str:
    if not config.unpivot:
        return relation
    return unpivoted(relation, engine.columns(relation), config.unpivot, config.nulls)


def _require_readable_elsewhere(name: str, config: TableConfig) -> None:
    """Refuse the settings that only DuckDB follows."""
    only = ("encoding", "delimiter", "file_date", "unpivot", "decimal", "thousands")
    given = [one for one in only if getattr(config, one)]
    given += ["timezone"] if config.timezone not in (None, "UTC") else []
    given += [f'date_format = "{one}"' for one in config.date_formats.values() if one in EPOCHS]
    if given:
        raise UsageError(
            f"[tables.{name}] Spark reads this table and does not follow {', '.join(given)}. Remove it, or set "
            'engine = "duckdb" in churnrisk.toml.'
        )


def _require_columns(spec: TableSpec, there: Mapping[str, str], reading: Reading) -> None:
    missing = [column for column in spec.required if column not in there]
    if isinstance(reading.scale, Mapping) and "kind" not in there:
        raise UsageError(
            f"[tables.{spec.name}] scale is given per kind, but {spec.name} has no column 'kind'. "
            "Map it, or give one scale."
        )
    if missing and len(there) == 1 and re.search(r"[,;|\t]", next(iter(there))):
        raise ContractError(
            f"[tables.{spec.name}] is read as one column, {next(iter(there))!r}: its lines do not all have as many "
            "values as its header, or its delimiter is unusual. Correct the file, or set delimiter in churnrisk.toml."
        )
    if missing:
        raise ContractError(
            f"[tables.{spec.name}] {spec.name} has no column {', '.join(repr(column) for column in missing)}; it has "
            f"{', '.join(there)}. Map it under [tables.{spec.name}.columns] in churnrisk.toml."
        )


def _own_types(
    engine: Engine, spec: TableSpec, native: Mapping[str, str], reading: Reading
) -> dict[str, str]:
    """Classify each column of the user's own as "number", "flag", "text" or "other"."""
    own = {column: type_ for column, type_ in native.items() if spec.column(column) is None}
    types = (
        {column: _native_kind(type_) for column, type_ in own.items()}
        if spec.open
        else dict.fromkeys(own, "other")
    )
    text = [column for column, kind in types.items() if kind == "text"]
    if not text:
        return types
    raw = f"raw_{spec.name}"
    # most texts show at their start that they are no numbers, which is costly to see for all rows
    head = _all_numbers(engine, f"(select * from {raw} limit {_HEAD_ROWS})", text, reading)
    numeric = _all_numbers(engine, raw, [column for column in text if head[column]], reading)
    counts = (f"approx_count_distinct({one}), count({one})" for one in map(identifier, text))
    row = engine.rows(f"select {', '.join(counts)} from {raw}")[0]
    for number, column in enumerate(text):
        distinct, filled = row[2 * number : 2 * number + 2]
        if numeric.get(column) and filled:
            types[column] = "number"
        elif distinct > max(50, filled / 2):
            types[column] = "other"  # free text and keys are no categories
    return types


def _all_numbers(engine: Engine, relation: str, columns: Sequence[str], reading: Reading) -> dict[str, bool]:
    """Say for columns of texts whether all that are filled are numbers."""
    if not columns:
        return {}
    same = (
        f"count(nullif(trim({one}), '')) = count({as_double(one, 'VARCHAR', reading)})"
        for one in map(identifier, columns)
    )
    return dict(zip(columns, engine.rows(f"select {', '.join(same)} from {relation}")[0], strict=True))


def _native_kind(type_: str) -> str:
    if type_ == "BOOLEAN":
        return "flag"
    if type_ == "VARCHAR" or type_.startswith("ENUM"):
        return "text"
    numeric = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "U")
    return "number" if type_.startswith(numeric) and type_ != "UUID" else "other"


def _open_typed(
    engine: Engine,
    spec: TableSpec,
    config: TableConfig,
    native: Mapping[str, str],
    own: Mapping[str, str],
    account_id: str | None = None,
) -> None:
    """Create the typed relation of a raw one, a view over Parquet, else a table; and for events ``bare_events``."""
    typed = {
        column: value
        for column, type_ in native.items()
        if (value := _typed(column, spec.column(column), type_, own.get(column), config))
    }
    expressions = [f"{value} as {identifier(column)}" for column, value in typed.items()]
    complete = " and ".join(f"{identifier(column)} is not null" for column in spec.required)
    columnar = engine.opens(config) or file_kind(config.path or "") == "parquet"
    stored = "temp view" if columnar else "temp table"
    source = f"raw_{spec.name}"
    if account_id is not None:
        source += f" where {typed['account_id']} = {literal(account_id)}"
    if not columnar:
        # a filter on a computed column would compute it again, and each of its parts many times
        source += " offset 0"
    rows = f"select * from (select {', '.join(expressions)} from {source}) where {complete}"
    if spec.name == "subscriptions":
        # computed once, as terms are compared with each other
        stored = "temp table"
        rows = TermRows(native, config).select(typed, source=source, complete=complete)
    engine.run(f"create {stored} {spec.name} as {rows}")
    if spec.name == "events":
        bare = f"{_bare_columns(spec, native, config)} from raw_events" if columnar else "* from events"
        engine.run(f"create temp view bare_events as select {bare}")


def _typed(
    column: str, declared: ColumnSpec | None, native: str, own: str | None, reading: Reading
) -> str | None:
    quoted = identifier(column)
    if declared:
        return cast(quoted, declared.type, native=native, reading=reading)
    if own == "flag":
        return f"cast({quoted} as integer)"
    if own in ("number", "text"):
        return cast(quoted, "number" if own == "number" else "text", native=native, reading=reading)
    return None


def _bare_columns(spec: TableSpec, native: Mapping[str, str], config: TableConfig) -> str:
    """Return the columns on which a Parquet reader can group and skip row groups without casting each value."""
    columns = []
    for column, type_ in native.items():
        declared, quoted = spec.column(column), identifier(column)
        if declared is None:
            continue
        value = cast(quoted, declared.type, native=type_, reading=config)
        if declared.type in ("id", "text"):
            value = quoted
        elif column == spec.time and type_.startswith(("TIMESTAMP", "DATE")) and not config.timezone:
            value = f"cast({quoted} as timestamp)"
        columns.append(f"{value} as {quoted}")
    return ", ".join(columns)
