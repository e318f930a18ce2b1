"""Windows of the events from the cached roll-up, brought up to date first.

Everything is sums, ORs and extremes of whole days, so the features equal those from raw rows to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from churnrisk.contract import literal, tidy, timestamp_literal
from churnrisk.errors import ChurnRiskError
from churnrisk.features.block import BlockInputs
from churnrisk.features.cache import (
    CachedBlock,
    CachedDay,
    CachedFile,
    CacheError,
    Changes,
    Manifest,
    RollupCache,
    find_changes,
)
from churnrisk.features.rollup import (
    BITS,
    DETAIL_DAYS,
    HISTORY_DAYS,
    PEOPLE_DAYS,
    EventRelations,
    RollupShape,
    complete,
    user_columns,
    window_columns,
)
from churnrisk.files import digest_of
from churnrisk.sources import CacheConfig, EventFiles, Tables

BLOCK_DAYS = 28
_ZERO = "date '0001-01-01'"
#: :func:`_block_of` in SQL.
_BLOCK = f"({_ZERO} + ((day - {_ZERO}) // {BLOCK_DAYS} * {BLOCK_DAYS})::int)"
#: Days in a word of active days: whole blocks, so that none is in two words.
_WORD_DAYS = 2 * BLOCK_DAYS
_COUNTED = {"known": "date", "n": "bigint", "quantity": "decimal(38, 4)"}
#: So many files of account codes are merged into one.
_NAME_FILES = 30


def windows_from_cache(inputs: BlockInputs) -> EventRelations | None:
    """Update the cached roll-up and compute the windows from it; None where nothing can be cached."""
    cache, parts = inputs.tables.cache, inputs.tables.event_parts
    if cache is None or parts is None:
        return None
    try:
        try:
            return _create(inputs, parts, cache)
        except CacheError as error:
            cache.say(f"rebuilding the roll-up of all events: {error}")
            return _create(inputs, parts, cache, rebuild=True)
    except (OSError, ChurnRiskError, CacheError) as error:
        cache.say(f"the roll-up of the events cannot be cached ({error}); reading all events")
        return None


def _create(
    inputs: BlockInputs, parts: EventFiles, place: CacheConfig, *, rebuild: bool = False
) -> EventRelations:
    tables, engine = inputs.tables, inputs.engine
    cache = RollupCache(engine, place.folder)
    former = None if rebuild else cache.read()
    made_from = digest_of(f"{engine.value('select version()')} {parts.made_from}")
    start = former or Manifest(made_from)
    if start.made_from != made_from:
        raise CacheError("other columns, settings or version of DuckDB")
    changes = find_changes(tables, parts, start)
    if changes.to_read and former is not None:
        place.say(f"rolling up {len(changes.rebuilt | changes.merged):,} new or changed days of events")
    update = _Update(tables, parts, cache, start)
    manifest = update.apply(changes)
    changes.require_unchanged(parts)
    shape = RollupShape.of(tables.available, len(manifest.features), inputs.key_features)
    dates = [row[0].date() for row in engine.rows(f"select as_of from {inputs.dates} order by as_of")]
    for as_of in dates:
        manifest = _with_blocks(cache, manifest, shape, _whole_blocks(manifest, as_of))
    keys = inputs.create(
        "cached_keys",
        f"select a.code, k.account_key from {update.accounts} a join {inputs.keys} k using (account_id)",
    )
    made, at_dates = EventRelations(), [_AtDate(as_of, shape, cache, manifest, keys) for as_of in dates]
    inputs.create(made.windows, " union all ".join(at.windows() for at in at_dates))
    inputs.create(made.users, " union all ".join(at.users() for at in at_dates))
    inputs.create(made.before, " union all ".join(at.before(made.windows) for at in at_dates))
    inputs.create(made.sightings, _sightings(manifest, inputs.dates))
    # only now, as every file has been verified
    if manifest != former:
        cache.commit(manifest, former)
    return made


def _sightings(manifest: Manifest, dates: str) -> str:
    """Return the query of the first date that knew each product feature."""
    since: dict[int, date] = {}
    for day in manifest.days.values():
        for place, known in day.seen.items():
            since[place] = min(known, since.get(place, known))
    values = ", ".join(
        f"({literal(manifest.features[place])}, date '{first}')" for place, first in since.items()
    )
    return (
        "select s.feature, a.as_of as known_as_of "
        f"from (values {values or '(null, null::date)'}) s(feature, known) "
        f"asof join {dates} a on a.as_of > s.known"
    )


class _Update:
    """Brings the cached roll-up up to date: new and changed days are read, all others stay as they are."""

    def __init__(self, tables: Tables, parts: EventFiles, cache: RollupCache, manifest: Manifest) -> None:
        self._tables, self._parts, self._cache, self._manifest = tables, parts, cache, manifest
        self._engine = tables.engine
        #: Relation (account_id, code).
        self.accounts = "event_accounts"

    def apply(self, changes: Changes) -> Manifest:
        """Return the new manifest; CacheError if a file is damaged or masks have too few words for the features."""
        manifest = self._manifest
        self._open_accounts()
        if not changes.to_read:
            days = {day: entry for day, entry in manifest.days.items() if day not in changes.rebuilt}
            return replace(manifest, parts=changes.parts, days=days)
        raw = self._raw(changes)
        features = self._with_features(raw)
        shape = RollupShape.of(self._tables.available, len(features), ())
        self._engine.create("cached_spelled", self._spelled(raw, shape))
        manifest = self._with_accounts(replace(manifest, parts=changes.parts, features=features))
        cached = [file for day in changes.merged & manifest.days.keys() for file in manifest.days[day].files]
        self._engine.create("cached_rows", self._rows(shape, cached))
        written = self._cache.write("select * from cached_rows order by day, account_id", by="day")
        return replace(manifest, days=self._days(changes, written, shape))

    def _open_accounts(self) -> None:
        names = self._manifest.names
        source = self._cache.rows(names) if names else _no_rows({"account_id": "varchar", "code": "int"})
        self._engine.create(self.accounts, f"select account_id, code from {source}")

    def _raw(self, changes: Changes) -> str:
        """Return the relation of the raw rows to read."""
        import pyarrow as pa

        names = sorted({name for name, _ in changes.to_read})
        days = [day for _, day in changes.to_read]
        first, last = datetime.combine(min(days), time.min), datetime.combine(max(days), time.max)
        within = f"occurred_at between {timestamp_literal(first)} and {timestamp_literal(last)}"
        rows = f"from {self._parts.rows(names)} where {within}"
        if all((name, day) in changes.to_read for name in names for day in changes.parts[name].days):
            return f"(select * {rows})"
        pairs = sorted(changes.to_read)
        files = [self._parts.parts[name].file for name, _ in pairs]
        self._engine.table_from("cached_to_read", pa.table({"file": files, "day": [day for _, day in pairs]}))
        return (
            f"(select * from (select *, cast(occurred_at as date) as day {rows}) r "
            "semi join cached_to_read w on w.file = r.file and w.day = r.day)"
        )

    def _with_features(self, raw: str) -> tuple[str, ...]:
        """Return all features, new ones last, and create ``cached_bits`` with a bit per spelling."""
        import pyarrow as pa

        feature = self._tables.available.optional("events.feature", "e", "varchar")
        self._engine.create(
            "cached_spellings",
            f"select spelled, {tidy('spelled')} as feature "
            f"from (select distinct {feature} as spelled from {raw} e)",
        )
        there = self._engine.rows(
            "select distinct feature from cached_spellings where feature is not null order by 1"
        )
        features = tuple(dict.fromkeys((*self._manifest.features, *(name for (name,) in there))))
        if self._manifest.days and replace(self._manifest, features=features).words != self._manifest.words:
            raise CacheError("more product features than its masks have room for")
        numbered = pa.table({"feature": pa.array(features, pa.string()), "place": range(len(features))})
        self._engine.table_from("cached_features", numbered)
        self._engine.create(
            "cached_bits",
            f"select spelled, (place // {BITS})::int as word, "
            f"1::bigint << (place % {BITS})::int as bit from cached_spellings join cached_features using (feature)",
        )
        return features

    def _spelled(self, raw: str, shape: RollupShape) -> str:
        """Group the rows by ids as they are spelled."""
        available = self._tables.available
        user, feature, quantity = (
            available.optional(f"events.{name}", "e", type_)
            for name, type_ in (("user_id", "varchar"), ("feature", "varchar"), ("quantity", "double"))
        )
        known = f", cast({available.known_at('events', 'e')} as date) as known" if shape.late else ""
        amount = f", sum(cast({quantity} as decimal(18, 4))) as quantity" if shape.quantity else ""
        return (
            f"select e.account_id, {user} as user_id, cast(e.occurred_at as date) as day{known}, count(*) as n{amount}"
            f"{shape.masks('bit_or(case when b.word = {i} then b.bit end) as mask_{i}')} "
            f"from {raw} e left join cached_bits b on b.spelled = {feature} group by all"
        )

    def _with_accounts(self, manifest: Manifest) -> Manifest:
        """Give new accounts a code."""
        new = (
            f"select account_id, ({manifest.accounts} + row_number() over (order by account_id))::int as code from "
            f"(select distinct {tidy('account_id')} as account_id from cached_spelled) n "
            f"anti join {self.accounts} a using (account_id) where account_id is not null"
        )
        self._engine.create("cached_names", new)
        accounts = manifest.accounts + self._engine.value("select count(*) from cached_names")
        if accounts == manifest.accounts:
            return manifest
        self._engine.run(f"insert into {self.accounts} select account_id, code from cached_names")
        rewrite = len(manifest.names) >= _NAME_FILES
        source = self.accounts if rewrite else "cached_names"
        (written,) = self._cache.write(f"select *, {accounts} as names from {source}", by="names").values()
        return replace(manifest, accounts=accounts, names=written if rewrite else (*manifest.names, *written))

    def _rows(self, shape: RollupShape, cached: list[CachedFile]) -> str:
        """Group what was read by the contract's ids, together with the cached rows of the same days."""
        extra = ("known",) if shape.late else ()
        amount = ("quantity",) if shape.quantity else ()
        names = ", ".join(("day", *extra, "n", *amount)) + shape.masks("mask_{i}")
        former = (
            f" union all select account_id, user_id, {names} from {self._cache.rows(cached)}"
            if cached
            else ""
        )
        return (
            f"select account_id, user_id, {', '.join(('day', *extra))}, sum(n)::bigint as n"
            f"{', sum(quantity) as quantity' if amount else ''}{shape.masks('bit_or(mask_{i}) as mask_{i}')} "
            f"from (select a.code as account_id, {tidy('s.user_id')} as user_id, {names} from cached_spelled s "
            f"join {self.accounts} a on a.account_id = {tidy('s.account_id')}{former}) group by all"
        )

    def _days(
        self, changes: Changes, written: Mapping[str, tuple[CachedFile, ...]], shape: RollupShape
    ) -> dict[date, CachedDay]:
        """Return all days; those just written with the features used on them."""
        known = "known" if shape.late else "day"
        masks = self._engine.rows(
            f"select day, {known}{shape.masks('bit_or(mask_{i})')} from cached_rows group by 1, 2 order by 1, 2"
        )
        seen: dict[date, dict[int, date]] = {}
        for day, first, *words in masks:
            for place in _places(words):
                seen.setdefault(day, {}).setdefault(place, first)
        days = {day: entry for day, entry in self._manifest.days.items() if day not in changes.rebuilt}
        for text, files in written.items():
            day = date.fromisoformat(text)
            days[day] = CachedDay(files, seen.get(day, {}))
        return days


