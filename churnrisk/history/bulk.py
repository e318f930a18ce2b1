"""Bulk inserts of scores, column by column: row-by-row processing is too slow for a million accounts."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, insert, literal

from churnrisk.history.rows import INSTANT
from churnrisk.history.schema import scores

# Nearly unique: dictionary encoding would not pay.
_OWN = ("account_id", "name")
_LISTED = pa.array(["red", "amber"])
# PostgreSQL's binary format: https://www.postgresql.org/docs/current/sql-copy.html
_OPENING = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_CLOSING = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_AS_TEXT = "%Y-%m-%d %H:%M:%S.%f"
_CANCEL_SECONDS, _RETRY_SECONDS = 5.0, 0.5
_EPOCH = np.datetime64("2000-01-01", "us").astype(np.int64)


class Writer:
    """Writes rows inside the caller's transaction; on PostgreSQL in a thread, while the caller prepares the next.

    Inside the block only the writer may use the connection until :meth:`wait` has returned. Leaving the block by an
    error or Ctrl-C cancels a running COPY.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(1) if connection.dialect.driver == "psycopg" else None
        # taken now: a broken connection no longer gives it
        self._driver: Any = connection.connection.driver_connection
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        # repeatedly: the COPY may not have reached the server yet
        while kind is not None and self._under_way is not None and not self._under_way.done():
            with suppress(Exception):  # the error that ended the block matters more
                self._driver.cancel_safe(timeout=_CANCEL_SECONDS)
            wait([self._under_way], timeout=_RETRY_SECONDS)
        self._pool.shutdown(wait=True)

    def write(self, table: pa.Table) -> None:
        """Write rows of :func:`churnrisk.history.rows.to_table`, or start to, once earlier ones are written.

        Like :meth:`wait` it raises an IntegrityError, SQLAlchemy's or the driver's, on a duplicate score.
        """
        if self._pool is None:
            _write_rows(self._connection, table)
            return
        command, rows = _binary(self._connection, table)
        self.wait()
        self._under_way = self._pool.submit(_copy, self._driver, command, rows)

    def wait(self) -> None:
        """Wait until everything is written, and raise what went wrong."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None


def _write_rows(connection: Connection, table: pa.Table) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(insert(scores), table.to_pylist())
        return
    listed = pc.is_in(table["colour"], value_set=_LISTED)
    # green and grey accounts leave most columns empty: empty and constant columns need no parameter
    for part in (table.filter(listed), table.filter(pc.invert(listed))):
        if part.num_rows:
            _insert(connection, part)


def _insert(connection: Connection, table: pa.Table) -> None:
    names, marks, columns = [], [], []
    for name in table.column_names:
        column = table[name].combine_chunks()
        if column.null_count == len(column):
            continue
        values = _plain(column, distinct=name not in _OWN)
        names.append(connection.dialect.identifier_preparer.quote(name))
        marks.append("?" if isinstance(values, list) else _literal(connection, values))
        columns += [values] if isinstance(values, list) else []
    statement = f"insert into scores ({', '.join(names)}) values ({', '.join(marks)})"
    cursor: Any = connection.connection.cursor()
    # zip reuses one tuple as long as nobody keeps it
    cursor.executemany(statement, zip(*columns, strict=True))


def _plain(column: pa.Array, *, distinct: bool) -> Any:
    """Return a list of values for the driver, or the single value that all rows share."""
    if column.type == pa.float64():
        return column.to_numpy(zero_copy_only=False).tolist()  # SQLite stores NaN as NULL
    if not distinct:
        return column.to_pylist()
    encoded = column.dictionary_encode()
    known = encoded.dictionary.to_pylist()
    if column.type == INSTANT:
        known = [f"{moment:{_AS_TEXT}}" for moment in known]
    if len(known) == 1 and not column.null_count and str(known[0]).isprintable():
        return known[0]
    return np.array([*known, None], dtype=object)[encoded.indices.fill_null(len(known)).to_numpy()].tolist()


def _literal(connection: Connection, value: str | int) -> str:
    compiled = literal(value).compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return str(compiled)


def _binary(connection: Connection, table: pa.Table) -> tuple[str, pa.Buffer]:
    """Return the COPY command and the rows in PostgreSQL's binary format, which the server need not parse."""
    sent = [name for name in table.column_names if table[name].null_count < len(table)]
    fields = [part for name in sent for part in _field(table[name].combine_chunks())]
    count = pa.scalar(len(sent).to_bytes(2, "big"), pa.binary())
    rows = pc.binary_join_element_wise(count, *fields, pa.scalar(b"", pa.binary()))
    preparer = connection.dialect.identifier_preparer
    listed = ", ".join(preparer.quote(name) for name in sent)
    return f"copy {preparer.format_table(scores)} ({listed}) from stdin (format binary)", rows.buffers()[2]


def _copy(driver: Any, command: str, rows: pa.Buffer) -> None:
    with driver.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(_OPENING)
        copy.write(rows)
        copy.write(_CLOSING)


def _field(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the length and the bytes of each value; a missing one has length -1 and no bytes."""
    if column.type == pa.string():
        lengths = _bytes(pc.binary_length(column).fill_null(-1).to_numpy().astype(">i4"))
        return lengths, column.cast(pa.binary()).fill_null(b"")
    if column.type == pa.int32():
        values = column.to_numpy().astype(">i4")
    elif column.type == INSTANT:
        values = (column.cast(pa.int64()).fill_null(0).to_numpy() - _EPOCH).astype(">i8")
    else:
        values = column.to_numpy(zero_copy_only=False).astype(">f8")
    width = pa.scalar(values.itemsize.to_bytes(4, "big"), pa.binary())
    return pc.if_else(column.is_valid(), width, _NULL), pc.if_else(column.is_valid(), _bytes(values), b"")


def _bytes(values: Any) -> pa.Array:
    """Return the bytes of each number."""
    width = pa.binary(values.itemsize)
    return pa.Array.from_buffers(width, len(values), [None, pa.py_buffer(values)]).cast(pa.binary())
