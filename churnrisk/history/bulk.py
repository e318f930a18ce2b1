"""Write many scores fast: past SQLAlchemy's per-row processing, which costs more than the writing itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, insert

from churnrisk.history.rows import to_rows
from churnrisk.history.schema import scores


def write_scores(connection: Connection, frame: pd.DataFrame, *, run_id: int, as_of: datetime) -> None:
    """Insert a frame of scores inside the caller's transaction.

    Raises
    ------
    IntegrityError
        SQLAlchemy's or the driver's, if an account has a score in this run already.
    """
    rows = to_rows(frame, run_id=run_id, as_of=as_of, text_instants=connection.dialect.name == "sqlite")
    if connection.dialect.driver == "psycopg":
        _copy(connection, rows)
    else:
        _insert(connection, rows)


def _copy(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    columns = ", ".join(connection.dialect.identifier_preparer.format_column(c) for c in scores.columns)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"copy {scores.name} ({columns}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)


def _insert(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    compiled = insert(scores).compile(dialect=connection.dialect)
    if compiled.positional:
        connection.exec_driver_sql(str(compiled), rows)
        return
    names = [column.name for column in scores.columns]
    connection.exec_driver_sql(str(compiled), [dict(zip(names, row, strict=True)) for row in rows])
