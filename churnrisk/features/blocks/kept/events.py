"""The roll-up of the events as an earlier run has kept it, with what came since."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime

from churnrisk.errors import ChurnRiskError
from churnrisk.features.blocks.kept.blocks import last_keys, whole_blocks, with_blocks
from churnrisk.features.blocks.kept.changes import find_changes
from churnrisk.features.blocks.kept.files import KeptFiles
from churnrisk.features.blocks.kept.manifest import KeptError, Manifest
from churnrisk.features.blocks.kept.update import Update
from churnrisk.features.blocks.shape import Reach, Shape, active, block_of, instant
from churnrisk.sources import Cache, Parts, Tables


def kept_events(tables: Tables, key_features: tuple[str, ...], reach: Reach) -> KeptEvents | None:
    """Bring the kept roll-up up to date and return it.

    Returns
    -------
    KeptEvents or None
        None where nothing is to be kept, or nothing can be.
    """
    cache, parts = tables.cache, tables.event_parts
    if cache is None or parts is None:
        return None
    try:
        files = KeptFiles(tables.engine, cache.folder)
        try:
            return _opened(tables, parts, files, key_features, reach, cache)
        except KeptError as error:
            cache.say(f"the kept roll-up of the events is not used ({error}); rolling up all events anew")
            return _opened(tables, parts, files, key_features, reach, cache, anew=True)
    except (OSError, ChurnRiskError, KeptError) as error:
        cache.say(f"the roll-up of the events cannot be kept ({error}); reading all events")
        return None


def _opened(
    tables: Tables,
    parts: Parts,
    files: KeptFiles,
    key_features: tuple[str, ...],
    reach: Reach,
    cache: Cache,
    *,
    anew: bool = False,
) -> KeptEvents:
    made_from = _made_from(tables, parts)
    former = None if anew else files.read()
    if former is not None and former.made_from != made_from:
        raise KeptError("it was made of other columns, by other settings or another version of DuckDB")
    start = former or Manifest(made_from)
    changes = find_changes(tables, parts, start)
    if changes.wanted and former is not None:
        cache.say(f"rolling up {len(changes.rebuilt | changes.merged):,} new or changed days of events")
    manifest = Update(tables, parts, files, start).made(changes)
    shape = Shape.of(tables.available, len(manifest.features), key_features, coded=True)
    wanted = whole_blocks(manifest, reach)
    manifest = with_blocks(tables.engine, files, manifest, shape, wanted)
    events = KeptEvents(tables, shape, reach, files, manifest, frozenset(wanted))
    events.check()
    if manifest != former:
        files.keep(manifest, former)
    return events


def _made_from(tables: Tables, parts: Parts) -> str:
    version = tables.engine.value("select version()")
    return hashlib.sha256(f"{version} {parts.made_from}".encode()).hexdigest()


@dataclass(frozen=True)
class KeptEvents:
    """The statements that read kept rows; their counterparts for raw rows are those of ``RawEvents``."""

    tables: Tables
    shape: Shape
    reach: Reach
    files: KeptFiles
    manifest: Manifest
    blocks: frozenset[date]

    def check(self) -> None:
        """Look at every file that is going to be read.

        Raises
        ------
        KeptError
            If one is missing or damaged.
        """
        self._day_rows(datetime.min, self.reach.end)
        self._block_rows(datetime.min, self.reach.near)

    def detail(self) -> str:
        """(account, user, day, first date that knows the row) of the days within all windows."""
        days = self._days(self.reach.near, self.reach.end)
        masks = self.shape.masks("e.mask_{i}")
        return f"select e.account_id, e.user_id, {self._sums()}{masks}{self._keys()} from {days}"

    def history(self) -> str:
        """(account, day or block, first date that knows the row) of the days within the year's windows only."""
        far, near = self.reach.far, self.reach.near
        known = "k" if self.shape.late else "d"
        block_keys = self.shape.keys("e.last_key_{i}")
        return (
            f"select e.account_id, {self._sums()}{self._keys()} from {self._days(far, near)} union all "
            f"select e.account_id, d.segment, {known}.first_as_of as known_as_of, e.n, "
            f"{self.shape.amount('e.quantity')} as quantity, e.days << (e.block - d.segment)::int as days, "
            f"e.first_day, e.last_day{block_keys} from {self._dated(self._block_rows(far, near), 'block')}"
        )

    def lookback(self) -> str:
        """Find the last days, before all windows, of accounts that have none in what the first date sees."""
        far = self.reach.far
        known, at, dated = "", instant(self.reach.dates[0]), ""
        if self.shape.late:
            known, at, dated = ", e.known", "a.as_of", "asof join as_of_dates a on a.as_of > e.known "
        keys = self.shape.keys("e.last_key_{i}")
        return (
            f"select e.account_id, {at} as known_as_of, max(e.last_day) as last_day"
            f"{self.shape.keys('max(e.last_key_{i}) as last_key_{i}')} "
            f"from (select e.* from (select e.account_id{known}, e.day as last_day{self._keys()} "
            f"from {self._day_rows(datetime.min, far)} e union all "
            f"select e.account_id{known}, e.last_day{keys} from {self._block_rows(datetime.min, far)} e) e "
            f"anti join ({active(self.shape, self.reach)}) f on f.account_id = e.account_id) e {dated}group by 1, 2"
        )

    def create_sightings(self) -> None:
        """Create ``feature_sightings`` from what is known of each day."""
        import pyarrow as pa

        since: dict[int, date] = {}
        for day in self.manifest.days.values():
            for place, known in day.seen.items():
                since[place] = min(known, since.get(place, known))
        features = [self.manifest.features[place] for place in since]
        table = pa.table(
            {"feature": pa.array(features, pa.string()), "known": pa.array(since.values(), pa.date32())}
        )
        engine = self.tables.engine
        engine.table_from("kept_sightings", table)
        engine.run(
            "create or replace temp table feature_sightings as select s.feature, a.as_of as known_as_of "
            "from kept_sightings s asof join as_of_dates a on a.as_of > s.known"
        )

    def _sums(self) -> str:
        known = "k" if self.shape.late else "d"
        return (
            f"d.segment, {known}.first_as_of as known_as_of, e.n, {self.shape.amount('e.quantity')} as quantity, "
            "d.day_bit as days, e.day as first_day, e.day as last_day"
        )

    def _keys(self) -> str:
        days = last_keys(self.shape, self.manifest.features)
        return "".join(f", {day} as last_key_{i}" for i, day in enumerate(days))

    def _days(self, low: datetime, high: datetime) -> str:
        return self._dated(self._day_rows(low, high), "day")

    def _dated(self, rows: str, day: str) -> str:
        known = " join event_days k on k.day = e.known" if self.shape.late else ""
        return f"{rows} e join event_days d on d.day = e.{day}{known}"

    def _day_rows(self, low: datetime, high: datetime) -> str:
        """Return the rows of the days in [low, high) that no whole block holds."""
        found = [
            file
            for day, entry in self.manifest.days.items()
            if low.date() <= day < high.date() and block_of(day) not in self.blocks
            for file in entry.files
        ]
        columns = {"account_id": "int", "user_id": "varchar", "day": "date"} | self._counted()
        masks = {f"mask_{i}": "bigint" for i in range(self.shape.words)}
        return self.files.rows(found) if found else _no_rows(columns | masks)

    def _block_rows(self, low: datetime, high: datetime) -> str:
        """Return the rows of the whole blocks in [low, high)."""
        found = [
            file
            for first in self.blocks
            if low.date() <= first < high.date()
            for file in self.manifest.blocks[first].files
        ]
        columns = {"account_id": "int", "block": "date", "days": "bigint"} | self._counted()
        last = dict.fromkeys(
            ("first_day", "last_day", *(f"last_key_{i}" for i in range(len(self.shape.key_features)))), "date"
        )
        return self.files.rows(found) if found else _no_rows(columns | last)

    def _counted(self) -> dict[str, str]:
        return {"known": "date", "n": "bigint", "quantity": "decimal(38, 4)"}


def _no_rows(columns: dict[str, str]) -> str:
    return f"(select {', '.join(f'null::{type_} as {name}' for name, type_ in columns.items())} limit 0)"
