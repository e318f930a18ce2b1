"""Open the tables of a project: the user's names become the contract's, raw text becomes its types.

For every table ``t`` the engine then holds ``raw_t`` (contract names, source types) and ``t`` (contract
types, rows without their required values left out; the check counts them).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churnrisk.contract.tables import TABLES, Available, TableSpec
from churnrisk.errors import ContractError, UsageError
from churnrisk.sources.config import TableConfig
from churnrisk.sources.database import read_batches
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind, find_files, fingerprint, scan
from churnrisk.sources.parts import Cache, Parts, event_parts
from churnrisk.sources.quoting import identifier
from churnrisk.sources.typed import bare_columns, open_typed, own_types

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Tables:
    """The opened tables.

    Attributes
    ----------
    engine : Engine
        Holds a relation per table.
    available : Available
        What is there.
    native : mapping of str to mapping of str to str
        The source's type of each raw column.
    date_formats : mapping of str to str or None
        strptime format of each table's text dates.
    digest : str
        Changes when an input file or its mapping changes.
    event_parts : Parts, optional
        The files of the events, where they come from files that DuckDB reads.
    cache : Cache, optional
        Where the roll-up of the events is kept; by default it is made of all rows each time.
    """

    engine: Engine
    available: Available
    native: Mapping[str, Mapping[str, str]]
    date_formats: Mapping[str, str | None]
    digest: str
    event_parts: Parts | None = None
    cache: Cache | None = None


def open_tables(engine: Engine, configs: Mapping[str, TableConfig]) -> Tables:
    """Create the raw and the typed relation of every configured table.

    Raises
    ------
    UsageError
        If a table is unknown, a file is missing, or a mapped column does not exist.
    ContractError
        If a file cannot be read.
    """
    _require_known(configs)
    columns: dict[str, tuple[str, ...]] = {}
    categorical: dict[str, tuple[str, ...]] = {}
    native: dict[str, Mapping[str, str]] = {}
    marks: list[object] = []
    parts: Parts | None = None
    for name, config in configs.items():
        mark, renamed = _open_raw(engine, name, config)
        marks.append([name, repr(config), mark])
        native[name] = engine.columns(f"raw_{name}")
        _require_columns(TABLES[name], native[name])
        types = own_types(engine, TABLES[name], native[name])
        columns[name] = tuple(column for column in native[name] if types.get(column) != "other")
        categorical[name] = tuple(column for column in columns[name] if types.get(column) == "text")
        open_typed(engine, TABLES[name], config, native[name], types)
        if name == "events":
            bare = bare_columns(TABLES[name], native[name], config)
            parts = event_parts(engine, config, native=native[name], renamed=renamed, bare=bare)
    digest = hashlib.sha256(json.dumps(marks, default=str).encode()).hexdigest()[:16]
    formats = {name: config.date_format for name, config in configs.items()}
    return Tables(engine, Available(columns, categorical), native, formats, digest, parts)


def open_account(
    engine: Engine, configs: Mapping[str, TableConfig], account_id: str, names: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Create the typed relations of one account's rows, reading each source once and keeping nothing else.

    Parameters
    ----------
    names : sequence of str
        Tables wanted; those that the project does not map are left out. No table that takes the user's own
        columns is among them.

    Returns
    -------
    mapping of str to tuple of str
        Table names to the contract's columns that are there.

    Raises
    ------
    UsageError, ContractError
        As :func:`open_tables`.
    """
    there: dict[str, tuple[str, ...]] = {}
    for name in (name for name in names if name in configs):
        _open_raw(engine, name, configs[name], account_id)
        native = engine.columns(f"raw_{name}")
        _require_columns(TABLES[name], native)
        own = dict.fromkeys((column for column in native if TABLES[name].column(column) is None), "other")
        open_typed(engine, TABLES[name], configs[name], native, own, account_id)
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
    engine: Engine, name: str, config: TableConfig, account_id: str | None = None
) -> tuple[object, str]:
    """Create ``raw_<name>``; return what identifies its content, and the select list from the source's columns.

    With an account there are its rows only, and nothing that identifies them.
    """
    try:
        mark: object = None
        if account_id is None:
            mark = _open_source(engine, name, config)
        else:
            _view_source(engine, name, config, account_id)
    except (ContractError, UsageError) as error:
        message = str(error)
        raise type(error)(
            message if f"[tables.{name}]" in message else f"[tables.{name}] {message}"
        ) from error
    renamed = _renamed(engine, name, config)
    engine.run(f"create temp view raw_{name} as select {renamed} from source_{name}")
    return mark, renamed


