"""The table engine: one in-process DuckDB that spills to disk beyond its memory limit; and what an expression reads."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shutil import rmtree
from socket import gethostname
from typing import IO, TYPE_CHECKING, Any

from churnrisk.contract import identifier, literal
from churnrisk.errors import ChurnRiskError, ContractError, UsageError
from churnrisk.sources.config import EngineConfig, TableConfig

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

try:
    import fcntl
except ModuleNotFoundError:  # no such locks here: folders of killed runs stay
    fcntl = None  # type: ignore[assignment]

_PREFIX = "churnrisk-run-"
_LOCK = ".lock"
#: What DuckDB says about unreadable files, most specific first, and the error for people. ``{details}`` is DuckDB's
#: message without its advice for SQL authors.
_FILE_ERRORS: tuple[tuple[str, type[ChurnRiskError], str], ...] = (
    ("no files found", UsageError, "{text} Paths in SQL are relative to churnrisk.toml; correct it there."),
    (
        "invalid unicode|not utf-8 encoded|does not support the encoding|not utf-16 encoded|invalid utf",
        ContractError,
        "a file is not in the expected encoding: {details}. Save it as UTF-8, or set "
        'encoding = "cp1252" or the one that it has for its table in churnrisk.toml.',
    ),
    (
        "error when sniffing file",
        ContractError,
        "a CSV file cannot be parsed: {text} Its lines do not all have as many values as its header, or "
        "its delimiter is unusual. Correct the file, or set delimiter for its table in churnrisk.toml.",
    ),
    (
        "unimplemented type for cast|failed to cast column",
        ContractError,
        "a column has different types in the files of one table: {details}. Save the files "
        "with one type, or join them by sql with casts of your own in churnrisk.toml.",
    ),
    (
        "magic bytes|don't know what type|thrift|not a parquet file|decompress|corrupt|snappy|zstd|gzip stream",
        ContractError,
        "a file is damaged: {text} Copy or export it again.",
    ),
)


class Engine:
    """Runs SQL over the project's tables; a context manager. Relative file names in SQL start at ``base``."""

    #: Large relations live on other machines.
    distributed = False

    def __init__(self, config: EngineConfig, *, base: Path) -> None:
        import duckdb

        self._spill = ScratchFolder(_spill_parent(config))
        self._connection = duckdb.connect(":memory:")
        self.base = base
        self._recorded: list[str] | None = None
        settings = {
            "memory_limit": config.memory_limit,
            "temp_directory": str(self._spill.path),
            "file_search_path": str(base),
            "TimeZone": "UTC",
        }
        try:
            for name, value in settings.items():
                self._connection.execute(f"set {name} = {literal(value)}")
            self._connection.execute("set preserve_insertion_order = false")
            # stdout belongs to results; without ipywidgets a notebook has no bar, and DuckDB refuses to turn it off
            if self.value("select current_setting('enable_progress_bar')"):
                self._connection.execute("set enable_progress_bar = false")
            # a run must not depend on the network
            self._connection.execute("set autoinstall_known_extensions = false")
            if config.threads:
                self._connection.execute(f"set threads = {int(config.threads)}")
        except duckdb.Error as error:
            self.close()
            raise UsageError(
                f'[engine] in churnrisk.toml cannot be set: {first_line(error)} Write memory_limit like "2GB" '
                "and threads as a whole number from 1 on."
            ) from error

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def scratch(self) -> Path:
        """A folder that is removed with the engine."""
        return self._spill.path

    def close(self) -> None:
        """Close the connection and remove the spill directory."""
        self._connection.close()
        self._spill.remove()

    def opens(self, config: TableConfig) -> bool:
        """Say whether :meth:`open_source` reads this table itself."""
        return bool(config.table and not config.url)

    def open_source(self, name: str, config: TableConfig) -> object:
        """Create ``source_<name>`` and return its fingerprint; UsageError if the engine cannot read such a table."""
        raise UsageError(
            f"table = {config.table!r} without a url is a table of Spark's catalog. "
            'Set engine = "spark" at the top of churnrisk.toml, or give the url of its database.'
        )

    def open_written(self, name: str, folder: str) -> None:
        """Create a relation of a folder of Parquet files."""
        self.run(f"create or replace temp view {name} as from read_parquet({literal(folder + '/*.parquet')})")

    def keyed(self, accounts: str) -> str:
        """Return the query of a relation's distinct ``account_id`` with an ``account_key`` that is quick to join by."""
        ids = f"(select distinct account_id from {accounts})"
        return f"select account_id, (row_number() over () - 1)::int as account_key from {ids}"

    def hashed(self, *values: str) -> str:
        """Return the expression of a 64-bit hash."""
        return f"hash({', '.join(values)})"

    def run(self, sql: str) -> None:
        """Execute a statement for its effect."""
        if self._recorded is not None:
            self._recorded.append(sql)
        self._execute(sql).fetchall()

    def create(self, name: str, query: str) -> str:
        """Create a table of a query's rows, replacing one of that name, and return the name."""
        self.run(f"create or replace temp table {name} as {query}")
        return name

    def drop(self, *names: str) -> None:
        """Drop tables that nothing reads any more: they count as memory."""
        for name in names:
            self._execute(f"drop table if exists {identifier(name)}")

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """Yield a list that collects the statements which :meth:`run` executes meanwhile."""
        statements: list[str] = []
        self._recorded = statements
        try:
            yield statements
        finally:
            self._recorded = None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a small result."""
        return list(self._execute(sql).fetchall())

    def value(self, sql: str) -> Any:
        """Return the first column of the only row."""
        return self.rows(sql)[0][0]

    def frame(self, sql: str) -> pd.DataFrame:
        """Return the result as a pandas data frame, by way of Arrow."""
        frame: pd.DataFrame = self.arrow(sql).to_pandas()
        return frame

    def arrow(self, sql: str) -> pa.Table:
        """Return the result as an Arrow table."""
        with _explained():
            return self._connection.sql(sql).to_arrow_table()

    def columns(self, relation: str) -> dict[str, str]:
        """Names and types of a relation's columns, as DuckDB names the types."""
        with _explained():
            # not by `describe`, which spells renamed columns as their source does
            described = self._connection.sql(f"select * from {relation}")
            return dict(zip(described.columns, map(str, described.types), strict=True))

    def table_from(self, name: str, table: pd.DataFrame | pa.Table | pa.RecordBatchReader) -> None:
        """Create a temporary table from a data frame, an Arrow table or a stream of batches."""
        self._connection.register("incoming", table)
        try:
            self.run(f"create or replace temp table {identifier(name)} as select * from incoming")
        finally:
            self._connection.unregister("incoming")

    def map_buckets(self, name: str, rows: str, key: str, compute: Callable[[pa.Table], pa.Table]) -> None:
        """Create a relation of what an importable function makes of rows, all of one key at once."""
        self.table_from(name, compute(self.arrow(f"select * from {rows} where {key} is not null")))

    def append(self, name: str, table: pa.Table, query: str, *, first: bool) -> None:
        """Add the rows of a query over an Arrow table, ``incoming``, to a table that the first ones create."""
        self._connection.register("incoming", table)
        try:
            if first:
                self.create(name, query)
            else:
                self._execute(f"insert into {identifier(name)} {query}").fetchall()
        finally:
            self._connection.unregister("incoming")

    def _execute(self, sql: str) -> Any:
        with _explained():
            return self._connection.execute(sql)


