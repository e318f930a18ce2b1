"""Start Spark, keep its chatter in a file, and say in plain words what it complains about."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnrisk.errors import ChurnRiskError, ContractError, UsageError
from churnrisk.sources.explain import first_line

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: What results depend on; the user's own settings cannot change it.
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


def start(settings: Mapping[str, str], *, folder: Path, threads: int | None, log: Path) -> SparkSession:
    """Return a Spark session; all that Java writes goes to a file.

    Parameters
    ----------
    settings : mapping of str to str
        Spark's own, like ``spark.master``; without a master, here or in the environment, Spark runs
        inside this machine.
    folder : Path
        For what a local Spark spills.
    threads : int, optional
        How many cores a local Spark may use; default: all.
    log : Path
        Where Java's messages go.

    Raises
    ------
    UsageError
        If pyspark or Java is missing, Spark runs already in this process, or does not start.
    """
    _require_java()
    try:
        with warnings.catch_warnings():
            # of pandas 3, for what goes through pandas; nothing here does
            warnings.simplefilter("ignore", FutureWarning)
            from py4j.protocol import Py4JError
            from pyspark import SparkConf, SparkContext
            from pyspark.errors import PySparkException
            from pyspark.java_gateway import launch_gateway
            from pyspark.sql import SparkSession
            from pyspark.testing import utils as _utils  # noqa: F401 - the first call would load it
    except ModuleNotFoundError as error:
        raise UsageError(
            f'engine = "spark" needs {error.name}, which is not installed. Run: pip install "churnrisk[spark]".'
        ) from error
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
    # what it logs is raised too, and told by explain_spark
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    conf = SparkConf().setAll(list(chosen.items()))
    gateway = None
    try:
        with log.open("ab") as said:
            # the gateway has no types
            gateway = launch_gateway(conf, popen_kwargs={"stdout": said, "stderr": said})  # type: ignore[no-untyped-call]
        context = SparkContext(conf=conf, gateway=gateway)
        # workers beside this process are to find what it finds
        context.pythonExec = chosen.get("spark.pyspark.python", context.pythonExec)
        return SparkSession(context)
    except (PySparkException, Py4JError, OSError) as error:
        told = next((line for line in str(error).splitlines() if "Exception:" in line), "")
        _close(gateway)
        raise UsageError(
            f"Spark does not start: {told or _last_words(log) or first_line(error)} It needs Java 17 or later; "
            "correct [engine.spark] in churnrisk.toml, or the installation of Java."
        ) from error


def stop(session: SparkSession) -> None:
    """End the session and the Java behind it."""
    gateway = session.sparkContext._gateway
    session.stop()
    _close(gateway)


def _close(gateway: Any) -> None:
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


def explain_spark(error: Exception) -> ChurnRiskError:
    """Turn what Spark raises into an error that says what to do."""
    from pyspark.errors import AnalysisException, PythonException

    whole = str(error)
    text = first_line(error)
    if isinstance(error, PythonException):
        told = re.findall(r"^[\w.]*(?:Error|Exception|Warning): .+$", whole, re.MULTILINE)
        return ChurnRiskError(f"a worker of Spark failed: {told[-1] if told else text}")
    if re.search("CANNOT_MERGE_SCHEMAS|Failed merging schema|PARQUET_COLUMN_DATA_TYPE_MISMATCH", whole):
        return ContractError(
            f"a column has different types in the files of one table: {text} Save the files with one type."
        )
    if re.search(_DAMAGED, whole, re.IGNORECASE):
        return ContractError(f"a file is damaged: {_file_of(whole) or text} Copy or export it again.")
    if re.search("OutOfMemoryError|No space left on device", whole):
        return ChurnRiskError(
            f"Spark is out of memory or disk: {text} Give it more in [engine.spark] of churnrisk.toml "
            '("spark.driver.memory", "spark.executor.memory", "spark.local.dir").'
        )
    if "PATH_NOT_FOUND" in whole or "TABLE_OR_VIEW_NOT_FOUND" in whole:
        return UsageError(f"Spark does not find a table or file: {text} Correct [tables] in churnrisk.toml.")
    if isinstance(error, AnalysisException):
        return UsageError(f"SQL does not run on Spark: {text} Mend it in churnrisk.toml.")
    return ChurnRiskError(f"Spark failed: {text}")


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if home and not (Path(home) / "bin" / "java").is_file():
        raise UsageError(
            f'engine = "spark" needs Java 17 or later; JAVA_HOME is {home}, which holds no bin/java. Correct it, '
            'or set engine = "duckdb" in churnrisk.toml.'
        )
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        raise UsageError(
            'engine = "spark" needs Java 17 or later; found none: JAVA_HOME is not set and no java is on the PATH. '
            'Install one, such as openjdk-17-jre-headless, or set engine = "duckdb" in churnrisk.toml.'
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        found = first_line(Exception(said)) if said.strip() else "a java that says nothing."
        raise UsageError(
            f'engine = "spark" needs Java {_OLDEST_JAVA} or later; {java} is: {found} Let JAVA_HOME name a newer one.'
        )


def _names_master(settings: Mapping[str, str]) -> bool:
    submitted = os.environ.get("PYSPARK_SUBMIT_ARGS", "")
    given = os.environ.get("SPARK_HOME") or os.environ.get("SPARK_CONF_DIR") or os.environ.get("MASTER")
    return "spark.master" in settings or "--master" in submitted or given is not None


def _file_of(text: str) -> str | None:
    found = re.search(r"file:(/[^\s'\",]+?\.(?:parquet|pq))", text)
    return f"{found[1]}." if found else None


def _last_words(log: Path) -> str:
    lines = (
        [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        if log.is_file()
        else []
    )
    told = [line for line in lines if re.search("exception|error|unsupported|JAVA_HOME", line, re.IGNORECASE)]
    return f"{(told or lines)[-1].strip()}." if lines else ""
