"""A Spark for tests: inside this machine, quick to start, without compiling each of many small queries."""

import pyarrow as pa

QUICK = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


def differing(found: pa.Table, expected: pa.Table) -> list[str]:
    """Name the columns of two tables that are not the same, row by row and to the last bit; NaN equals itself."""
    assert found.column_names == expected.column_names
    assert found.num_rows == expected.num_rows
    pairs = ((name, found[name].to_pylist(), expected[name].to_pylist()) for name in expected.column_names)
    return [name for name, left, right in pairs if list(map(repr, left)) != list(map(repr, right))]