def _spill_parent(config: EngineConfig) -> str | None:
    if config.temp_directory is None:
        return None
    path = Path(config.temp_directory).expanduser()
    if not path.is_dir():
        raise UsageError(
            f"[engine] temp_directory {path} is not a directory. Make it, or leave the setting out."
        )
    return str(path)


class ScratchFolder:
    """A temporary folder, locked while this process lives; folders that killed processes of this host left are removed.

    The system releases a lock however a process ends, so a folder with a free lock is an orphan.
    """

    def __init__(self, parent: str | None = None) -> None:
        base = Path(parent or tempfile.gettempdir())
        for left in base.glob(f"{_PREFIX}*"):
            _remove_if_left(left)
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent)
        self.path = Path(self._folder.name)
        self._lock: IO[bytes] | None = None
        # full disk: without a lock, the folder merely stays if this process is killed
        with suppress(OSError):
            new = self.path / f"{_LOCK}-new"
            new.write_bytes(_host())
            self._lock = _locked(new)
            new.rename(self.path / _LOCK)  # already locked, so nobody finds it free

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        self._folder.cleanup()
        if self._lock is not None:
            self._lock.close()


def _locked(path: Path) -> IO[bytes] | None:
    """Return the file under a lock; None if another process holds it."""
    file = path.open("rb")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
    return file


