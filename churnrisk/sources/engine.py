"""The table engine: one in-process DuckDB that spills to disk beyond its memory limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from churnrisk.errors import UsageError
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.explain import explain, first_line
from churnrisk.sources.quoting import identifier, literal
from churnrisk.sources.scratch import ScratchFolder

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
            # it would draw into stdout, which belongs to results
            if self.value("select current_setting('enable_progress_bar')"):
                # in a notebook without ipywidgets it is off, and DuckDB refuses even to be told so
                self._connection.execute("set enable_progress_bar = false")
            # an extension fetched from the network would make a run depend on it
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def scratch(self) -> Path:
        """A folder for what need not outlive the engine."""
        return self._spill.path

    def close(self) -> None:
        """Release the connection and the spill directory."""
        self._connection.close()
        self._spill.remove()

    def opens(self, config: TableConfig) -> bool:
        """Say whether :meth:`open_source` reads a table in a way of the engine's own."""
        return bool(config.table and not config.url)

    def open_source(self, name: str, config: TableConfig) -> object:
        """Create ``source_<name>`` and return what identifies its content.

        Raises
        ------
        UsageError
            If the engine cannot read such a table.
        """
        raise UsageError(
            f"table = {config.table!r} without a url is a table of Spark's catalog. "
            'Set engine = "spark" at the top of churnrisk.toml, or give the url of its database.'
        )

    def open_written(self, name: str, folder: str) -> None:
        """Make a relation of a folder of Parquet files.

        Raises
        ------
        UsageError
            If there are none.
        """
        self.run(f"create or replace temp view {name} as from read_parquet({literal(folder + '/*.parquet')})")

    def keyed(self, accounts: str) -> str:
        """Return the query of a relation's distinct ``account_id`` with an ``account_key`` that is quick to join by."""
        ids = f"(select distinct account_id from {accounts})"
        return f"select account_id, (row_number() over ())::int as account_key from {ids}"

    def run(self, sql: str) -> None:
        """Execute a statement for its effect."""
        if self._recorded is not None:
            self._recorded.append(sql)
        self._execute(sql).fetchall()

    def drop(self, *names: str) -> None:
        """Let go of tables that nothing reads any more: they count as memory."""
        for name in names:
            self._execute(f"drop table if exists {identifier(name)}")

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """Yield a list that fills with the statements which :meth:`run` executes meanwhile."""
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
        import duckdb

        try:
            # not by `describe`, which spells renamed columns as their source does
            described = self._connection.sql(f"select * from {relation}")
            return dict(zip(described.columns, map(str, described.types), strict=True))
        except duckdb.Error as error:
            raise explain(error) from error

    def table_from(self, name: str, table: pd.DataFrame | pa.Table | pa.RecordBatchReader) -> None:
        """Make a temporary table of a data frame, an Arrow table or a stream of batches."""
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


def _spill_parent(config: EngineConfig) -> str | None:
    if config.temp_directory is None:
        return None
    path = Path(config.temp_directory).expanduser()
    if not path.is_dir():
        raise UsageError(
            f"[engine] temp_directory {path} is not a directory. Make it, or leave the setting out."
        )
    return str(path)
