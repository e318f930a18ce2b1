"""The daily roll-up of the events on disk, cached between runs, and what has changed since it was written.

Each day is a Parquet file with a row per account, user and, where rows say so, day of recording; days of the past are
also added up in blocks. Unchanged files of raw events are not read again: size and times identify them, else their
digest, and the number and hash of each day's rows tell which days changed.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from churnrisk.contract import EARLIEST, LATEST, literal
from churnrisk.features.rollup import BITS
from churnrisk.files import digest_of, read_sealed, write_sealed
from churnrisk.sources import Engine, EventFiles, Fingerprint, Stamp, Tables, file_list

#: Raise it when older files would be misread.
FORMAT = 1
NAME = "manifest.json"
#: A run that started with the previous manifest may still read its files; after a day none does.
_GRACE_SECONDS = 86_400.0


class CacheError(Exception):
    """The cache cannot be used and must be rebuilt; the message says why."""


@dataclass(frozen=True)
class CachedFile:
    """A Parquet file of the roll-up, with what verifies it."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class CachedPart(Fingerprint):
    """A file of raw events as it was read: per day the number of rows and the sum of their hashes."""

    days: dict[date, tuple[int, str]]


@dataclass(frozen=True)
class CachedDay:
    """One day of the roll-up; ``seen`` says since when the use of each product feature (by place) was known."""

    files: tuple[CachedFile, ...]
    seen: dict[int, date]


@dataclass(frozen=True)
class CachedBlock:
    """The days of a block added up per account, with a digest of their sources."""

    made_from: str
    files: tuple[CachedFile, ...]


