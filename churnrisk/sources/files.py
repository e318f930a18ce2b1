"""Files as relations: CSV, Parquet, JSON and sheets, one or a glob of them; and whether they changed."""

from __future__ import annotations

import atexit
import glob
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import rmtree

from churnrisk.contract import TABLES, identifier, literal
from churnrisk.errors import ContractError, UsageError
from churnrisk.files import digest_of
from churnrisk.sources.config import TableConfig
from churnrisk.sources.convert import WORKBOOKS, encoding_of, sheet_to_parquet, split_sheet, to_utf8
from churnrisk.sources.engine import Engine, ScratchFolder
from churnrisk.sources.mapping import RawRows
from churnrisk.sources.periods import with_file_dates

_COMPRESSED = (".gz", ".zst")
_KINDS = {
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq"),
    "json": (".json", ".jsonl", ".ndjson"),
    "workbook": WORKBOOKS,
}
#: A file modified so recently may change again within the resolution of its timestamps.
_RACY_NS = 2_000_000_000
_FILE_COLUMN = "churnrisk_part"

Stamp = list[int]
#: By file, and its sheet or encoding: its stamps and what was converted from it, newest last.
_CONVERTED: dict[tuple[Path, str], list[tuple[Stamp, Path]]] = {}


def file_kind(path: str | Path) -> str | None:
    """Return "csv", "parquet", "json" or "workbook" by the file's name, or None for anything else."""
    name = split_sheet(str(path))[0].lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return next((kind for kind, suffixes in _KINDS.items() if Path(name).suffix in suffixes), None)


def find_files(pattern: str, *, base: Path, table: str) -> list[Path]:
    """Return the files that a path, glob or ``file:///`` URL names, sorted; all of one kind."""
    local = split_sheet(pattern.removeprefix("file://") if pattern.startswith("file:///") else pattern)[0]
    if "://" in local:
        raise UsageError(
            f"[tables.{table}] path {pattern!r} is a URL, which nothing but Spark reads, and only as Parquet. "
            'Copy the files to this machine, or use them as Parquet where engine = "spark" reads them.'
        )
    named = Path(local).expanduser()
    # a file whose name is the pattern wins; the folder's own name is never a pattern
    literally = (base / named).is_file()
    matches = [str(named)] if literally else glob.glob(str(named), root_dir=base, recursive=True)
    files = sorted(path for path in (base / match for match in matches) if path.is_file())
    if not files:
        there = sorted(path.name for path in base.glob("*") if file_kind(path))[:8]
        raise UsageError(
            f"[tables.{table}] path {pattern!r} matches no file in {base}, where there is: "
            f"{', '.join(there) or 'no data files'}. "
            "Correct the path in churnrisk.toml."
        )
    kinds = {file_kind(path) for path in files}
    if len(kinds) != 1 or None in kinds:
        raise UsageError(
            f"[tables.{table}] path {pattern!r} must match files of one kind, CSV, Parquet, JSON "
            f"(.gz and .zst too) or workbooks; it matches {', '.join(path.name for path in files[:5])}."
        )
    return files


def scan(
    files: Sequence[Path], config: TableConfig, *, engine: Engine, name_column: str | None = None
) -> str:
    """Return the relation that reads the files; values of CSV files and sheets arrive as text.

    ``name_column`` names the file of each row.
    """
    kind = file_kind(files[0])
    readable = [_readable(file, kind, config, engine) for file in files]
    column = name_column or (_FILE_COLUMN if config.file_date else None)
    relation = _scan(readable, kind, config, column)
    if not config.file_date or not column:
        return relation
    spelled = [(file, str(read)) for file, read in zip(files, readable, strict=True)]
    dated = with_file_dates(relation, spelled, config.file_date, column)
    return dated if name_column else f"(select * exclude ({identifier(column)}) from {dated})"


def _readable(file: Path, kind: str | None, config: TableConfig, engine: Engine) -> Path:
    """Return a file that the engine reads: this one, or one converted from it."""
    if kind == "workbook":
        sheet = split_sheet(str(config.path))[1]
        return _converted(file, sheet or "", engine, lambda folder: sheet_to_parquet(file, sheet, folder))
    if kind == "parquet":
        return file
    try:
        encoding = encoding_of(file, config.encoding)
        if encoding is None:
            return file
        return _converted(file, encoding, engine, lambda folder: to_utf8(file, encoding, folder))
    except OSError as error:
        raise ContractError(f"{file.name} cannot be read: {error}. Copy or export it again.") from error


def _converted(file: Path, how: str, engine: Engine, convert: Callable[[Path], Path]) -> Path:
    """Return a file converted in a sheet or an encoding; this process converts it again only once it has changed."""
    key, stamp = (file.absolute(), how), _stamp(file)
    former = _CONVERTED.get(key, [])
    if former and former[-1][0] == stamp:
        return former[-1][1]
    if _is_racy(stamp):
        return convert(engine.scratch)
    written = convert(_conversions(engine.scratch.parent))
    # an engine may be reading the one before
    for _, old in former[:-1]:
        rmtree(old.parent, ignore_errors=True)
    _CONVERTED[key] = [*former[-1:], (stamp, written)]
    return written


@cache
def _conversions(parent: Path) -> Path:
    """Return a folder beside those of the engines that stays as long as this process."""
    folder = ScratchFolder(str(parent))
    atexit.register(folder.remove)
    return folder.path


