"""Scores as files beside the store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from churnrisk.errors import UsageError
from churnrisk.files import without_formulas, write_whole
from churnrisk.workflows.project import Project

if TYPE_CHECKING:
    import pyarrow as pa


def require_ending(path: Path) -> None:
    """Refuse a file extension other than .csv and .parquet, before any work is done."""
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(f"unsupported file extension: {path.name}. Use .csv or .parquet.")


def write_scores(tables: Iterator[pa.Table], path: Path) -> None:
    """Write tables of scores as one CSV or Parquet file, whole or not at all."""
    write_whole(path, partial(_as_parquet if path.suffix == ".parquet" else _as_csv, tables))


def _as_parquet(tables: Iterator[pa.Table], file: IO[bytes]) -> None:
    import pyarrow.parquet as parquet

    first = next(tables)
    with parquet.ParquetWriter(file, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def _as_csv(tables: Iterator[pa.Table], file: IO[bytes]) -> None:
    for number, table in enumerate(tables):
        # left to itself pandas leaves midnight out wherever a table has no other time
        frame = without_formulas(table).to_pandas()
        frame.to_csv(file, index=False, header=number == 0, date_format="%Y-%m-%d %H:%M:%S")


def scores_path(project: Project, as_of: datetime, run_key: str, *, trial: bool = False) -> str:
    """Return the folder to which Spark writes the scores of a run; a trial gets one of its own."""
    base = project.engine.scores or str(project.directory / "scores")
    base = base if "://" in base else str(project.directory / Path(base).expanduser())
    # readers of a lake skip what begins with an underscore
    run = f"_trial-{uuid4().hex}" if trial else f"run={run_key[:16]}"
    return f"{base}/as_of={as_of:%Y-%m-%d}/{run}"
