"""Data frames in the place of files: pandas, polars, pyarrow and DuckDB, by way of Parquet."""

from __future__ import annotations

import io
import weakref
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from churnrisk.contract import TABLES
from churnrisk.errors import UsageError
from churnrisk.files import write_whole

if TYPE_CHECKING:
    import pyarrow as pa

#: Folder inside the project folder that holds the tables which were given as frames.
FOLDER = ".churnrisk/frames"


class Scratch:
    """A project folder that goes when nothing needs it any more.

    Attributes
    ----------
    path : Path
        The folder.
    """

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="churnrisk-"))
        # Not a TemporaryDirectory, which warns when it is not closed by hand.
        weakref.finalize(self, rmtree, self.path, ignore_errors=True)


def write_tables(tables: Mapping[str, Any], folder: Path) -> dict[str, dict[str, str]]:
    """Write frames as Parquet files and return how churnrisk.toml would name them.

    A file whose content would stay the same is left alone, so that the same frames are the same inputs.

    Parameters
    ----------
    tables : dict of str to frame
        Contract table name to a pandas, polars, pyarrow or DuckDB table; an index with a name is a column.
    folder : Path
        The project folder.

    Returns
    -------
    dict of str to dict
        Per table its ``path``.

    Raises
    ------
    UsageError
        If something is no table, or has columns that Parquet cannot hold.
    """
    if unknown := sorted(str(name) for name in tables if name not in TABLES):
        raise UsageError(
            f"expected contract tables ({', '.join(TABLES)}), found {', '.join(unknown)}. Correct the names."
        )
    return {name: {"path": str(_write(name, table, folder))} for name, table in tables.items()}


def _write(name: str, table: Any, folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        buffer = io.BytesIO()
        parquet.write_table(as_arrow(table), buffer)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"expected a pandas, polars, pyarrow or DuckDB table for {name!r} with one type per column, found "
            f"{type(table).__module__}.{type(table).__qualname__}: {reason}. Convert it first."
        ) from error
    path = folder / FOLDER / f"{name}.parquet"
    if not (path.is_file() and path.read_bytes() == buffer.getvalue()):
        write_whole(path, buffer.getvalue())
    return path


def as_arrow(table: Any) -> pa.Table:
    """Return any data frame that narwhals knows as an Arrow table.

    Raises
    ------
    TypeError
        If it is none.
    """
    import narwhals as nw

    names = getattr(getattr(table, "index", None), "names", None)
    if names is not None and hasattr(table, "reset_index"):
        # an index without a name is where a row stood, and no value
        told = [name for name in names if name is not None and name not in table.columns]
        table = (table.reset_index(level=told) if told else table).reset_index(drop=True)
    frame = nw.from_native(table)
    return (frame.collect("pyarrow") if isinstance(frame, nw.LazyFrame) else frame).to_arrow()
