"""Open a project from Python: a folder with its churnrisk.toml, or data frames."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa

from churnrisk.contract import TABLES
from churnrisk.errors import UsageError
from churnrisk.files import write_whole
from churnrisk.library.opened import OpenProject, Scratch
from churnrisk.settings import FILE_NAME, project_in, read_toml, validated

#: Folder inside the project folder for tables that were given as frames.
FOLDER = ".churnrisk/frames"


def load(
    directory: str | Path | None = None,
    *,
    tables: Mapping[str, Any] | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    horizon_days: int | None = None,
    gap_days: int | None = None,
    now: datetime | None = None,
    progress: Callable[[str], None] | None = None,
    **sections: Mapping[str, Any],
) -> OpenProject:
    """Open a project.

    Parameters
    ----------
    directory : str or Path, optional
        The project folder, by default the current one. Its churnrisk.toml is read if it exists; models and
        store live there. With tables and without a folder the project lives in a temporary one, as long as the object.
    tables : dict of str to frame, optional
        Contract tables ("accounts", "events" …) as pandas, polars, pyarrow or DuckDB tables; they replace those in
        churnrisk.toml.
    columns : dict of str to dict, optional
        Per table given here, the contract's column names to yours: ``{"events": {"account_id": "CustomerID"}}``.
    horizon_days, gap_days : int, optional
        Short for ``churn={"horizon_days": …, "gap_days": …}``.
    now : datetime, optional
        Rows dated later are set aside; default: the time of each call.
    progress : callable, optional
        Called with a text at each step: ``print`` shows it.
    **sections : dict
        Sections of churnrisk.toml (``churn``, ``snapshots``, ``features``, ``model``, ``decision``, ``tracking`` …)
        that override those of the file: ``model={"seed": 7}``.

    Returns
    -------
    OpenProject

    Raises
    ------
    UsageError
        If the folder holds no churnrisk.toml and no tables are given, or a setting is not understood.

    Examples
    --------
    >>> import churnrisk as cr
    >>> project = cr.load("data/sample", churn={"horizon_days": 60})
    >>> project.settings.churn.horizon_days
    60
    """
    scratch = Scratch() if directory is None and tables is not None else None
    folder = scratch.path if scratch else Path(directory or "")
    file = folder / FILE_NAME
    if tables is None and not file.is_file():
        raise UsageError(
            f"expected a project folder with a {FILE_NAME}, or tables, found neither: "
            f"{folder.resolve()} holds none. "
            'Write `load("acme")`, or `load(tables={"accounts": …, "events": …})`.'
        )
    raw = read_toml(file.read_bytes(), origin=str(file)) if file.is_file() else {}
    _require_mappings({**sections, "columns": columns or {}, "tables": tables or {}})
    if isinstance(raw.get("engine"), str):  # so that load(engine={...}) adds to it
        raw["engine"] = {"name": raw["engine"]}
    given = {"horizon_days": horizon_days, "gap_days": gap_days}
    churn = {name: days for name, days in given.items() if days is not None}
    for name, section in {**sections, "churn": {**sections.get("churn", {}), **churn}}.items():
        raw[name] = {**raw.get(name, {}), **section} if isinstance(section, Mapping) else section
    if tables is not None:
        raw["tables"] = _write_tables(tables, folder.resolve())
    _map_columns(raw.setdefault("tables", {}), columns or {})
    project = project_in(validated(raw, origin="what load() was given"), folder)
    return OpenProject(project, now=now, progress=progress, scratch=scratch)


def _require_mappings(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, Mapping) or (name == "engine" and isinstance(value, str)):
            continue
        raise UsageError(f"[{name}]: expected settings as a dict, found {value!r:.80}. Write {name}={{…}}.")


def _map_columns(tables: dict[str, Any], columns: Mapping[str, Mapping[str, str]]) -> None:
    unknown = sorted(set(columns) - set(tables))
    if unknown:
        raise UsageError(
            f"columns names {', '.join(unknown)}, found the tables {', '.join(tables) or 'none'}. "
            "Name a table that is given."
        )
    _require_mappings(columns)
    for name, mapping in columns.items():
        tables[name] = {**tables[name], "columns": dict(mapping)}


def _write_tables(tables: Mapping[str, Any], folder: Path) -> dict[str, dict[str, str]]:
    """Write frames as Parquet files and return how churnrisk.toml would name them.

    A file whose content stays the same is left alone, so that the same frames are the same inputs.
    """
    if unknown := sorted(str(name) for name in tables if name not in TABLES):
        raise UsageError(
            f"expected contract tables ({', '.join(TABLES)}), found {', '.join(unknown)}. Correct the names."
        )
    return {name: {"path": str(_write(name, table, folder))} for name, table in tables.items()}


def _write(name: str, table: Any, folder: Path) -> Path:
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
    """Return any data frame that narwhals knows as an Arrow table; a TypeError for anything else."""
    names = getattr(getattr(table, "index", None), "names", None)
    if names is not None and hasattr(table, "reset_index"):
        # an index without a name is a row's position, not a value
        levels = [name for name in names if name is not None and name not in table.columns]
        table = (table.reset_index(level=levels) if levels else table).reset_index(drop=True)
    frame = nw.from_native(table)
    return (frame.collect("pyarrow") if isinstance(frame, nw.LazyFrame) else frame).to_arrow()
