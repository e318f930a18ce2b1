"""The table engine: one in-process DuckDB that spills to disk beyond its memory limit."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from churnrisk.errors import ChurnRiskError, ContractError, UsageError
from churnrisk.sources.config import EngineConfig
from churnrisk.sources.quoting import identifier, literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Engine:
    """Runs SQL over the project's tables; use it as a context manager.

    Parameters
    ----------
    config : EngineConfig
        Memory limit, spill directory, threads.
    base : Path
        Directory against which relative file names in SQL are resolved.
    """

    def __init__(self, config: EngineConfig, *, base: Path) -> None:
        import duckdb

        self._spill = tempfile.TemporaryDirectory(prefix="churnrisk-", dir=_spill_parent(config))
        self._connection = duckdb.connect(":memory:")
        self.base = base
        settings = {
            "memory_limit": config.memory_limit,
            "temp_directory": self._spill.name,
            "file_search_path": str(base),
            "TimeZone": "UTC",
        }
        try:
            for name, value in settings.items():
                self._connection.execute(f"set {name} = {literal(value)}")
            self._connection.execute("set preserve_insertion_order = false")
            if config.threads:
                self._connection.execute(f"set threads = {int(config.threads)}")
        except duckdb.Error as error:
            self.close()
            raise UsageError(f"[engine] in churnrisk.toml: {_first_line(error)}") from error

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection and the spill directory."""
        self._connection.close()
        self._spill.cleanup()

    def run(self, sql: str) -> None:
        """Execute a statement for its effect."""
        self._execute(sql).fetchall()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a small result."""
        return list(self._execute(sql).fetchall())

    def value(self, sql: str) -> Any:
        """Return the first column of the only row."""
        return self.rows(sql)[0][0]

    def frame(self, sql: str) -> pd.DataFrame:
        """Return the result as a pandas data frame."""
        frame: pd.DataFrame = self._execute(sql).df()
        return frame

    def arrow(self, sql: str) -> pa.Table:
        """Return the result as an Arrow table."""
        import duckdb

        try:
            return self._connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise explain(error) from error

    def columns(self, relation: str) -> dict[str, str]:
        """Names and types of a relation's columns, as DuckDB names the types."""
        described = self.rows(f"describe select * from {relation}")
        return {row[0]: row[1] for row in described}

    def table_from(self, name: str, table: pd.DataFrame | pa.Table) -> None:
        """Make a temporary table of a data frame or Arrow table."""
        self._connection.register("incoming", table)
        try:
            self.run(f"create or replace temp table {identifier(name)} as select * from incoming")
        finally:
            self._connection.unregister("incoming")

    def _execute(self, sql: str) -> Any:
        import duckdb

        try:
            return self._connection.execute(sql)
        except duckdb.Error as error:
            raise explain(error) from error


def explain(error: Exception) -> ChurnRiskError:
    """Turn an engine error into one for a person."""
    import duckdb

    text = _first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return ChurnRiskError(
            f"out of memory or spill space: {text} Raise memory_limit under [engine] in churnrisk.toml, "
            "or point temp_directory at a disk with more room."
        )
    if re.search(r"unicode|utf-8|encod", text, re.IGNORECASE):
        return ContractError(
            f"a file is not in the expected encoding: {_file_trouble(error)} Save it as UTF-8, or set "
            'encoding = "latin-1" for its table in churnrisk.toml.'
        )
    if isinstance(error, duckdb.IOException):
        return ContractError(f"a file cannot be read: {text} Check the path and whether the file is whole.")
    if isinstance(error, duckdb.InvalidInputException | duckdb.ConversionException):
        return ContractError(
            f"a table cannot be read: {_file_trouble(error)}. Correct that line, or say what stands for "
            "an unknown value: nulls = [\"NA\"] for a path, nullstr = 'NA' inside read_csv(…)."
        )
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException | duckdb.ParserException):
        return UsageError(f"SQL does not run: {text} Mend it in churnrisk.toml.")
    return ChurnRiskError(f"the table engine failed: {text}")


def _file_trouble(error: Exception) -> str:
    """Return what a reader says of a file, without its advice for SQL authors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    wanted = [
        line
        for line in lines[1:]
        if line.startswith(("Error when", "Could not", "Expected", "Invalid", "file ="))
    ]
    return " ".join([lines[0].removesuffix("."), *wanted[:3]])


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0]
    # the engine's own file:line hints mean nothing to our users
    return line if line.endswith((".", "!", "?")) else line + "."


def _spill_parent(config: EngineConfig) -> str | None:
    if config.temp_directory is None:
        return None
    path = Path(config.temp_directory).expanduser()
    if not path.is_dir():
        raise UsageError(
            f"[engine] temp_directory {path} is not a directory. Make it, or leave the setting out."
        )
    return str(path)
