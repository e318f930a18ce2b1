"""A project whose events change from night to night, computed with and without the cache of earlier nights."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

from churnrisk.features import FeatureConfig, build_features, select_features
from churnrisk.snapshots import build_panel
from churnrisk.sources import CacheConfig, Engine, EngineConfig, TableConfig, Tables, open_tables
from tests.features.computing import CHURN, KEYS, bits
from tests.world import WORLD_DAYS, Row, World, arrow, at, maybe, moment, random_world, recorded, row

CONFIG = FeatureConfig(key_features=KEYS)
#: Days of the world that go into one file.
_DAYS_OF_A_FILE = 40
LAYOUTS = {
    "files": "events/*.parquet",
    "file": "events.parquet",
    "csv": "events/*.csv",
    "folders": "events/**/*.parquet",
}


@dataclass
class Nights:
    """A world with its events in files, by the files' names."""

    folder: Path
    world: World
    layout: str
    files: dict[str, list[Row]]
    said: list[str] = field(default_factory=list)

    @classmethod
    def begun(cls, folder: Path, layout: str, seed: int, absent: Sequence[str] = ()) -> Nights:
        world = random_world(seed, events=150).without("complaints", "surveys", "subscriptions", *absent)
        files: dict[str, list[Row]] = {}
        for event in world.rows("events"):
            part = (event["occurred_at"] - at(0)).days // _DAYS_OF_A_FILE if layout != "file" else 0
            files.setdefault(f"part{part:02}", []).append(event)
        nights = cls(folder, world, layout, files)
        for table in ("accounts", "attributes"):
            pq.write_table(arrow(world, table), folder / f"{table}.parquet")
        for name in files:
            nights.write(name)
        return nights

    def path(self, name: str) -> Path:
        return self.folder / LAYOUTS[self.layout].replace("**/", "").replace("*", name)

    def write(self, name: str) -> None:
        table = arrow(self.world.with_rows(events=self.files[name]), "events")
        self.path(name).parent.mkdir(exist_ok=True)
        if self.layout == "csv":
            pyarrow.csv.write_csv(table, self.path(name))
        else:
            pq.write_table(table, self.path(name))

    def features(
        self, dates: Sequence[datetime], *, cached: bool, config: FeatureConfig = CONFIG
    ) -> tuple[dict[str, object], list[str]]:
        """Return the features as bits, and the statements that made them."""
        with self.opened(cached=cached) as tables:
            build_panel(tables, CHURN, dates, data_end=at(10_000))
            features = select_features(config, tables.available)
            with tables.engine.recording() as statements:
                frame = build_features(
                    tables, features, key_features=config.key_features, labelled_only=False
                )
            return bits(frame), statements

    @contextmanager
    def opened(self, *, cached: bool) -> Iterator[Tables]:
        configs = {name: TableConfig(path=f"{name}.parquet") for name in ("accounts", "attributes")}
        configs["events"] = TableConfig(path=LAYOUTS[self.layout])
        with Engine(EngineConfig(threads=1), base=self.folder) as engine:
            tables = open_tables(engine, configs)
            yield (
                replace(tables, cache=CacheConfig(self.folder / "cached", self.said.append))
                if cached
                else tables
            )

    def one_change(self, rng: random.Random) -> None:
        """Apply one of the changes that event tables see in a night."""
        change = rng.choice((self._append, self._append, self._late, self._alter, self._delete, self._touch))
        change(rng)

    def _append(self, rng: random.Random) -> None:
        self._add(rng, [moment(rng, WORLD_DAYS, WORLD_DAYS + 20) for _ in range(rng.randrange(1, 12))])

    def _late(self, rng: random.Random) -> None:
        self._add(rng, [moment(rng) for _ in range(rng.randrange(1, 6))])

    def _add(self, rng: random.Random, times: Sequence[datetime]) -> None:
        new = [
            row(
                "events",
                account_id=rng.choice(("A0", "A1", " A1 ", "A9", "")),
                occurred_at=time,
                feature=maybe(
                    rng, 0.8, rng.choice(("f001", "f004", " f004", "new", f"g{rng.randrange(70)}"))
                ),
                user_id=maybe(rng, 0.8, rng.choice(("u1", "u1 ", "u8"))),
                quantity=maybe(rng, 0.8, rng.randrange(1000) / 10),
                recorded_at=recorded(rng, time + timedelta(days=rng.choice((0, 0, 30)))),
            )
            for time in times
        ]
        name = next(iter(self.files), "part") if self.layout == "file" else f"night{len(self.files):02}"
        self.files[name] = self.files.get(name, []) + new
        self.write(name)

    def _alter(self, rng: random.Random) -> None:
        name = rng.choice(list(self.files))
        rows = self.files[name]
        place = rng.randrange(len(rows))
        later = rows[place]["occurred_at"] + timedelta(days=rng.choice((0, 1, 40)))
        rows[place] = rows[place] | {"feature": rng.choice(("f000", None)), "occurred_at": later}
        self.write(name)

    def _delete(self, rng: random.Random) -> None:
        name = rng.choice(list(self.files))
        if len(self.files) > 1 and rng.random() < 0.5:
            del self.files[name]
            self.path(name).unlink()
        elif len(self.files[name]) > 1:
            self.files[name].pop(rng.randrange(len(self.files[name])))
            self.write(name)

    def _touch(self, rng: random.Random) -> None:
        self.path(rng.choice(list(self.files))).touch()


def features_of(folder: Path, layout: str, dates: Sequence[datetime]) -> dict[str, object]:
    """Return what another process sees of a world that lies in a folder."""
    return Nights(folder, World({}), layout, {}).features(dates, cached=True)[0]