def _open_source(engine: Engine, name: str, config: TableConfig) -> object:
    """Create ``source_<name>``: what the user has, as it is."""
    if engine.opens(config):
        return engine.open_source(name, config)
    if config.url and config.table:
        _load(engine, name, read_batches(config.url, config.table, base=engine.base))
    elif config.sql:
        # a table and not a view: it is read several times and may be dear to compute
        engine.run(f"create temp table source_{name} as {config.sql.rstrip().rstrip(';')}")
    else:
        files = find_files(str(config.path), base=engine.base, table=name)
        if not any(path.stat().st_size for path in files):
            raise ContractError(f"{files[0]} is empty, without even a header. Export it again.")
        # text is read and parsed once; Parquet answers from its columns as often as it is asked
        stored = "temp view" if file_kind(files[0]) == "parquet" else "temp table"
        engine.run(f"create {stored} source_{name} as select * from {scan(files, config)}")
        return fingerprint(files)
    # a sum and not an exclusive or: with that, two equal rows would vanish
    return engine.rows(f"select count(*), sum(hash(s)) from source_{name} s")


def _load(engine: Engine, name: str, batches: Iterable[pa.Table]) -> None:
    for number, batch in enumerate(batches):
        engine.table_from("batch", batch)
        verb = f"create temp table source_{name} as" if number == 0 else f"insert into source_{name}"
        engine.run(f"{verb} select * from batch")


def _view_source(engine: Engine, name: str, config: TableConfig, account_id: str) -> None:
    """Create ``source_<name>`` as a view that is read once, with one account's rows alone."""
    if config.url and config.table:
        key = config.columns.get("account_id", "account_id")
        only = (key, account_id)
        _load(engine, name, read_batches(config.url, config.table, base=engine.base, only=only))
    elif config.sql:
        engine.run(f"create temp view source_{name} as {config.sql.rstrip().rstrip(';')}")
    else:
        files = find_files(str(config.path), base=engine.base, table=name)
        engine.run(f"create temp view source_{name} as select * from {scan(files, config)}")


def _renamed(engine: Engine, name: str, config: TableConfig) -> str:
    """Return the select list from the source's columns to the contract's names."""
    there = engine.columns(f"source_{name}")
    chosen = _mapped(name, config, list(there))
    # SQL does not tell "Plan" from "plan": a column that shares a mapped name gives way
    taken = {new.lower() for new in chosen}
    declared = {column.name: column.name for column in TABLES[name].columns}
    for own in there:
        plain = own.strip()
        new = declared.get(plain.lower(), plain)
        if own not in chosen.values() and new.lower() not in taken:
            chosen[new] = own
            taken.add(new.lower())
    return ", ".join(
        f"{_plain_value(identifier(own), there[own])} as {identifier(new)}" for new, own in chosen.items()
    )


def _plain_value(column: str, native: str) -> str:
    # a JSON field that holds numbers in one row and text in another arrives as JSON, its texts in quotes
    return f"({column} ->> '$')" if native == "JSON" else column


def _mapped(name: str, config: TableConfig, there: Sequence[str]) -> dict[str, str]:
    """Return the configured columns, contract name to source name as the source spells it."""
    spelled = {column.strip().lower(): column for column in there}
    chosen: dict[str, str] = {}
    for contract_name, own_name in config.columns.items():
        if own_name.strip().lower() not in spelled:
            raise UsageError(
                f"[tables.{name}.columns] maps {contract_name} to {own_name!r}, which {name} has not; "
                f"it has {', '.join(there)}. Correct the mapping in churnrisk.toml."
            )
        if TABLES[name].column(contract_name) is None and not TABLES[name].open:
            raise UsageError(
                f"[tables.{name}.columns] maps {contract_name}, which is no column of {name}; the contract has "
                f"{', '.join(column.name for column in TABLES[name].columns)}. Correct the name in churnrisk.toml."
            )
        chosen[contract_name] = spelled[own_name.strip().lower()]
    return chosen


def _require_columns(spec: TableSpec, there: Mapping[str, str]) -> None:
    missing = [column for column in spec.required if column not in there]
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
