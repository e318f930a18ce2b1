"""The cached daily roll-up of the events: features equal those of a full run to the bit."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.features import build_features, select_features
from churnrisk.snapshots import build_panel
from tests.features.computing import CHURN, bits
from tests.features.nights import CONFIG, Nights, features_of
from tests.world import at

pytestmark = pytest.mark.slow

DATES = [at(430), at(480)]
ABSENT = ((), ("events.recorded_at",), ("events.feature", "events.user_id"), ("events.quantity",))


@given(
    seed=st.integers(0, 10**9),
    layout=st.sampled_from(("files", "files", "file")),
    absent=st.sampled_from(ABSENT),
    nights=st.lists(st.lists(st.integers(100, 560), min_size=1, max_size=2), min_size=2, max_size=3),
)
@settings(max_examples=12)
def test_whatever_happens_to_the_events_the_features_are_those_of_a_full_run(
    seed: int, layout: str, absent: tuple[str, ...], nights: list[list[int]]
) -> None:
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        world = Nights.begun(Path(folder), layout, seed, absent)
        for days in nights:
            dates = sorted({at(day) for day in days})
            full, _ = world.features(dates, cached=False)
            assert world.features(dates, cached=True)[0] == full
            for _ in range(rng.randrange(1, 4)):
                world.one_change(rng)
        # nothing was given up on the way, or the comparison would prove nothing
        assert not [said for said in world.said if "reading all events" in said]


def reads_raw(statements: list[str]) -> list[str]:
    return [sql for sql in statements if "bare_events" in sql or "/events" in sql]


def test_text_files_are_read_in_full_and_not_cached(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "csv", 5)
    full, _ = world.features(DATES, cached=True)
    again, statements = world.features(DATES, cached=True)
    assert again == full
    assert reads_raw(statements)
    assert world.said == []
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize("layout", ["files", "file"])
def test_unchanged_files_are_not_read(tmp_path: Path, layout: str) -> None:
    world = Nights.begun(tmp_path, layout, 5)
    full, statements = world.features(DATES, cached=True)
    assert reads_raw(statements)
    again, statements = world.features(DATES, cached=True)
    assert again == full
    assert reads_raw(statements) == []
    assert world.said == []


def test_events_may_have_a_column_that_is_called_file(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 6)
    for path in (tmp_path / "events").iterdir():
        table = pq.read_table(path)
        pq.write_table(table.append_column("file", [["x"] * table.num_rows]), path)
    full, _ = world.features(DATES, cached=False)
    assert world.features(DATES, cached=True)[0] == full
    assert world.said == []


def test_one_engine_reads_raw_rows_and_the_cache_in_turn(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 6)
    full, _ = world.features(DATES, cached=False)
    build = partial(build_features, key_features=CONFIG.key_features, labelled_only=False)
    with world.opened(cached=True) as tables:
        build_panel(tables, CHURN, DATES, data_end=at(10_000))
        features = select_features(CONFIG, tables.available)
        for cache in (None, tables.cache, None, tables.cache):
            assert bits(build(replace(tables, cache=cache), features)) == full
    assert world.said == []


def cached_files(world: Nights) -> dict[str, str]:
    """The files of events with the digests of their roll-ups."""
    manifest = json.loads((world.folder / "cached" / "manifest.json").read_bytes().partition(b"\n")[2])
    return {Path(name).stem: part["days"]["digest"] for name, part in manifest["parts"].items()}


def test_late_rows_are_rolled_up_from_their_file_only(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 7)
    world.features(DATES, cached=True)
    before = cached_files(world)
    known = world.files["part01"][0]
    world.files["night"] = [
        known | {"recorded_at": at(470)},
        known | {"occurred_at": at(499), "recorded_at": at(499)},
    ]
    world.write("night")
    cached, statements = world.features(DATES, cached=True)
    after = cached_files(world)
    assert {name for name in after if after[name] != before.get(name)} == {"night"}
    assert {
        path.name for path in (tmp_path / "events").iterdir() if any(path.name in sql for sql in statements)
    } == {"night.parquet"}
    assert cached == world.features(DATES, cached=False)[0]
    assert world.said == ["rolling up 1 new or changed files of events"]


def test_other_settings_are_noticed(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 8)
    world.features(DATES, cached=True)
    other = replace(CONFIG, key_features=("f002", "f003"))
    assert (
        world.features(DATES, cached=True, config=other)[0]
        == world.features(DATES, cached=False, config=other)[0]
    )
    assert world.said == []
    world.world = world.world.without("events.quantity")
    for name in world.files:
        world.write(name)
    assert world.features(DATES, cached=True)[0] == world.features(DATES, cached=False)[0]
    assert ["all events: other columns" in said for said in world.said] == [True]


@pytest.mark.parametrize("folders", [("01", "2"), ("01", "2", "x")])
def test_hive_columns_mean_the_same_for_one_file_as_for_all(tmp_path: Path, folders: tuple[str, ...]) -> None:
    world = Nights.begun(tmp_path, "folders", 15, ("events.feature",))
    for name, folder in zip(list(world.files), itertools.cycle(folders), strict=False):
        world.path(name).unlink()
        world.files[f"feature={folder}/{name}"] = world.files.pop(name)
    *most, last = world.files
    for name in most:
        world.write(name)
    world.features(DATES, cached=True)
    world.write(last)
    config = replace(CONFIG, key_features=("01", "2"))
    assert (
        world.features(DATES, cached=True, config=config)[0]
        == world.features(DATES, cached=False, config=config)[0]
    )
    assert ["new or changed files" in said for said in world.said] == [True]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def with_other_rows(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 0), path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated files": lambda cached: [
        path.write_bytes(path.read_bytes()[:-50]) for path in cached.glob("people.*")
    ],
    "a missing file": lambda cached: [path.unlink() for path in cached.glob("people.*.parquet")],
    "files with other rows": lambda cached: [with_other_rows(path) for path in cached.glob("days.*.parquet")],
    "damaged files": lambda cached: [flip(path) for path in cached.glob("days.*.parquet")],
    "a truncated manifest": lambda cached: (cached / "manifest.json").write_bytes(
        (cached / "manifest.json").read_bytes()[:-9]
    ),
    "no text in the manifest": lambda cached: (cached / "manifest.json").write_bytes(b"\xff\xfe\n\x00"),
}


def test_damage_is_noticed_and_repaired(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 9)
    full, _ = world.features(DATES, cached=True)
    for what, damage in DAMAGES.items():
        world.said.clear()
        damage(tmp_path / "cached")
        assert world.features(DATES, cached=True)[0] == full, what
        assert ["rebuilding the roll-up of all events" in said for said in world.said] == [True], what
    assert world.features(DATES, cached=True)[0] == full
    assert len(world.said) == 1


def test_the_cache_of_another_project_is_not_used(tmp_path: Path) -> None:
    worlds = []
    for name, seed in (("here", 10), ("there", 11)):
        (tmp_path / name).mkdir()
        worlds.append(Nights.begun(tmp_path / name, "files", seed))
        worlds[-1].features(DATES, cached=True)
    here, there = worlds
    shutil.rmtree(here.folder / "cached")
    shutil.copytree(there.folder / "cached", here.folder / "cached")
    assert here.features(DATES, cached=True)[0] == here.features(DATES, cached=False)[0]


def test_two_runs_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 12)
    world.features(DATES, cached=True)
    for _ in range(6):
        world.one_change(random.Random(3))
    full, _ = world.features(DATES, cached=False)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = [pool.submit(features_of, tmp_path, "files", DATES) for _ in range(4)]
        assert [run.result() == full for run in runs] == [True] * 4
    assert world.features(DATES, cached=True)[0] == full
    assert world.said == []


def test_unneeded_files_are_removed_after_a_day(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 13)
    world.features(DATES, cached=True)
    two_days_ago = time.time() - 2 * 86_400
    first = set((tmp_path / "cached").glob("*.parquet"))
    (tmp_path / "cached" / ".new-left").mkdir()
    for path in (*first, tmp_path / "cached" / ".new-left"):
        os.utime(path, (two_days_ago, two_days_ago))
    name = min(world.files)
    world.files[name] = [row | {"quantity": 7.0} for row in world.files[name]]
    world.write(name)
    world.features(DATES, cached=True)
    # a run that began before may still read what is not needed any more
    assert first <= set((tmp_path / "cached").glob("*.parquet"))
    assert not (tmp_path / "cached" / ".new-left").exists()
    for path in (tmp_path / "cached").glob("*.parquet"):
        os.utime(path, (two_days_ago, two_days_ago))
    world.files[name].pop()
    world.write(name)
    world.features(DATES, cached=True)
    left = set((tmp_path / "cached").glob("*.parquet"))
    assert first - left
    assert world.features(DATES, cached=True)[0] == world.features(DATES, cached=False)[0]


def test_where_nothing_can_be_cached_all_events_are_read(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 14)
    (tmp_path / "cached").write_text("a file in the place of the folder")
    assert world.features(DATES, cached=True)[0] == world.features(DATES, cached=False)[0]
    assert ["cannot be cached" in said for said in world.said] == [True]
