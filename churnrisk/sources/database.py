"""Tables of a SQL database by URL, streamed into the engine in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 50_000


def read_batches(url: str, table: str) -> Iterator[pa.Table]:
    """Yield a database table as Arrow tables of at most ``BATCH_ROWS`` rows.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; ``${NAME}`` is replaced from the environment, so that no secret stands in a file.
    table : str
        The table's name, with its schema if it has one: "public.events".
    """
    import pyarrow as pa
    import sqlalchemy as sa

    engine = sa.create_engine(os.path.expandvars(url))
    schema, _, name = table.rpartition(".")
    try:
        with engine.connect().execution_options(stream_results=True) as connection:
            relation = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
            result = connection.execute(sa.select(relation))
            names = list(result.keys())
            seen = False
            for rows in result.partitions(BATCH_ROWS):
                seen = True
                yield pa.table(
                    {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
                )
            if not seen:
                yield pa.table({name: pa.array([], pa.string()) for name in names})
    except sa.exc.NoSuchTableError as error:
        raise UsageError(
            f"the database has no table {table!r}. Correct `table` in churnrisk.toml."
        ) from error
    except sa.exc.SQLAlchemyError as error:
        # the URL may carry a password: SQLAlchemy's own message does not, ours must not either
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"table {table!r} cannot be read from the database: {reason}. Check its url."
        ) from error
    finally:
        engine.dispose()
