"""The table engine for more than one machine: large relations live in Spark, small ones in DuckDB beside it.

Parquet files and catalog tables are Spark's. Everything else (as-of dates, helper tables, CSV files, database tables)
is made by DuckDB in this process, in the same SQL, and handed to Spark as Arrow once a statement needs both.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnrisk.contract import identifier
from churnrisk.errors import ChurnRiskError, ContractError, UsageError
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.engine import Engine, first_line, spark_not_installed
from churnrisk.sources.files import file_kind, find_files, fingerprint
from churnrisk.sources.spark_sql import Statement, parse, to_spark

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

#: A function on the workers: from the broadcast bytes and batches of rows to batches of rows.
Worker = Callable[[bytes, Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]

#: Relations up to so many rows are broadcast, so that joining them moves no large one.
_SMALL_ROWS = 200_000
#: So many rows go to a worker at once, or as few as one key has.
_BUCKET_ROWS = 500_000

_TYPES = {
    "string": "VARCHAR",
    "timestamp_ntz": "TIMESTAMP",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "int": "INTEGER",
    "float": "FLOAT",
}
#: Results depend on these; the user's settings cannot change them.
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
_LOCAL = {
    "spark.master": "local[*]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
_DEFAULTS = {
    "spark.app.name": "churnrisk",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_OLDEST_JAVA = 17
_DAMAGED = "FAILED_READ_FILE|not a Parquet file|Could not read footer|CANNOT_READ_FILE_FOOTER|corrupt|ChecksumException"


class SparkEngine(Engine):
    """Runs SQL in DuckDB's dialect over tables that Spark can see; a context manager."""

    distributed = True

    def __init__(self, config: EngineConfig, *, base: Path) -> None:
        self._frames: dict[str, DataFrame] = {}
        self._handed: set[str] = set()
        self._session: SparkSession | None = None
        super().__init__(config, base=base)
        folder = self.scratch / "spark"
        folder.mkdir()
        try:
            self._session = _start(
                config.spark, folder=folder, threads=config.threads, log=folder / "spark.log"
            )
        except BaseException:
            self.close()
            raise

    @property
    def session(self) -> SparkSession:
        """The Spark session; only while the engine is open."""
        assert self._session is not None  # noqa: S101 - started by __init__
        return self._session

    def close(self) -> None:
        """Stop Spark and close DuckDB."""
        if self._session is not None:
            gateway = self._session.sparkContext._gateway
            self._session.stop()
            _close(gateway)
            self._session = None
        super().close()

    def opens(self, config: TableConfig) -> bool:
        """Say whether Spark reads the table: Parquet files, and tables of its catalog."""
        path = config.path or ""
        kind = file_kind(path)
        return super().opens(config) or kind == "parquet" or (kind is None and "://" in path)

    def open_source(self, name: str, config: TableConfig) -> object:
        """Create ``source_<name>`` and return what identifies its content."""
        if config.table:
            frame = self._call(lambda: self.session.read.table(str(config.table)))
            self._name(f"source_{name}", frame)
            return self._files_of(f"source_{name}")
        path = str(config.path)
        reader = self.session.read.option("mergeSchema", True)
        if "://" in path:
            self._name(f"source_{name}", self._call(lambda: reader.parquet(path)))
            return self._files_of(f"source_{name}")
        files = find_files(path, base=self.base, table=name)
        # escape wildcards in file names
        names = [f"file://{file.resolve()}".translate({ord(c): f"\\{c}" for c in "*?[]{}"}) for file in files]
        self._name(f"source_{name}", self._call(lambda: reader.parquet(*names)))
        return fingerprint(files)

    def keyed(self, accounts: str) -> str:
        """Return the query of a relation's distinct ``account_id``, which is its ``account_key`` too."""
        return f"select distinct account_id, account_id as account_key from {accounts}"

    def hashed(self, *values: str) -> str:
        """Return the expression of a 64-bit hash."""
        return f"xxhash64({', '.join(values)})"

    def table_from(self, name: str, table: pd.DataFrame | pa.Table) -> None:
        """Create a helper table from a data frame or Arrow table."""
        self._forget(name)
        super().table_from(name, table)

    def drop(self, *names: str) -> None:
        """Do nothing: Spark recomputes from these tables what a lost worker held."""

    def arrow(self, sql: str) -> pa.Table:
        """Return the result as an Arrow table."""
        statement = self._for_spark(sql)
        return super().arrow(sql) if statement is None else self._call(self._frame(statement).toArrow)

    def columns(self, relation: str) -> dict[str, str]:
        """Names and types of a relation's columns, as DuckDB names the types."""
        statement = self._for_spark(f"select * from {relation}")
        if statement is None:
            return super().columns(relation)
        return {name: _TYPES.get(type_, type_.upper()) for name, type_ in self._frame(statement).dtypes}

    def plan(self, sql: str) -> str:
        """Return the physical plan of a query as text."""
        frame = self._frame(parse(sql))
        return str(frame._jdf.queryExecution().executedPlan().toString())

    def write_mapped(self, sql: str, worker: Worker, *, given: bytes, schema: pa.Schema, path: str) -> None:
        """Map the rows of a query by an importable function on the workers; write Parquet in place of ``path``."""
        from pyspark.sql.pandas.types import from_arrow_schema

        shared = self.session.sparkContext.broadcast(given)

        def mapped(batches: Any) -> Any:
            return worker(shared.value, batches)

        frame, made = self._frame(parse(sql)), from_arrow_schema(schema, prefer_timestamp_ntz=True)
        with warnings.catch_warnings():
            # pandas 3 warns about a path through pandas; this one is Arrow
            warnings.simplefilter("ignore", FutureWarning)
            rows = self._call(lambda: frame.mapInArrow(mapped, made))
        self._call(lambda: rows.write.mode("overwrite").parquet(path))
        shared.destroy()

    def map_buckets(self, name: str, rows: str, key: str, compute: Callable[[pa.Table], pa.Table]) -> None:
        """Create a relation of what an importable function makes of rows, all of one key at once, on the workers."""
        from pyspark.sql.functions import expr
        from pyspark.sql.pandas.types import from_arrow_schema

        some, number = (
            f"select * from {rows} where {key} is not null",
            self.value(f"select count(*) from {rows}"),
        )
        schema = from_arrow_schema(compute(self.arrow(f"{some} limit 0")).schema, prefer_timestamp_ntz=True)
        partitions = int(str(self.session.conf.get("spark.sql.shuffle.partitions", "200")))
        buckets = max(partitions, number // _BUCKET_ROWS)

        def computed(table: pa.Table) -> pa.Table:
            return compute(table)

        frame = self._frame(parse(some)).groupBy(expr(f"pmod(hash({key}), {buckets})"))
        with warnings.catch_warnings():
            # pandas 3 warns about a path through pandas; this one is Arrow
            warnings.simplefilter("ignore", FutureWarning)
            made = self._call(lambda: frame.applyInArrow(computed, schema).persist())
        self._call(made.count)
        self._name(name, made)

    def is_written(self, path: str) -> bool:
        """Say whether :meth:`write_mapped` has completed there."""
        return bool(self._files(f"{path}/_SUCCESS", "exists"))

    def remove(self, path: str) -> None:
        """Remove what :meth:`write_mapped` wrote."""
        self._files(path, "delete", True)

    def _files(self, path: str, act: str, *more: Any) -> Any:
        """Call a method of the Hadoop file system that the path belongs to."""
        jvm: Any = self.session._jvm
        place = jvm.org.apache.hadoop.fs.Path(path)
        system = place.getFileSystem(self.session._jsc.hadoopConfiguration())
        return self._call(lambda: getattr(system, act)(place, *more))

    def open_written(self, name: str, folder: str) -> None:
        """Create a relation of a folder of Parquet files, wherever Spark sees it."""
        self._name(name, self._call(lambda: self.session.read.parquet(folder)))

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
            return _Answer(self._call(frame.toArrow))
        if statement.how == "insert":
            frame = self._frame(parse(f"select * from {identifier(statement.makes)}")).unionAll(frame)
        if statement.how != "view":
            # computed at once: Spark then knows its size and broadcasts small ones instead of sorting large ones
            frame = frame.persist()
            self._call(frame.count)
        self._name(statement.makes, frame)
        return _Answer(None)

    def _for_spark(self, sql: str) -> Statement | None:
        """Return the parsed statement if it reads a relation of Spark's, else None."""
        if self._session is None:
            return None
        statement = parse(sql)
        for name in statement.reads - set(self._frames):
            if not self._is_here(name) and self._call(partial(self.session.catalog.tableExists, name)):
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
        frame: DataFrame = self._call(lambda: self.session.sql(to_spark(statement, self.columns)))
        return frame

    def _hand(self, name: str) -> None:
        rows = super().arrow(f"select * from {identifier(name)}")
        frame = self._call(lambda: self.session.createDataFrame(rows))
        frame = frame.hint("broadcast") if rows.num_rows <= _SMALL_ROWS else frame.persist()
        frame.createOrReplaceTempView(name)
        self._handed.add(name)

    def _forget(self, name: str | None) -> None:
        """Drop what Spark has under a name that is about to be redefined."""
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
        """Return names, sizes and times of the files behind a relation, or a hash of its rows where it has none."""
        from pyspark.errors import AnalysisException

        fields = ("file_path", "file_size", "file_modification_time")
        try:
            files = self._frames[name].selectExpr(*(f"_metadata.{field}" for field in fields)).distinct()
            return sorted(map(str, files.collect()))
        except AnalysisException:
            return self.rows(f"select count(*), sum(hash(s)) from {name} s")

    def _call(self, act: Callable[[], Any]) -> Any:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            return act()
        except (PySparkException, Py4JError) as error:
            raise _explain_spark(error) from error


class _Answer:
    """A Spark result with the interface of DuckDB's."""

    def __init__(self, rows: pa.Table | None) -> None:
        self._rows = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        if self._rows is None:
            return []
        return list(zip(*(column.to_pylist() for column in self._rows.columns), strict=True))


def _start(settings: Mapping[str, str], *, folder: Path, threads: int | None, log: Path) -> SparkSession:
    """Start Spark, in this machine unless settings or environment name a master; Java's output goes to ``log``."""
    _require_java()
    try:
        with warnings.catch_warnings():
            # pandas 3 warns about a path through pandas, which is not used here
            warnings.simplefilter("ignore", FutureWarning)
            from py4j.protocol import Py4JError
            from pyspark import SparkConf, SparkContext
            from pyspark.errors import PySparkException
            from pyspark.java_gateway import launch_gateway
            from pyspark.sql import SparkSession
            from pyspark.testing import utils as _utils  # noqa: F401 - the first call would load it
    except ModuleNotFoundError as error:
        raise spark_not_installed(error) from error
    if SparkContext._active_spark_context is not None:
        raise UsageError(
            "Spark runs in this process already. Stop that session first, or use another process."
        )
    local = dict(_LOCAL) if not _names_master(settings) else {}
    if local and threads:
        local["spark.master"] = f"local[{threads}]"
    chosen = {**_DEFAULTS, **local, **settings, **_FIXED}
    if chosen.get("spark.master", "").startswith("local"):
        chosen.setdefault("spark.local.dir", str(folder))
        chosen.setdefault("spark.sql.warehouse.dir", str(folder / "warehouse"))
        chosen.setdefault("spark.sql.shuffle.partitions", str(2 * (os.cpu_count() or 1)))
        chosen.setdefault("spark.pyspark.python", sys.executable)
    # what it logs is raised too, and explained by _explain_spark
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    conf = SparkConf().setAll(list(chosen.items()))
    gateway = None
    try:
        with log.open("ab") as output:
            # the gateway has no types
            gateway = launch_gateway(conf, popen_kwargs={"stdout": output, "stderr": output})  # type: ignore[no-untyped-call]
        context = SparkContext(conf=conf, gateway=gateway)
        # local workers use this process's Python
        context.pythonExec = chosen.get("spark.pyspark.python", context.pythonExec)
        return SparkSession(context)
    except (PySparkException, Py4JError, OSError) as error:
        cause = next((line for line in str(error).splitlines() if "Exception:" in line), "")
        _close(gateway)
        raise UsageError(
            f"Spark does not start: {cause or _last_words(log) or first_line(error)} It needs Java 17 or later; "
            "correct [engine.spark] in churnrisk.toml, or the installation of Java."
        ) from error


def _close(gateway: Any) -> None:
    """End the Java process."""
    from pyspark import SparkContext

    if gateway is None:
        return
    gateway.shutdown()
    process = getattr(gateway, "proc", None)
    if process is not None:
        # Java ends when the pipe to it does
        process.stdin.close()
        process.wait(timeout=30)
    SparkContext._gateway = SparkContext._jvm = None


def _explain_spark(error: Exception) -> ChurnRiskError:
    """Turn a Spark error into one that says how to fix it."""
    from pyspark.errors import AnalysisException, PythonException

    whole = str(error)
    text = first_line(error)
    if isinstance(error, PythonException):
        causes = re.findall(r"^[\w.]*(?:Error|Exception|Warning): .+$", whole, re.MULTILINE)
        return ChurnRiskError(f"a worker of Spark failed: {causes[-1] if causes else text}")
    if re.search("CANNOT_MERGE_SCHEMAS|Failed merging schema|PARQUET_COLUMN_DATA_TYPE_MISMATCH", whole):
        return ContractError(
            f"a column has different types in the files of one table: {text} Save the files with one type."
        )
    if re.search(_DAMAGED, whole, re.IGNORECASE):
        file = re.search(r"file:(/[^\s'\",]+?\.(?:parquet|pq))", whole)
        return ContractError(f"a file is damaged: {f'{file[1]}.' if file else text} Copy or export it again.")
    if re.search("OutOfMemoryError|No space left on device", whole):
        return ChurnRiskError(
            f"Spark is out of memory or disk: {text} Give it more in [engine.spark] of churnrisk.toml "
            '("spark.driver.memory", "spark.executor.memory", "spark.local.dir").'
        )
    if "PATH_NOT_FOUND" in whole or "TABLE_OR_VIEW_NOT_FOUND" in whole:
        return UsageError(f"Spark does not find a table or file: {text} Correct [tables] in churnrisk.toml.")
    if isinstance(error, AnalysisException):
        return UsageError(f"SQL does not run on Spark: {text} Correct it in churnrisk.toml.")
    return ChurnRiskError(f"Spark failed: {text}")


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if home and not (Path(home) / "bin" / "java").is_file():
        raise UsageError(
            f'engine = "spark" needs Java 17 or later; JAVA_HOME is {home}, which has no bin/java. Correct it, '
            'or set engine = "duckdb" in churnrisk.toml.'
        )
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        raise UsageError(
            'engine = "spark" needs Java 17 or later; found none: JAVA_HOME is not set and no java is on the PATH. '
            'Install one, such as openjdk-17-jre-headless, or set engine = "duckdb" in churnrisk.toml.'
        )
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(?:1\.)?(\d+)', printed)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        found = first_line(Exception(printed)) if printed.strip() else "no version."
        raise UsageError(
            f'engine = "spark" needs Java {_OLDEST_JAVA} or later; {java} is: {found} Set JAVA_HOME to a newer one.'
        )


def _names_master(settings: Mapping[str, str]) -> bool:
    submitted = os.environ.get("PYSPARK_SUBMIT_ARGS", "")
    given = os.environ.get("SPARK_HOME") or os.environ.get("SPARK_CONF_DIR") or os.environ.get("MASTER")
    return "spark.master" in settings or "--master" in submitted or given is not None


def _last_words(log: Path) -> str:
    text = log.read_text(errors="replace") if log.is_file() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    telling = re.compile("exception|error|unsupported|JAVA_HOME", re.IGNORECASE)
    errors = [line for line in lines if telling.search(line)]
    return f"{(errors or lines)[-1].strip()}." if lines else ""