def _remove_if_left(folder: Path) -> None:
    lock = folder / _LOCK
    with suppress(OSError):
        # leave folders of other users alone
        if fcntl is None or folder.is_symlink() or folder.stat().st_uid != os.getuid() or not lock.is_file():
            return
        held = _locked(lock) if lock.read_bytes() == _host() else None
        if held is not None:
            rmtree(folder, ignore_errors=True)
            held.close()


def _host() -> bytes:
    return gethostname().encode()


@contextmanager
def _explained() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _explain(error) from error


def _explain(error: Exception) -> ChurnRiskError:
    """Turn a DuckDB error into one that says how to fix it."""
    import duckdb

    text = first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException) or "Could not write" in text:
        return ChurnRiskError(
            f"out of memory or spill space: {text} Raise memory_limit under [engine] in churnrisk.toml, "
            "or point temp_directory at a disk with more room."
        )
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException | duckdb.ParserException):
        return UsageError(f"SQL does not run: {text} Correct it in churnrisk.toml.")
    return _file_error(error, text) or ChurnRiskError(f"the table engine failed: {text}")


def spark_not_installed(error: ModuleNotFoundError) -> UsageError:
    """Return the error for a package of Spark's that is missing."""
    return UsageError(
        f'engine = "spark" needs {error.name}, which is not installed. Run: pip install "churnrisk[spark]".'
    )


def first_line(error: Exception) -> str:
    """Return the sentence that opens an engine error."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return line if line.endswith((".", "!", "?")) else line + "."


def _file_error(error: Exception, text: str) -> ChurnRiskError | None:
    """Return the error for an unreadable file, if it is one."""
    import duckdb

    details = _details(error)
    for pattern, kind, message in _FILE_ERRORS:
        if re.search(pattern, str(error), re.IGNORECASE):
            return kind(message.format(text=text, details=details))
    if isinstance(error, duckdb.IOException):
        return ContractError(f"a file cannot be read: {text} Check the path and whether the file is whole.")
    if isinstance(
        error, duckdb.InvalidInputException | duckdb.ConversionException | duckdb.OutOfRangeException
    ):
        return ContractError(
            f"a table cannot be read: {details}. Correct that value, or say what stands for "
            "an unknown one: nulls = [\"NA\"] for a path, nullstr = 'NA' inside read_csv(…)."
        )
    return None


def _details(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    starts = ("Error when", "Could not", "Expected", "Invalid", "file =")
    details = [line for line in lines[1:] if line.startswith(starts)]
    return " ".join([*(line.removesuffix(".") for line in lines[:1]), *details[:3]])


#: Functions in a from clause that read nothing.
_SERIES = frozenset({"unnest", "range", "generate_series"})
#: The clock and the session by their SQL keywords, which parse as columns.
_KEYWORDS = frozenset(
    {f"current_{what}" for what in ("date", "time", "timestamp", "user", "role", "catalog", "schema")}
    | {"localtime", "localtimestamp", "user", "session_user"}
)


@dataclass
class SqlNames:
    """What an SQL expression names, spelled as it does.

    ``relations`` are those it reads, its own common tables aside; ``unsteady`` the functions whose value depends on
    more than their arguments: the clock, random numbers, settings, files.
    """

    relations: set[str] = field(default_factory=set)
    unsteady: set[str] = field(default_factory=set)


@cache
def names_in(sql: str) -> SqlNames:
    """Return what one SQL expression names, by DuckDB's own parser; UsageError if it is no expression, or several."""
    import duckdb

    with duckdb.connect() as connection:
        found = SqlNames()
        reader = _SqlReader(connection, found)
        tree = reader.parsed(sql)
        if tree is None:
            raise UsageError(f"expected one SQL expression, found {sql!r}. Correct it in churnrisk.toml.")
        reader.read(tree, frozenset())
    return found