@dataclass(frozen=True)
class Manifest:
    """What the cached roll-up consists of; ``made_from`` is a digest of how rows are read.

    The place of one of ``features`` is its bit in the masks; ``names`` are files of account ids with their codes.
    """

    made_from: str
    features: tuple[str, ...] = ()
    accounts: int = 0
    names: tuple[CachedFile, ...] = ()
    parts: dict[str, CachedPart] = field(default_factory=dict)
    days: dict[date, CachedDay] = field(default_factory=dict)
    blocks: dict[date, CachedBlock] = field(default_factory=dict)

    @property
    def words(self) -> int:
        """Mask words of the rows."""
        return -(-len(self.features) // BITS)

    def files(self) -> Iterator[CachedFile]:
        """Yield every file."""
        yield from self.names
        for day in self.days.values():
            yield from day.files
        for block in self.blocks.values():
            yield from block.files


class RollupCache:
    """The folder of the cached roll-up: Parquet files, named after their content, that never change.

    The manifest is replaced in one step, so runs without a lock each see the complete state that one run has left.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self.folder = engine, folder
        self._verified: set[CachedFile] = set()
        folder.mkdir(parents=True, exist_ok=True)
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")

    def read(self) -> Manifest | None:
        """Return the manifest, None if there is none yet; CacheError if it is damaged."""
        try:
            return read_sealed(self.folder / NAME, Manifest, form=FORMAT)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CacheError(str(error)) from None

    def write(self, sql: str, *, by: str) -> dict[str, tuple[CachedFile, ...]]:
        """Write rows partitioned by a column, and return the files by its values."""
        written: dict[str, tuple[CachedFile, ...]] = defaultdict(tuple)
        with TemporaryDirectory(prefix=".new-", dir=self.folder) as new:
            self._engine.run(
                f"copy ({sql}) to {literal(new)} (format parquet, compression zstd, "
                f"partition_by ({by}), write_partition_columns true)"
            )
            for path in sorted(Path(new).glob(f"{by}=*/*.parquet")):
                digest = digest_of(path)
                file = CachedFile(f"{path.parent.name}.{digest[:16]}.parquet", path.stat().st_size, digest)
                os.replace(path, self.folder / file.name)
                written[path.parent.name.removeprefix(f"{by}=")] += (file,)
                self._verified.add(file)
        return written

    def rows(self, files: Iterable[CachedFile]) -> str:
        """Return the relation of files with the same columns; CacheError if one is missing or damaged."""
        return f"read_parquet({file_list([self._check(file) for file in files])}, hive_partitioning = false)"

    def _check(self, file: CachedFile) -> Path:
        path = self.folder / file.name
        if file not in self._verified:
            try:
                intact = path.stat().st_size == file.size and digest_of(path) == file.digest
            except OSError:
                intact = False
            if not intact:
                raise CacheError(f"{file.name.partition('.')[0]} is missing or damaged")
            self._verified.add(file)
        return path

    def commit(self, manifest: Manifest, former: Manifest | None) -> None:
        """Make this the manifest that the next run finds, and remove files that are no longer needed."""
        write_sealed(self.folder / NAME, manifest, form=FORMAT)
        needed = {file.name for file in manifest.files()}
        for file in () if former is None else former.files():
            if file.name not in needed:
                with suppress(OSError):  # it may belong to another user
                    os.utime(self.folder / file.name)  # starts its day of grace
        for path in (*self.folder.glob("*.parquet"), *self.folder.glob(".new-*")):
            # another run may have removed it, or it belongs to another user
            with suppress(OSError):
                if path.name not in needed and path.stat().st_mtime < time.time() - _GRACE_SECONDS:
                    rmtree(path) if path.is_dir() else path.unlink()


@dataclass(frozen=True)
class Changes:
    """What must be read to bring the roll-up up to date: the rows of ``to_read``, in the files ``read``.

    ``stamps`` are from before anything was read. On ``rebuilt`` days rows have changed or gone: nothing cached holds.
    """

    parts: dict[str, CachedPart]
    stamps: dict[str, Stamp]
    read: frozenset[str]
    to_read: frozenset[tuple[str, date]]
    rebuilt: frozenset[date]

    @property
    def merged(self) -> frozenset[date]:
        """Days to which rows were only added: their cached rows hold, new rows are merged in."""
        return frozenset(day for _, day in self.to_read) - self.rebuilt

    def require_unchanged(self, parts: EventFiles) -> None:
        """Raise CacheError if a file changed while it was read."""
        for name in self.read:
            if parts.parts[name].stamp() != self.stamps[name]:
                raise CacheError(f"{name} changed while it was read")


def find_changes(tables: Tables, parts: EventFiles, manifest: Manifest) -> Changes:
    """Compare the files with the manifest; rows are read only of files with new content."""
    now: dict[str, CachedPart] = {}
    other: dict[str, Fingerprint] = {}
    stamps = parts.stamps()
    for name, part in parts.parts.items():
        former = manifest.parts.get(name)
        seen = part.seen(stamps[name], former)
        if former and seen.digest == former.digest:
            now[name] = CachedPart(seen.stamp, seen.digest, former.days)
        else:
            other[name] = seen
    marks = _marks(tables, parts, other)
    now |= {
        name: CachedPart(seen.stamp, seen.digest, marks.get(parts.parts[name].file, {}))
        for name, seen in other.items()
    }
    before = {name: part.days for name, part in manifest.parts.items()}
    rebuilt = frozenset(
        day
        for name, days in before.items()
        for day, mark in days.items()
        if name not in now or now[name].days.get(day) != mark
    )
    added = {(name, day) for name in other for day in now[name].days if day not in before.get(name, {})}
    again = {(name, day) for name, part in now.items() for day in part.days.keys() & rebuilt}
    read = frozenset(other) | {name for name, _ in again}
    return Changes(now, stamps, read, frozenset(added | again), rebuilt)


def _marks(
    tables: Tables, parts: EventFiles, names: Collection[str]
) -> dict[str, dict[date, tuple[int, str]]]:
    """Return per file and day the number of rows and the sum of their hashes."""
    if not names:
        return {}
    columns = ", ".join(tables.available.tables["events"])
    found: dict[str, dict[date, tuple[int, str]]] = {}
    # a sum, not an exclusive or, in which two equal rows would cancel out
    for file, day, count, total in tables.engine.rows(
        f"select file, cast(occurred_at as date), count(*), sum(hash({columns})) from {parts.rows(names)} "
        f"where occurred_at between {EARLIEST} and {LATEST} group by 1, 2"
    ):
        found.setdefault(file, {})[day] = (count, str(total))
    return found
