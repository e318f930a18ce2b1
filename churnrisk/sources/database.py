"""Tables of a SQL database by URL, streamed into the engine in batches."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnrisk.errors import UsageError
from churnrisk.sources.postgres import copied

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

BATCH_ROWS = 50_000


def read_batches(
    url: str, table: str, *, base: Path, only: tuple[str, str] | None = None
) -> Iterator[pa.Table]:
    """Yield a database table as Arrow tables of text, at most ``BATCH_ROWS`` rows each.

    Values arrive as text, like those of a CSV file: databases differ in what their types hold (SQLite takes
    any value in any column), and the contract's casts count what does not fit.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; ``${NAME}`` is replaced from the environment, so that no secret stands in a file.
    table : str
        The table's name, with its schema if it has one: "public.events".
    base : Path
        Directory against which the file of a SQLite URL is resolved.
    only : (str, str), optional
        A column, in any case of letters, and the text that its values must read as.

    Raises
    ------
    UsageError
        If the URL, the driver or the table is wrong, or the database does not answer.
    """
    import sqlalchemy as sa

    engine = _connectable(url, table, base=base)
    schema, _, name = table.rpartition(".")
    try:
        with engine.connect().execution_options(stream_results=True) as connection:
            relation = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
            # no conversion by the driver's types: one malformed date would end the whole reading
            raw = [
                sa.type_coerce(column, sa.types.NullType()).label(column.name) for column in relation.columns
            ]
            yield _as_text([column.name for column in relation.columns], [])
            read = copied if connection.dialect.driver == "psycopg" else _selected
            yield from read(connection, sa.select(*raw).where(*_only(relation, only)))
    except sa.exc.NoSuchTableError as error:
        raise UsageError(
            f"the database has no table {table!r}. Correct `table` in churnrisk.toml."
        ) from error
    except (sa.exc.SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        raise _unreadable(table, error) from error
    finally:
        engine.dispose()


def _selected(connection: sa.Connection, query: sa.Select[*tuple[Any, ...]]) -> Iterator[pa.Table]:
    result = connection.execute(query)
    for rows in result.partitions(BATCH_ROWS):
        yield _as_text(list(result.keys()), rows)


def _only(relation: sa.Table, only: tuple[str, str] | None) -> list[sa.ColumnElement[bool]]:
    import sqlalchemy as sa

    if only is None:
        return []
    name, value = only
    found = [column for column in relation.columns if column.name.strip().lower() == name.strip().lower()]
    return [sa.func.trim(sa.cast(column, sa.Text)) == value for column in found[:1]]


def _connectable(url: str, table: str, *, base: Path) -> sa.Engine:
    import sqlalchemy as sa

    filled = os.path.expandvars(url)
    unset = re.findall(r"\$\{(\w+)\}", filled)
    if unset:
        raise UsageError(
            f"the url of table {table!r} names the environment variable {unset[0]}, which is not set. Set it."
        )
    try:
        parsed = sa.make_url(filled)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            parsed = parsed.set(database=str(_existing(base / parsed.database, table)))
        return sa.create_engine(parsed)
    except sa.exc.SQLAlchemyError as error:
        raise _unreadable(table, error) from error
    except ModuleNotFoundError as error:
        raise UsageError(
            f"table {table!r} cannot be read: the database driver {error.name!r} is not installed. Install it."
        ) from error


def _existing(path: Path, table: str) -> Path:
    # SQLite would create the missing file and then report a missing table
    if not path.is_file():
        raise UsageError(f"table {table!r} cannot be read: there is no file {path}. Correct its url.")
    return path


def _unreadable(table: str, error: Exception) -> UsageError:
    # the URL may carry a password, and SQLAlchemy quotes it: only the driver's own words are passed on
    own = type(error).__module__.partition(".")[0] != "sqlalchemy"
    reason = str(getattr(error, "orig", None) or (error if own else type(error).__name__)).splitlines()[0]
    return UsageError(f"table {table!r} cannot be read from the database: {reason}. Check its url.")


def _as_text(names: list[str], rows: Any) -> pa.Table:
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    texts = [[None if value is None else str(value) for value in column] for column in columns]
    return pa.table([pa.array(column, pa.string()) for column in texts], names=names)
