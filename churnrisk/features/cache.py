"""The roll-up of the events by day, cached between runs: for each file of raw events two files, keyed by its digest.

One has a row per account, user, day, mask word and, where rows say so, day of recording; the other the same without
users. All of it is sums and ORs of whole days, so the features equal those from raw rows to the bit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from churnrisk.contract import EARLIEST, LATEST, literal, tidy
from churnrisk.errors import ChurnRiskError
from churnrisk.features.block import BlockInputs
from churnrisk.features.rollup import EPOCH, RawPass, RollUp
from churnrisk.features.windows import BITS
from churnrisk.files import digest_of, read_sealed, write_sealed
from churnrisk.sources import CacheConfig, Engine, EventFiles, Fingerprint, file_list

#: Raise it when older files would be misread.
FORMAT = 2
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
    """A file of raw events and its roll-up; ``seen`` says since when each product feature (by place) was known."""

    people: CachedFile
    days: CachedFile
    first: date
    last: date
    seen: dict[int, date]


@dataclass(frozen=True)
class Manifest:
    """What the cache consists of; ``made_from`` is a digest of how rows are read.

    The place of one of ``features`` is its bit in the masks; new ones come last.
    """

    made_from: str
    features: tuple[str, ...] = ()
    parts: dict[str, CachedPart] = field(default_factory=dict)

    def files(self) -> Iterator[CachedFile]:
        """Yield every file."""
        for part in self.parts.values():
            yield from (part.people, part.days)


def roll_up_from_cache(inputs: BlockInputs) -> RollUp | None:
    """Update the cache and create the roll-up from it; None where nothing can be cached."""
    place, parts = inputs.tables.cache, inputs.tables.event_parts
    if place is None or parts is None:
        return None
    try:
        try:
            return _roll_up(inputs, parts, place)
        except CacheError as error:
            place.say(f"rebuilding the roll-up of all events: {error}")
            return _roll_up(inputs, parts, place, rebuild=True)
    except (OSError, ChurnRiskError, CacheError) as error:
        place.say(f"the roll-up of the events cannot be cached ({error}); reading all events")
        return None


def _roll_up(inputs: BlockInputs, parts: EventFiles, place: CacheConfig, *, rebuild: bool = False) -> RollUp:
    cache = RollupCache(inputs.engine, place.folder)
    former = None if rebuild else cache.read()
    made_from = digest_of(f"{inputs.engine.value('select version()')} {parts.made_from}")
    if former and former.made_from != made_from:
        raise CacheError("other columns, settings or version of DuckDB")
    update = _Update(inputs, parts, cache, former or Manifest(made_from))
    if update.new and former is not None:
        place.say(f"rolling up {len(update.new):,} new or changed files of events")
    manifest = update.run()
    rolled = _CachedPass(inputs, cache, manifest).run()
    # only now, as every file has been verified
    if manifest != former:
        cache.commit(manifest, former)
    return rolled


class RollupCache:
    """The folder of the cache: Parquet files, named after their content, that never change.

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

    def write(self, relation: str, kind: str) -> CachedFile:
        """Write a relation."""
        with TemporaryDirectory(prefix=".new-", dir=self.folder) as new:
            path = Path(new) / "rows.parquet"
            self._engine.run(
                f"copy (select * from {relation} order by account_id) to {literal(str(path))} "
                "(format parquet, compression zstd)"
            )
            digest = digest_of(path)
            file = CachedFile(f"{kind}.{digest[:32]}.parquet", path.stat().st_size, digest)
            os.replace(path, self.folder / file.name)
        self._verified.add(file)
        return file

    def rows(self, files: Iterable[CachedFile]) -> str:
        """Return the relation of files with the same columns; CacheError if one is missing or damaged."""
        return f"read_parquet({file_list([self._check(file) for file in files])})"

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


