"""Write many scores fast: past SQLAlchemy's per-row processing, which costs more than the writing itself."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any

import pandas as pd
from sqlalchemy import Connection, insert

from churnrisk.history.rows import to_columns
from churnrisk.history.schema import scores


def write_scores(
    connection: Connection, frame: pd.DataFrame, *, run_id: int, as_of: datetime, since: pd.DataFrame | None
) -> dict[str, list[Any]]:
    """Insert a frame of scores inside the caller's transaction and return what each column holds now.

    Parameters
    ----------
    since : DataFrame indexed by account id, optional
        ``colour`` and ``colour_since`` of the run before.

    Raises
    ------
    IntegrityError
        SQLAlchemy's or the driver's, if an account has a score in this run already.
    """
    copies = connection.dialect.driver == "psycopg"
    text_instants = copies or connection.dialect.name == "sqlite"
    columns = to_columns(frame, run_id=run_id, as_of=as_of, text_instants=text_instants, since=since)
    if copies:
        _copy(connection, columns)
    else:
        _insert(connection, columns)
    return dict(zip((column.name for column in scores.columns), columns, strict=True))


def _copy(connection: Connection, columns: list[list[Any]]) -> None:
    """Send the rows as one CSV, in which nothing is NULL and a quoted nothing is an empty text."""
    import pyarrow as pa
    from pyarrow import csv

    names = [column.name for column in scores.columns]
    written = BytesIO()
    csv.write_csv(pa.table(columns, names=names), written, csv.WriteOptions(include_header=False))
    preparer = connection.dialect.identifier_preparer
    listed = ", ".join(preparer.format_column(column) for column in scores.columns)
    driver: Any = connection.connection.driver_connection
    command = f"copy {preparer.format_table(scores)} ({listed}) from stdin (format csv)"
    with driver.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(written.getbuffer())


def _insert(connection: Connection, columns: list[list[Any]]) -> None:
    compiled = insert(scores).compile(dialect=connection.dialect)
    rows: list[Any] = list(zip(*columns, strict=True))
    if not compiled.positional:
        names = [column.name for column in scores.columns]
        rows = [dict(zip(names, row, strict=True)) for row in rows]
    connection.exec_driver_sql(str(compiled), rows)
