"""The table engine for more than one machine: what is large lives in Spark, what is small beside it.

Relations that come from Parquet files and catalog tables are Spark's. Everything else (as-of dates, segments and
other helper tables, CSV files, database tables) is made by the engine in this process, in the same SQL, and is
handed to Spark as Arrow once a statement needs both. Nothing but names and results crosses otherwise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnrisk.errors import UsageError
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind, find_files, fingerprint
from churnrisk.sources.quoting import identifier
from churnrisk.sources.spark_session import explain_spark, start, stop
from churnrisk.sources.spark_sql import Statement, parse, to_spark

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

#: What a worker does: from what every worker was given and batches of rows to batches of rows.
Worker = Callable[[bytes, Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]

#: Handed over, a relation of so many rows is copied to every worker, so that joining it moves no large one.
_SMALL_ROWS = 200_000

_TYPES = {
    "string": "VARCHAR",
    "timestamp_ntz": "TIMESTAMP",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "int": "INTEGER",
    "float": "FLOAT",
}


class SparkEngine(Engine):
    """Runs SQL in DuckDB's dialect over tables that Spark can see; use it as a context manager.

    Parameters
    ----------
    config : EngineConfig
        ``spark`` holds Spark's own settings, the rest is for the engine in this process.
    base : Path
        Directory against which relative file names are resolved.

    Raises
    ------
    UsageError
        If pyspark or Java is missing, or Spark does not start.
    """

    def __init__(self, config: EngineConfig, *, base: Path) -> None:
        self._frames: dict[str, DataFrame] = {}
        self._handed: set[str] = set()
        self._session: SparkSession | None = None
        super().__init__(config, base=base)
        # of its own beside what the engine in this process spills
        folder = self.scratch / "spark"
        folder.mkdir()
        try:
            self._session = start(
                config.spark, folder=folder, threads=config.threads, log=folder / "spark.log"
            )
        except BaseException:
            self.close()
            raise

    @property
    def session(self) -> SparkSession:
        """The session, while the engine is open."""
        assert self._session is not None  # noqa: S101 - whoever has the engine has it started
        return self._session

    def close(self) -> None:
        """End Spark, and release what the engine in this process holds."""
        if self._session is not None:
            stop(self._session)
            self._session = None
        super().close()

    def opens(self, config: TableConfig) -> bool:
        """Say whether a table is read by Spark itself: Parquet files, and tables of its catalog."""
        path = config.path or ""
        kind = file_kind(path)
        return super().opens(config) or kind == "parquet" or (kind is None and "://" in path)

    def open_source(self, name: str, config: TableConfig) -> object:
        """Create ``source_<name>`` and return what identifies its content.

        Raises
        ------
        UsageError, ContractError
            If there is no such file or table, or it cannot be read.
        """
        if config.table:
            frame = self._tried(lambda: self.session.read.table(str(config.table)))
            self._name(f"source_{name}", frame)
            return self._files_of(f"source_{name}")
        path = str(config.path)
        reader = self.session.read.option("mergeSchema", True)
        if "://" in path:
            self._name(f"source_{name}", self._tried(lambda: reader.parquet(path)))
            return self._files_of(f"source_{name}")
        files = find_files(path, base=self.base, table=name)
        # a file that is called like a pattern is meant as it is
        names = [f"file://{file.resolve()}".translate({ord(c): f"\\{c}" for c in "*?[]{}"}) for file in files]
        self._name(f"source_{name}", self._tried(lambda: reader.parquet(*names)))
        return fingerprint(files)

    def keyed(self, accounts: str) -> str:
        """Return the query of a relation's distinct ``account_id`` with an ``account_key``: the id again."""
        return f"select distinct account_id, account_id as account_key from {accounts}"

    def table_from(self, name: str, table: pd.DataFrame | pa.Table) -> None:
        """Make a helper table of a data frame or Arrow table."""
        self._forget(name)
        super().table_from(name, table)

    def drop(self, *names: str) -> None:
        """Keep them: what was made of them may have to be made again, where a worker was lost."""

    def arrow(self, sql: str) -> pa.Table:
        """Return the result as an Arrow table."""
        statement = self._for_spark(sql)
        return super().arrow(sql) if statement is None else self._tried(self._frame(statement).toArrow)

    def columns(self, relation: str) -> dict[str, str]:
        """Names and types of a relation's columns, as DuckDB names the types."""
        statement = self._for_spark(f"select * from {relation}")
        if statement is None:
            return super().columns(relation)
        return {name: _TYPES.get(type_, type_.upper()) for name, type_ in self._frame(statement).dtypes}

    def plan(self, sql: str) -> str:
        """Return how Spark runs a query: the physical plan as text."""
        frame = self._frame(parse(sql))
        return str(frame._jdf.queryExecution().executedPlan().toString())

    def write_mapped(self, sql: str, worker: Worker, *, given: bytes, schema: pa.Schema, path: str) -> None:
        """Send the rows of a query through a function on the workers, and write what comes out as Parquet.

        Parameters
        ----------
        sql : str
            The query.
        worker : callable
            A function of an importable module.
        given : bytes
            Copied to every worker once.
        schema : Schema
            Of what comes out.
        path : str
            A folder; what is there is replaced.
        """
        from pyspark.sql.pandas.types import from_arrow_schema

        shared = self.session.sparkContext.broadcast(given)

        def mapped(batches: Any) -> Any:
            return worker(shared.value, batches)

        frame, made = self._frame(parse(sql)), from_arrow_schema(schema, prefer_timestamp_ntz=True)
        with warnings.catch_warnings():
            # of pandas 3, for what goes through pandas; this goes through Arrow
            warnings.simplefilter("ignore", FutureWarning)
            rows = self._tried(lambda: frame.mapInArrow(mapped, made))
        self._tried(lambda: rows.write.mode("overwrite").parquet(path))
        shared.destroy()

    def is_written(self, path: str) -> bool:
        """Say whether :meth:`write_mapped` has written there, to the end."""
        return bool(self._files(f"{path}/_SUCCESS", "exists"))

    def remove(self, path: str) -> None:
        """Remove what :meth:`write_mapped` wrote."""
        self._files(path, "delete", True)

    def _files(self, path: str, act: str, *more: Any) -> Any:
        """Let the file system of a path, whichever it is, do something with it."""
        jvm: Any = self.session._jvm
        place = jvm.org.apache.hadoop.fs.Path(path)
        system = place.getFileSystem(self.session._jsc.hadoopConfiguration())
        return self._tried(lambda: getattr(system, act)(place, *more))

    def open_written(self, name: str, folder: str) -> None:
        """Make a relation of a folder of Parquet files, wherever Spark sees it."""
        self._name(name, self._tried(lambda: self.session.read.parquet(folder)))

    def _execute(self, sql: str) -> Any:
        statement = self._for_spark(sql)
        if statement is None:
            self._forget(parse(sql).makes)
            return super()._execute(sql)
        if not statement.is_query:
            raise UsageError(
                f"Spark changes no tables, which this command needs ({sql.split()[0]} of "
                f'{", ".join(sorted(statement.reads))}). Set engine = "duckdb" in churnrisk.toml for it.'
            )
        frame = self._frame(statement)
        if statement.makes is None:
            return _Answer(self._tried(frame.toArrow))
        if statement.how == "insert":
            frame = self._frame(parse(f"select * from {identifier(statement.makes)}")).unionAll(frame)
        if statement.how != "view":
            # computed when it is made: then Spark knows its size, and copies small ones instead of sorting large ones
            frame = frame.persist()
            self._tried(frame.count)
        self._name(statement.makes, frame)
        return _Answer(None)

    def _for_spark(self, sql: str) -> Statement | None:
        """Return the statement taken apart if it reads something of Spark's, else None."""
        if self._session is None:
            return None
        statement = parse(sql)
        unknown = [name for name in statement.reads - set(self._frames) if not self._is_here(name)]
        for name in unknown:
            if self._tried(partial(self.session.catalog.tableExists, name)):
                self._frames[name] = self.session.table(name)
        return statement if statement.reads & set(self._frames) else None

    def _is_here(self, name: str) -> bool:
        query = (
            "select 1 from duckdb_tables() where lower(table_name) = $1 "
            "union all select 1 from duckdb_views() where lower(view_name) = $1"
        )
        return bool(self._connection.execute(query, [name]).fetchall())

    def _frame(self, statement: Statement) -> DataFrame:
        for name in statement.reads:
            if name not in self._frames and name not in self._handed and self._is_here(name):
                self._hand(name)
        frame: DataFrame = self._tried(lambda: self.session.sql(to_spark(statement, self.columns)))
        return frame

    def _hand(self, name: str) -> None:
        rows = super().arrow(f"select * from {identifier(name)}")
        frame = self._tried(lambda: self.session.createDataFrame(rows))
        frame = frame.hint("broadcast") if rows.num_rows <= _SMALL_ROWS else frame.persist()
        frame.createOrReplaceTempView(name)
        self._handed.add(name)

    def _forget(self, name: str | None) -> None:
        """Let a name be another relation's: what Spark has of it is out of date."""
        if name is None:
            return
        self._handed.discard(name)
        former = self._frames.pop(name, None)
        if former is not None:
            former.unpersist()
            self.session.catalog.dropTempView(name)

    def _name(self, name: str, frame: DataFrame) -> None:
        self._forget(name)
        frame.createOrReplaceTempView(name)
        self._frames[name] = frame

    def _files_of(self, name: str) -> object:
        """Return names, sizes and times of the files behind a relation; a sum of its rows where it has none."""
        from pyspark.errors import AnalysisException

        told = ("file_path", "file_size", "file_modification_time")
        try:
            files = self._frames[name].selectExpr(*(f"_metadata.{part}" for part in told)).distinct()
            return sorted(map(str, files.collect()))
        except AnalysisException:
            return self.rows(f"select count(*), sum(hash(s)) from {name} s")

    def _tried(self, act: Callable[[], Any]) -> Any:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            return act()
        except (PySparkException, Py4JError) as error:
            raise explain_spark(error) from error


class _Answer:
    """What Spark answers, as the engine in this process would hand it out."""

    def __init__(self, rows: pa.Table | None) -> None:
        self._rows = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        if self._rows is None:
            return []
        return list(zip(*(column.to_pylist() for column in self._rows.columns), strict=True))

    def df(self) -> pd.DataFrame:
        assert self._rows is not None  # noqa: S101 - only queries are asked for their frame
        frame: pd.DataFrame = self._rows.to_pandas()
        return frame