class _Update:
    """Brings the cache up to date: files with other content are rolled up, all others stay as they are."""

    def __init__(
        self, inputs: BlockInputs, parts: EventFiles, cache: RollupCache, manifest: Manifest
    ) -> None:
        self._available, self._engine = inputs.available, inputs.engine
        self._parts, self._cache, self._manifest = parts, cache, manifest
        self._stamps = parts.stamps()
        former = manifest.parts
        seen = {name: part.seen(self._stamps[name], former.get(name)) for name, part in parts.parts.items()}
        self._same = {
            name: replace(former[name], stamp=now.stamp)
            for name, now in seen.items()
            if name in former and former[name].digest == now.digest
        }
        #: Fingerprints of the files to read.
        self.new = {name: now for name, now in seen.items() if name not in self._same}

    def run(self) -> Manifest:
        """Return the new manifest."""
        features = self._manifest.features
        made: dict[str, CachedPart] = {}
        for name, seen in self.new.items():
            rows = self._parts.rows([name])
            features = self._with_bits(rows, features)
            made[name] = self._rolled_up(rows, seen)
            if self._parts.parts[name].stamp() != self._stamps[name]:
                raise CacheError(f"{name} changed while it was read")
        return replace(self._manifest, features=features, parts=self._same | made)

    def _with_bits(self, rows: str, features: tuple[str, ...]) -> tuple[str, ...]:
        """Return all features, new ones last, and create ``cached_bits`` with a bit per spelling."""
        import pyarrow as pa

        feature = self._available.optional("events.feature", "e", "varchar")
        spelled = self._engine.rows(
            f"select spelled, {tidy('spelled')} from (select distinct {feature} as spelled from {rows} e)"
        )
        there = [(text, name) for text, name in spelled if name is not None]
        features = tuple(dict.fromkeys((*features, *sorted(name for _, name in there))))
        places = {name: place for place, name in enumerate(features)}
        bits = {
            "spelled": pa.array([text for text, _ in there], pa.string()),
            "word": pa.array([places[name] // BITS for _, name in there], pa.int32()),
            "bit": pa.array([1 << places[name] % BITS for _, name in there], pa.int64()),
        }
        self._engine.table_from("cached_bits", pa.table(bits))
        return features

    def _rolled_up(self, rows: str, seen: Fingerprint) -> CachedPart:
        user, feature, quantity = (
            self._available.optional(f"events.{name}", "e", type_)
            for name, type_ in (("user_id", "varchar"), ("feature", "varchar"), ("quantity", "double"))
        )
        spelled = (
            f"select e.account_id, {user} as user_id, cast(e.occurred_at as date) as day, "
            f"cast({self._available.known_at('events', 'e')} as date) as known, coalesce(b.word, 0) as word, "
            f"count(*) as n, sum(cast({quantity} as decimal(18, 4))) as quantity, count({quantity}) as measured, "
            f"bit_or(b.bit) as mask from {rows} e left join cached_bits b on b.spelled = {feature} "
            f"where e.occurred_at between {EARLIEST} and {LATEST} group by all"
        )
        sums = (
            "sum(n)::bigint as n, sum(quantity)::decimal(38, 4) as quantity, sum(measured)::bigint as measured, "
            "bit_or(mask) as mask"
        )
        account, keys = tidy("account_id"), "day, known, word"
        people = self._engine.create(
            "cached_people",
            f"select {account} as account_id, {tidy('user_id')} as user_id, {keys}, {sums} from ({spelled}) "
            f"where {account} is not null group by all",
        )
        days = self._engine.create(
            "cached_days", f"select account_id, {keys}, {sums} from {people} group by all"
        )
        first, last = self._engine.rows(f"select min(day), max(day) from {days}")[0]
        since: dict[int, date] = {}
        for word, known, mask in self._engine.rows(
            f"select word, known, bit_or(mask) from {days} where mask is not null group by 1, 2 order by 2"
        ):
            for bit in range(mask.bit_length()):
                if mask >> bit & 1:
                    since.setdefault(word * BITS + bit, known)
        files = self._cache.write(people, "people"), self._cache.write(days, "days")
        return CachedPart(seen.stamp, seen.digest, *files, first or date.min, last or date.min, since)


class _CachedPass(RawPass):
    """The statements of the roll-up over cached days."""

    def __init__(self, inputs: BlockInputs, cache: RollupCache, manifest: Manifest) -> None:
        super().__init__(inputs)
        self._cache, self._manifest = cache, manifest

    def features(self) -> int:
        """Return how many there are."""
        return len(self._manifest.features)

    def detail(self) -> str:
        """(account, user, slot) of the days within all windows."""
        low, high = self.reach.near, self.reach.end
        slot = f"d.segment + e.word * {self.spec.word_step}{self.known_slot}"
        return self._grouped(
            "people", low, high, f"e.account_id, e.user_id, {slot} as slot", "bit_or(e.mask)"
        )

    def history(self) -> str:
        """(account, slot) of the days within the year's windows only, and the days of key features in all windows."""
        user, low, high = "null::varchar as user_id", self.reach.far, self.reach.near
        slot = f"d.segment{self.known_slot}"
        nothing = "null::bigint"
        queries = [self._grouped("days", low, high, f"e.account_id, {user}, {slot} as slot", nothing)]
        for key, used in self._used():
            of_key = f"e.account_id, {user}, {slot} + {key * self.spec.key_step} as slot"
            queries.append(self._grouped("days", low, self.reach.end, of_key, nothing, used))
        return " union all ".join(queries)

    def last_days(self) -> list[str]:
        """Return queries of the last days of silent accounts before all windows."""
        spec, amounts = self.spec, ", 0, 0" if self.quantity else ""
        dated = "asof join numbered_dates a on a.as_of > e.known " if spec.late else ""
        queries = []
        for key, used in [(0, "true"), *self._used()]:
            slot = f"{spec.segments + key * spec.key_step}{' + a.slot' if spec.late else ''}"
            queries.append(
                f"select s.account_key, 0, {slot}, 0{amounts}, max(e.day) - date '{EPOCH}', 0 "
                f"from {self._files('days', None, self.reach.far)} e "
                f"join silent_accounts s on s.account_id = e.account_id {dated}"
                f"where e.day < date '{self.reach.far:%Y-%m-%d}' and {used} "
                f"group by s.account_key{', a.slot' if spec.late else ''}"
            )
        return queries

    def since(self, features: int) -> dict[int, int]:
        """Return the first date that knew each product feature to be used by anybody."""
        since: dict[int, int] = {}
        for part in self._manifest.parts.values():
            for place, known in part.seen.items():
                first = sum(as_of.date() <= known for as_of in self.reach.dates)
                since[place] = min(first, since.get(place, first))
        return since

    def _grouped(
        self, kind: str, low: datetime, high: datetime, keys: str, mask: str, used: str = "true"
    ) -> str:
        counted = used == "true"
        known = " join event_days k on k.day = e.known" if self.spec.late else ""
        amounts = (
            ", sum(e.quantity) as quantity, sum(e.measured)::bigint as measured" if counted else ", 0, 0"
        )
        return (
            f"select {keys}, {'sum(e.n)::bigint' if counted else '0'} as n{amounts if self.quantity else ''}, "
            f"bit_or(d.bit) as days, {mask} as mask from {self._files(kind, low, high)} e "
            f"join event_days d on d.day = e.day{known} "
            f"where e.day >= date '{low:%Y-%m-%d}' and e.day < date '{high:%Y-%m-%d}' and {used} group by 1, 2, 3"
        )

    def _files(self, kind: str, low: datetime | None, high: datetime) -> str:
        """Return the relation of the files with days in [low, high)."""
        found = [
            part.people if kind == "people" else part.days
            for part in self._manifest.parts.values()
            if (low is None or part.last >= low.date()) and part.first < high.date()
        ]
        if found:
            return self._cache.rows(found)
        return (
            "(select null::varchar as account_id, null::varchar as user_id, null::date as day, null::date as known, "
            "0 as word, 0::bigint as n, null::decimal(38, 4) as quantity, 0::bigint as measured, null::bigint as mask "
            "limit 0)"
        )

    def _used(self) -> Iterator[tuple[int, str]]:
        """Yield the number of each key feature, and the condition that a cached row ``e`` used it."""
        for key, name in enumerate(self.keys, start=1):
            if name in self._manifest.features:
                place = self._manifest.features.index(name)
                yield key, f"e.word = {place // BITS} and e.mask & {1 << place % BITS} <> 0"