def _scan(files: Sequence[Path], kind: str | None, config: TableConfig, name_column: str | None) -> str:
    names = file_list(files)
    named = f", filename = {literal(name_column)}" if name_column else ""
    if kind in ("parquet", "workbook"):
        return f"read_parquet({names}, union_by_name = true{named})"
    if kind == "json":
        return f"read_json({names}, union_by_name = true{named})"
    options = ["all_varchar = true", "header = true", "union_by_name = true", "null_padding = false"]
    if config.delimiter or ".tsv" in files[0].suffixes:
        options.append(f"delim = {literal(config.delimiter or chr(9))}")
    return f"read_csv({names}, {', '.join(options)}{named})"


def require_distinct_names(engine: Engine, name: str, config: TableConfig) -> None:
    """Refuse a CSV file that has two columns of a name that is used: DuckDB would call the second one ``<name>_1``."""
    there = engine.columns(f"source_{name}")
    spelled = set(map(str.lower, there))
    doubled = [own for own in there if f"{own}_1".lower() in spelled]
    if not doubled or file_kind(config.path or "") != "csv":
        return
    files = find_files(str(config.path), base=engine.base, table=name)
    header = scan(files[:1], config, engine=engine).replace("header = true", "header = false")
    names = [str(cell).strip().lower() for cell in engine.rows(f"select * from {header} limit 1")[0]]
    expected = {column.name for column in TABLES[name].columns} - set(config.columns)
    for own in doubled:
        if names.count(own.strip().lower()) > 1 and own.strip().lower() in config.mapped | expected:
            raise ContractError(
                f"[tables.{name}] {files[0].name} has several columns {own!r}, so which one counts is not known. "
                f"Rename one in the file, or map the second as {own + '_1'!r} under [tables.{name}.columns]."
            )


def file_list(files: Iterable[Path]) -> str:
    """Return the files as a SQL list."""
    without_wildcards = (re.sub(r"([*?\[])", r"[\1]", str(path)) for path in files)
    return "[" + ", ".join(map(literal, without_wildcards)) + "]"


def fingerprint(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Return name, size and modification time of each file, which show a changed input cheaply."""
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _is_racy(stamp: Stamp) -> bool:
    _, modified, changed, _ = stamp
    return max(modified, changed) >= time.time_ns() - _RACY_NS


@dataclass(frozen=True)
class Fingerprint:
    """Fingerprint of a file's content; ``stamp`` is None where the file was too new for its times to be trusted."""

    stamp: Stamp | None
    digest: str


@dataclass(frozen=True)
class CacheConfig:
    """Folder for what is cached between runs, and a callback for messages about it."""

    folder: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class SourceFile:
    """One file of a table; ``name`` is its path from the project folder."""

    name: str
    path: Path

    @property
    def file(self) -> str:
        """How rows name the file that they come from."""
        return str(self.path)

    def stamp(self) -> Stamp:
        """Return size, times and inode: equal as long as the file is unchanged."""
        return _stamp(self.path)

    def seen(self, stamp: Stamp, former: Fingerprint | None) -> Fingerprint:
        """Return the fingerprint of the content; the file is read only if its stamp has changed."""
        if former and former.stamp == stamp:
            return former
        return Fingerprint(None if _is_racy(stamp) else stamp, digest_of(self.path))


@dataclass(frozen=True)
class EventFiles:
    """The Parquet files of the events, each readable without the others; ``native`` are the types of all together.

    ``raw_rows`` says how they become ``raw_events``; ``bare`` is the select list from there to ``bare_events``.
    """

    engine: Engine
    config: TableConfig
    parts: Mapping[str, SourceFile]
    native: Mapping[str, str]
    raw_rows: RawRows
    bare: str

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamps of all files by name."""
        return {name: part.stamp() for name, part in self.parts.items()}

    @property
    def made_from(self) -> str:
        """How rows are read; when it changes, everything cached from them is void."""
        return f"{self.config!r} {self.native!r} {self.raw_rows.of('')} {self.bare}"

    def rows(self, names: Iterable[str]) -> str:
        """Return the relation of some files: the columns of ``bare_events``, and the ``file`` of each row."""
        return f"(select {self.bare}, {_FILE_COLUMN} as file from {self.raw(names)})"

    def raw(self, names: Iterable[str]) -> str:
        """Return the relation of some files: the columns of ``raw_events``, and the file of each row."""
        parts = [self.parts[name] for name in names]
        # files alone may lack a column, or have a narrower type than all files together
        if not self.engine.rows("select 1 from duckdb_tables() where table_name = 'events_shape'"):
            self.engine.run("create temp table events_shape as from source_events limit 0")
        paths = [part.path for part in parts]
        some = scan(paths, self.config, engine=self.engine, name_column=_FILE_COLUMN)
        return f"({self.raw_rows.of(f'(from events_shape union all by name from {some})', _FILE_COLUMN)})"


def event_parts(
    engine: Engine, config: TableConfig, *, native: Mapping[str, str], raw: RawRows, bare: str
) -> EventFiles | None:
    """Return the files of the events; None unless DuckDB reads them from Parquet, as text does not show its types.

    None too where a join says whose they are: a day's rows may be another account's tomorrow.
    """
    if not config.path or engine.opens(config) or raw.join or config.unpivot:
        return None
    files = find_files(config.path, base=engine.base, table="events")
    if file_kind(files[0]) != "parquet":
        return None
    parts = [SourceFile(os.path.relpath(file, engine.base), file) for file in files]
    return EventFiles(engine, config, {part.name: part for part in parts}, native, raw, bare)
