"""Files as relations: CSV, Parquet and JSON, compressed or not, one or a glob of them."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from churnrisk.errors import UsageError
from churnrisk.sources.config import TableConfig
from churnrisk.sources.quoting import literal

_COMPRESSED = (".gz", ".zst")
_READERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}


def file_kind(path: str | Path) -> str | None:
    """Return "csv", "parquet" or "json" by the file's name, or None for anything else."""
    name = str(path).lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return _READERS.get(Path(name).suffix)


def find_files(pattern: str, *, base: Path, table: str) -> list[Path]:
    """Return the files that a path or glob names, sorted; ``file:///`` before it is passed over.

    Raises
    ------
    UsageError
        If there is none, it is a URL of another machine, or their kinds are unknown or mixed.
    """
    local = pattern.removeprefix("file://") if pattern.startswith("file:///") else pattern
    if "://" in local:
        raise UsageError(
            f"[tables.{table}] path {pattern!r} is a URL, which nothing but Spark reads, and only as Parquet. "
            'Copy the files to this machine, or use them as Parquet where engine = "spark" reads them.'
        )
    named = Path(local).expanduser()
    # a file that is called like the pattern wins; the folder's own name is never a pattern
    matches = (
        [str(named)] if (base / named).is_file() else glob.glob(str(named), root_dir=base, recursive=True)
    )
    files = sorted(path for path in (base / match for match in matches) if path.is_file())
    if not files:
        there = (
            ", ".join(sorted(path.name for path in base.glob("*") if file_kind(path))[:8]) or "no data files"
        )
        raise UsageError(
            f"[tables.{table}] path {pattern!r} matches no file in {base}, where there is: {there}. "
            "Correct the path in churnrisk.toml."
        )
    kinds = {file_kind(path) for path in files}
    if len(kinds) != 1 or None in kinds:
        raise UsageError(
            f"[tables.{table}] path {pattern!r} must match files of one kind, CSV, Parquet or JSON "
            f"(.gz and .zst too); it matches {', '.join(path.name for path in files[:5])}."
        )
    return files


def scan(files: Sequence[Path], config: TableConfig, *, name_column: str | None = None) -> str:
    """Return the SQL relation that reads the files; CSV values arrive as text.

    Parameters
    ----------
    name_column : str, optional
        For Parquet: a further column that tells which file a row comes from.
    """
    kind = file_kind(files[0])
    names = file_list(files)
    if kind == "parquet":
        named = f", filename = {literal(name_column)}" if name_column else ""
        return f"read_parquet({names}, union_by_name = true{named})"
    if kind == "json":
        return f"read_json({names}, union_by_name = true)"
    options = ["all_varchar = true", "header = true", "union_by_name = true", "null_padding = false"]
    if config.delimiter or ".tsv" in files[0].suffixes:
        options.append(f"delim = {literal(config.delimiter or chr(9))}")
    if config.encoding:
        options.append(f"encoding = {literal(config.encoding)}")
    if config.nulls:
        options.append("nullstr = [" + ", ".join(literal(text) for text in ("", *config.nulls)) + "]")
    return f"read_csv({names}, {', '.join(options)})"


def file_list(files: Iterable[Path]) -> str:
    """Return the files as a list in SQL."""
    return "[" + ", ".join(literal(plain_path(path)) for path in files) + "]"


def plain_path(path: Path) -> str:
    """Return a path in which the engine sees no wildcards, whatever the folders are called."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def fingerprint(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Name, size and modification time of each file: what tells a changed input cheaply."""
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