class _SqlReader:
    """Walks a parsed statement; a macro is what it stands for."""

    def __init__(self, connection: Any, found: SqlNames) -> None:
        self.found = found
        self._connection = connection
        listed = (
            "select lower(function_name), stability, function_type, macro_definition from duckdb_functions() "
            "where stability <> 'CONSISTENT' or function_type = 'macro'"
        )
        rows = connection.execute(listed).fetchall()
        self._macros = {name: definition for name, _, kind, definition in rows if kind == "macro"}
        self._unsteady = {name for name, _, kind, _ in rows if kind != "macro"}

    def parsed(self, sql: str) -> Any:
        """Return the tree of one expression; None if it is none."""
        text = self._connection.execute("select json_serialize_sql(?)", [f"select ({sql})"]).fetchone()[0]
        tree = json.loads(text)
        statements = tree.get("statements", [])
        nodes = [statement["node"] for statement in statements]
        single = len(nodes) == 1 and nodes[0]["type"] == "SELECT_NODE" and len(nodes[0]["select_list"]) == 1
        return nodes[0] if single and nodes[0]["from_table"]["type"] == "EMPTY" else None

    def read(self, node: Any, scope: frozenset[str]) -> None:
        """Collect the names of a node and those below it; ``scope`` are common tables."""
        if isinstance(node, list):
            for child in node:
                self.read(child, scope)
        if not isinstance(node, dict):
            return
        if node.get("type") == "RECURSIVE_CTE_NODE":
            scope |= {node["cte_name"].lower()}
        for entry in node.get("cte_map", {}).get("map", ()):
            self.read(entry["value"], scope)
            scope |= {entry["key"].lower()}
        self._name(node, scope)
        for key, child in node.items():
            if key != "cte_map":
                self.read(child, scope)

    def _name(self, node: dict[str, Any], scope: frozenset[str]) -> None:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            path = [node[part] for part in ("catalog_name", "schema_name", "table_name") if node.get(part)]
            if len(path) > 1 or path[0].lower() not in scope:
                self.found.relations.add(".".join(path))
        if kind == "TABLE_FUNCTION" and (name := node["function"]["function_name"]) not in _SERIES:
            self.found.unsteady.add(name)
        if kind == "SHOW_REF" or node.get("sample"):
            self.found.unsteady.add("describe" if kind == "SHOW_REF" else "sample")
        if kind == "COLUMN_REF" and len(names := node["column_names"]) == 1 and names[0].lower() in _KEYWORDS:
            self.found.unsteady.add(names[0])
        if name := node.get("function_name"):
            self._call(name, node)

    def _call(self, name: str, node: dict[str, Any]) -> None:
        # with one argument it counts from today, though DuckDB lists it as consistent
        today = name.lower() == "age" and len(node.get("arguments", node.get("children", ()))) == 1
        inner = SqlNames()
        if definition := self._macros.get(name.lower()):
            reader = _SqlReader(self._connection, inner)
            reader._macros = {key: text for key, text in self._macros.items() if key != name.lower()}
            tree = reader.parsed(definition)
            if tree is not None:
                reader.read(tree, frozenset())
        if today or name.lower() in self._unsteady or inner.unsteady or inner.relations:
            self.found.unsteady.add(name)
