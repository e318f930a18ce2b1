"""Ids and texts that stand untidily in Parquet files, which are grouped as spelled and tidied afterwards."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnrisk.features import build_features, select_features
from churnrisk.snapshots import build_panel
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables
from tests.features.computing import CHURN, CONFIG, bits, compute
from tests.world import World, arrow, at, random_world

DATES = [at(420), at(460)]


def from_files(world: World, folder: Path, events: pa.Table | None = None) -> dict[str, object]:
    """Return the features of a world whose tables are Parquet files, its events perhaps of other types."""
    for table in world.tables:
        given = events if events is not None and table == "events" else arrow(world, table)
        pq.write_table(given, folder / f"{table}.parquet")
    configs = {table: TableConfig(path=f"{table}.parquet") for table in world.tables}
    with Engine(EngineConfig(threads=1), base=folder) as engine:
        tables = open_tables(engine, configs)
        build_panel(tables, CHURN, DATES, data_end=at(10_000))
        features = select_features(CONFIG, tables.available)
        return bits(build_features(tables, features, key_features=CONFIG.key_features, labelled_only=False))


def untidy(world: World, seed: int) -> World:
    rng = random.Random(seed)

    def spelled(value: str | None) -> str | None:
        return value if value is None else rng.choice((value, f" {value}", f"{value} ", f"  {value} "))

    events = [
        row | {name: spelled(row[name]) for name in ("account_id", "user_id", "feature")}
        for row in world.rows("events")
    ]
    blank = [row | {"account_id": "  "} for row in events[:5]]
    nobody = [row | {"user_id": "", "feature": " "} for row in events[5:10]]
    return world.with_rows(events=events + blank + nobody)


@pytest.mark.parametrize("absent", [(), ("events.recorded_at",), ("events.feature", "events.user_id")])
def test_untidy_ids_in_parquet_files_count_like_tidy_ones(tmp_path: Path, absent: tuple[str, ...]) -> None:
    world = random_world(11, events=300, features=70).without(*absent)
    spelled = untidy(world, 1)
    tidied = [
        row | {name: (row[name] or "").strip() or None for name in ("account_id", "user_id", "feature")}
        for row in spelled.rows("events")
    ]
    tidy = world.with_rows(events=[row for row in tidied if row["account_id"]])
    assert from_files(spelled, tmp_path) == bits(compute(tidy, DATES))


def test_numbers_as_account_ids_meet_the_same_ids_as_text(tmp_path: Path) -> None:
    drawn = random_world(12, events=200)
    world = drawn.with_rows(
        **{
            name: [
                row | {"account_id": row["account_id"][1:]} for row in rows if row["account_id"] != "stranger"
            ]
            for name, rows in drawn.tables.items()
        }
    )
    events = arrow(world, "events")
    numbered = events.set_column(0, "account_id", events["account_id"].cast(pa.int64()))
    assert from_files(world, tmp_path, numbered) == bits(compute(world, DATES))
