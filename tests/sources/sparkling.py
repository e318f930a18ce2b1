"""A Spark for tests: inside this machine, one Java for all, without compiling each of many small queries."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

_JAVA = "spark.driver.extraJavaOptions"
QUICK = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    _JAVA: "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xms1g -Xmn400m -XX:MetaspaceSize=256m",
}
#: For whole runs, where planning is most of the time; test_spark.py in this folder has it as Spark does it.
ONCE_PLANNED = QUICK | {
    "spark.sql.debug.maxToStringFields": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}


@contextmanager
def one_java() -> Iterator[None]:
    """Run every Spark of this process in one Java, which is warm after the first; each Spark is a new one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas 3, as in SparkEngine
        from pyspark import SparkConf, java_gateway
    launch, running = java_gateway.launch_gateway, []

    def launched(conf: object, popen_kwargs: Mapping[str, Any]) -> Any:
        if not running:
            # without the other settings of the first engine: the next one would inherit them
            gateway = launch(SparkConf().set(_JAVA, QUICK[_JAVA]), popen_kwargs)
            running.append((gateway, gateway.shutdown, gateway.proc))
            gateway.shutdown, gateway.proc = lambda: None, None
        return running[0][0]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(java_gateway, "launch_gateway", launched)
        yield
    for _, shutdown, process in running:
        shutdown()
        process.stdin.close()
        process.wait(timeout=30)


def differing(found: pa.Table, expected: pa.Table) -> list[str]:
    """Name the columns of two tables that are not the same, row by row and to the last bit; NaN equals itself."""
    assert found.column_names == expected.column_names
    assert found.num_rows == expected.num_rows
    pairs = ((name, found[name].to_pylist(), expected[name].to_pylist()) for name in expected.column_names)
    return [name for name, left, right in pairs if list(map(repr, left)) != list(map(repr, right))]
