"""The files of a table as parts: whether one has changed since it was read is known without reading its rows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from churnrisk.files import digest_of
from churnrisk.sources.config import TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind, find_files, scan

#: Written so shortly before it was looked at, a file may change again without its times telling.
_RACY_NS = 2_000_000_000
_FILE = "churnrisk_part"

Stamp = list[int]


@dataclass(frozen=True)
class Seen:
    """A file's content as it was seen, to be known again by.

    Attributes
    ----------
    stamp : list of int, optional
        None where the file was so new that its content may have changed under the same stamp.
    digest : str
    """

    stamp: Stamp | None
    digest: str


@dataclass(frozen=True)
class Cache:
    """Where what was made of the tables is kept between runs, and who is told when it had to be made anew."""

    folder: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """A file.

    Attributes
    ----------
    name : str
        Its path from the folder in which relative paths start.
    path : Path
    """

    name: str
    path: Path

    @property
    def file(self) -> str:
        """What the rows say they come from."""
        return str(self.path)

    def stamp(self) -> Stamp:
        """Return what tells cheaply that the file is as it was: size, times and inode."""
        stat = self.path.stat()
        return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]

    def seen(self, stamp: Stamp, former: Seen | None) -> Seen:
        """Return what the content is, by its stamp of today; under that of a former time it is not read."""
        if former and former.stamp == stamp:
            return former
        return Seen(stamp if _is_settled(stamp) else None, digest_of(self.path))


@dataclass(frozen=True)
class Parts:
    """All parts of the events, each readable without the others.

    Attributes
    ----------
    parts : mapping of str to Part
        By name.
    native : mapping of str to str
        The types of the columns of all files together, by the contract's names.
    renamed, bare : str
        Select lists that lead from the files' columns to the contract's names, and from there to ``bare_events``.
    """

    engine: Engine
    config: TableConfig
    parts: Mapping[str, Part]
    native: Mapping[str, str]
    renamed: str
    bare: str

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamps of all parts, by name."""
        return {name: part.stamp() for name, part in self.parts.items()}

    @property
    def made_from(self) -> str:
        """How rows come from the files: when it changes, everything made of them is void."""
        return f"{self.config!r} {self.native!r} {self.renamed} {self.bare}"

    def rows(self, names: Iterable[str]) -> str:
        """Return the relation of some parts: the columns of ``bare_events``, and the ``file`` of each row."""
        return f"(select {self.bare}, {_FILE} as file from {self.raw(names)})"

    def raw(self, names: Iterable[str]) -> str:
        """Return the relation of some parts: the columns of ``raw_events``, and what tells the file of each row."""
        parts = [self.parts[name] for name in names]
        # files alone may lack a column, or have a narrower type than all files together
        if not self.engine.rows("select 1 from duckdb_tables() where table_name = 'events_shape'"):
            self.engine.run("create temp table events_shape as from source_events limit 0")
        some = scan([part.path for part in parts], self.config, name_column=_FILE)
        return f"(select {self.renamed}, {_FILE} from (from events_shape union all by name from {some}))"


def event_parts(
    engine: Engine, config: TableConfig, *, native: Mapping[str, str], renamed: str, bare: str
) -> Parts | None:
    """Return the parts of the events, None where they do not come from Parquet files that DuckDB reads.

    Text files are read whole when the tables are opened, and one of them would not tell the types of all. For the other
    parameters see :class:`Parts`.
    """
    if not config.path or engine.opens(config):
        return None
    files = find_files(config.path, base=engine.base, table="events")
    if file_kind(files[0]) != "parquet":
        return None
    parts = [Part(os.path.relpath(file, engine.base), file) for file in files]
    return Parts(engine, config, {part.name: part for part in parts}, native, renamed, bare)


def _is_settled(stamp: Stamp) -> bool:
    """Say whether the file is so old that a change from now on must show in its times."""
    _, modified, changed, _ = stamp
    return max(modified, changed) < time.time_ns() - _RACY_NS