def _places(words: Iterable[int | None]) -> Iterable[int]:
    """Yield the places of the bits that are set."""
    for number, word in enumerate(words):
        for bit in range((word or 0).bit_length()):
            if (word or 0) >> bit & 1:
                yield number * BITS + bit


def _block_of(day: date) -> date:
    """Return the first day of the block of a day."""
    return date.fromordinal((day.toordinal() - 1) // BLOCK_DAYS * BLOCK_DAYS + 1)


def _whole_blocks(manifest: Manifest, as_of: date) -> dict[date, tuple[date, ...]]:
    """Return the past blocks that no window edge of a date cuts, with their days."""
    days: dict[date, list[date]] = {}
    for day in sorted(manifest.days):
        days.setdefault(_block_of(day), []).append(day)
    edges = [as_of - timedelta(days=edge) for edge in (HISTORY_DAYS, 180, DETAIL_DAYS)]
    return {
        first: tuple(of_block)
        for first, of_block in days.items()
        if first + timedelta(days=BLOCK_DAYS) <= edges[-1]
        and not any(first < edge < first + timedelta(days=BLOCK_DAYS) for edge in edges)
    }


def _with_blocks(
    cache: RollupCache, manifest: Manifest, shape: RollupShape, blocks: dict[date, tuple[date, ...]]
) -> Manifest:
    """Return the manifest with these blocks, computed from cached days where missing or stale."""
    origins = {first: _origin(manifest, days, shape) for first, days in blocks.items()}
    stale = [
        first
        for first, origin in origins.items()
        if first not in manifest.blocks or manifest.blocks[first].made_from != origin
    ]
    if not stale:
        return manifest
    rows = cache.rows(file for first in stale for day in blocks[first] for file in manifest.days[day].files)
    added_up = f"select * from ({_added_up(rows, shape, manifest.features)}) order by block, account_id"
    written = cache.write(added_up, by="block")
    made = {first: CachedBlock(origins[first], written[f"{first}"]) for first in stale}
    return replace(manifest, blocks=manifest.blocks | made)


def _origin(manifest: Manifest, days: tuple[date, ...], shape: RollupShape) -> str:
    made_of = [file.digest for day in days for file in manifest.days[day].files]
    return digest_of(repr((made_of, shape.key_features)))


def _added_up(rows: str, shape: RollupShape, features: tuple[str, ...]) -> str:
    """Add up users and days. A row counts as known from the last day of its block at least: no as-of date is inside."""
    known = f", greatest(known, {_BLOCK} + {BLOCK_DAYS - 1}) as known" if shape.late else ""
    amount = ", sum(quantity) as quantity" if shape.quantity else ""
    return (
        f"select account_id, {_BLOCK} as block{known}, sum(n)::bigint as n{amount}, "
        f"bit_or(1::bigint << (day - {_BLOCK})::int) as days, min(day) as first_day, max(day) as last_day"
        + "".join(f", max({last}) as last_key_{i}" for i, last in enumerate(_last_keys(shape, features)))
        + f" from {rows} e group by all"
    )


def _last_keys(shape: RollupShape, features: tuple[str, ...]) -> Iterator[str]:
    """Yield per key feature the day of a cached row ``e`` on which it was used, else null."""
    for name in shape.key_features:
        if name not in features:
            yield "null::date"
            continue
        place = features.index(name)
        yield f"case when e.mask_{place // BITS} & {1 << place % BITS} <> 0 then e.day end"


@dataclass(frozen=True)
class _AtDate:
    """The queries of one as-of date. Cached rows have a code for each account; relation ``keys`` maps it to its key."""

    as_of: date
    shape: RollupShape
    cache: RollupCache
    manifest: Manifest
    keys: str

    def windows(self) -> str:
        """Return every window, one row per account."""
        low = self._ago(HISTORY_DAYS)
        columns = window_columns(self.shape, self._active_days)
        quantity = self.shape.amount("e.quantity")
        days = (
            f"select e.account_id as code, date '{self.as_of}' - e.day as age, e.n, {quantity} as quantity"
            f"{self.shape.masks('e.mask_{i}')}, {self._word('e.day')} as word, "
            f"1::bigint << {self._bit('e.day')} as days, e.day as first_day, e.day as last_day{self._keys()} "
            f"from {self._days(low, self.as_of)}"
        )
        blocks = (
            f"select e.account_id, date '{self.as_of}' - e.block, e.n, {quantity}"
            f"{self.shape.masks('null::bigint')}, {self._word('e.block')}, e.days << {self._bit('e.block')}, "
            f"e.first_day, e.last_day{self.shape.keys('e.last_key_{i}')} from {self._blocks(low, self.as_of)}"
        )
        return (
            f"select k.account_key, {self._instant} as as_of, w.* exclude (code) from "
            f"(select code, {columns} from ({days} union all {blocks}) group by code) w join {self.keys} k using (code)"
        )

    def users(self) -> str:
        """Return the columns of the users, one row per account."""
        rows = (
            f"select e.account_id as code, e.user_id, date '{self.as_of}' - e.day as age, e.n "
            f"from {self._days(self._ago(PEOPLE_DAYS), self.as_of)}"
        )
        return user_columns(
            f"(select k.account_key, {self._instant} as as_of, u.user_id, u.age, u.n "
            f"from ({rows}) u join {self.keys} k using (code))"
        )

    def before(self, windows: str) -> str:
        """Return last days before the windows, one row per account that has none in relation ``windows``."""
        far = self._ago(HISTORY_DAYS)
        there = f"as_of = {self._instant} and {complete(self.shape)}"
        return (
            f"select s.account_key, {self._instant} as as_of, max(last_day) as last_day"
            f"{self.shape.keys('max(last_key_{i}) as last_key_{i}')} from ("
            f"select e.account_id as code, e.day as last_day{self._keys()} from {self._days(date.min, far)} union all "
            f"select e.account_id, e.last_day{self.shape.keys('e.last_key_{i}')} "
            f"from {self._blocks(date.min, far)}) e join (select k.code, k.account_key from {self.keys} k "
            f"anti join (select account_key from {windows} where {there}) w on w.account_key = k.account_key) s "
            "using (code) group by s.account_key"
        )

    @property
    def _instant(self) -> str:
        return timestamp_literal(datetime.combine(self.as_of, time.min))

    @property
    def _origin(self) -> date:
        """The first day of the first word."""
        return _block_of(self._ago(HISTORY_DAYS))

    def _ago(self, days: int) -> date:
        return self.as_of - timedelta(days=days)

    def _word(self, day: str) -> str:
        return f"({day} - date '{self._origin}') // {_WORD_DAYS}"

    def _bit(self, day: str) -> str:
        return f"(({day} - date '{self._origin}') % {_WORD_DAYS})::int"

    def _active_days(self, low: int, high: int) -> str:
        """Count the distinct days of some ages by their bits."""
        first, last = ((self._ago(age) - self._origin).days for age in (high, low))
        counts = []
        for word in range(first // _WORD_DAYS, (last - 1) // _WORD_DAYS + 1):
            start = word * _WORD_DAYS
            mask = (1 << min(last - start, _WORD_DAYS)) - (1 << max(first - start, 0))
            counts.append(
                f"coalesce(bit_count(bit_or(days) filter (where word = {word}) & {mask}), 0)::integer"
            )
        return f"nullif({' + '.join(counts)}, 0)"

    def _keys(self) -> str:
        days = _last_keys(self.shape, self.manifest.features)
        return "".join(f", {day} as last_key_{i}" for i, day in enumerate(days))

    def _days(self, low: date, high: date) -> str:
        """Return the rows ``e`` of the days in [low, high) outside whole blocks, as far as they were known."""
        blocks = _whole_blocks(self.manifest, self.as_of)
        found = [
            file
            for day, entry in self.manifest.days.items()
            if low <= day < high and _block_of(day) not in blocks
            for file in entry.files
        ]
        columns = {"account_id": "int", "user_id": "varchar", "day": "date"} | _COUNTED
        masks = {f"mask_{i}": "bigint" for i in range(self.shape.words)}
        return self._known(self.cache.rows(found) if found else _no_rows(columns | masks))

    def _blocks(self, low: date, high: date) -> str:
        """Return the rows ``e`` of the whole blocks in [low, high), as far as they were known."""
        found = [
            file
            for first in _whole_blocks(self.manifest, self.as_of)
            if low <= first < high
            for file in self.manifest.blocks[first].files
        ]
        columns = {"account_id": "int", "block": "date", "days": "bigint"} | _COUNTED
        keys = [f"last_key_{i}" for i in range(len(self.shape.key_features))]
        last = dict.fromkeys(("first_day", "last_day", *keys), "date")
        return self._known(self.cache.rows(found) if found else _no_rows(columns | last))

    def _known(self, rows: str) -> str:
        return f"{rows} e" + (f" where e.known < date '{self.as_of}'" if self.shape.late else "")


def _no_rows(columns: dict[str, str]) -> str:
    return f"(select {', '.join(f'null::{type_} as {name}' for name, type_ in columns.items())} limit 0)"
