"""What is written: the company's own formats, counted defects, and the same bytes for the same seed."""

from __future__ import annotations

import gzip
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from churnrisk.errors import UsageError
from churnrisk.sample import Defect, World, make_world, sample_folder, write_world

pytestmark = pytest.mark.slow

COMMITTED = Path(__file__).parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def written(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Defect, ...]]:
    folder = tmp_path_factory.mktemp("sample")
    return folder, write_world(world, folder)


def _raw(folder: Path, table: str) -> pd.DataFrame:
    entry = tomllib.loads((folder / "churnrisk.toml").read_text())["tables"][table]
    frame = pd.read_csv(folder / entry["path"], dtype="str", keep_default_na=False)
    return frame.rename(columns={theirs: ours for ours, theirs in entry["columns"].items()})


def _count(defects: tuple[Defect, ...], kind: str, table: str) -> int:
    return sum(defect.count for defect in defects if (defect.kind, defect.table) == (kind, table))


def test_the_project_file_maps_every_table_onto_columns_that_exist(written) -> None:
    folder, _ = written
    project = tomllib.loads((folder / "churnrisk.toml").read_text())
    assert set(project["tables"]) == {
        "accounts", "events", "complaints", "subscriptions", "surveys", "attributes",
    }  # fmt: skip
    for table, entry in project["tables"].items():
        if "path" in entry:
            assert set(entry["columns"]) <= set(_raw(folder, table).columns)
    assert "read_csv('owner_history.csv')" in project["tables"]["attributes"]["sql"]


def test_the_first_snapshot_is_a_date_of_the_truth(written, world: World) -> None:
    folder, _ = written
    snapshots = tomllib.loads((folder / "churnrisk.toml").read_text())["snapshots"]
    assert pd.Timestamp(snapshots["first"]) in set(world.truth["as_of"])
    assert snapshots["every_days"] == 30


def test_the_defects_are_in_the_files_as_often_as_said(written, world: World) -> None:
    folder, defects = written
    events, tickets = _raw(folder, "events"), _raw(folder, "complaints")
    terms, surveys = _raw(folder, "subscriptions"), _raw(folder, "surveys")
    known = set(world.accounts["account_id"])
    happened = pd.to_datetime(events["occurred_at"], errors="coerce")
    assert (~events["account_id"].isin(known)).sum() == _count(defects, "unknown_account", "events") > 0
    assert happened.isna().sum() == _count(defects, "bad_date", "events") > 0
    assert (happened > world.end).sum() == _count(defects, "future_date", "events") > 0
    assert (events[["user_id", "feature"]] == "").sum().sum() == _count(defects, "missing", "events") > 0
    assert events.duplicated().sum() == _count(defects, "duplicate_row", "events") > 0
    padded = tickets["account_id"] != tickets["account_id"].str.strip()
    assert padded.sum() == _count(defects, "padded_id", "complaints") > 0
    assert tickets["severity"].str.isupper().sum() == _count(defects, "mixed_case", "complaints") > 0
    assert (tickets["resolved_at"] == "31.02.2026").sum() == _count(defects, "bad_date", "complaints") > 0
    backwards = (tickets["resolved_at"] < tickets["opened_at"]) & tickets["resolved_at"].str.startswith(
        "2019"
    )
    assert backwards.sum() == _count(defects, "end_before_start", "complaints") > 0
    assert (terms["mrr"].astype(float) < 0).sum() == _count(defects, "negative_money", "subscriptions") > 0
    assert (surveys["answered_at"] == "n/a").sum() == _count(defects, "bad_date", "surveys") > 0


def test_every_defect_is_rare_enough_to_be_counted_and_not_to_block(written) -> None:
    folder, defects = written
    for defect in defects:
        if defect.kind != "odd_text":
            assert defect.count < 0.02 * len(_raw(folder, defect.table))


def test_without_defects_the_files_say_what_the_world_says(world: World, tmp_path: Path) -> None:
    assert write_world(world, tmp_path, defects=False) == ()
    terms = _raw(tmp_path, "subscriptions")
    assert (terms["account_id"] == world.subscriptions["account_id"]).all()
    assert (terms["mrr"].astype(float) == world.subscriptions["mrr"]).all()
    ended = pd.to_datetime(terms["ended_at"].replace("", None)) + pd.Timedelta(days=1)
    pd.testing.assert_series_equal(ended, world.subscriptions["ended_at"], check_dtype=False)
    assert len(_raw(tmp_path, "events")) == len(world.events)


def test_the_crm_tells_who_is_a_customer_but_the_mapping_does_not(written) -> None:
    folder, _ = written
    accounts = pd.read_csv(folder / "crm_accounts.csv", dtype="str")
    assert set(accounts["Status"]) == {"Customer", "Former customer"}
    mapped = tomllib.loads((folder / "churnrisk.toml").read_text())["tables"]["accounts"]["columns"]
    assert "Status" not in mapped.values()


def test_the_sample_stays_under_eight_megabytes(written) -> None:
    folder, _ = written
    assert sum(file.stat().st_size for file in folder.iterdir()) < 8_000_000


def test_no_part_files_are_left(written) -> None:
    folder, _ = written
    assert not list(folder.glob(".*"))


def test_the_committed_sample_is_what_seed_seven_gives(written) -> None:
    folder, _ = written
    names = sorted(file.name for file in folder.iterdir())
    assert sorted(file.name for file in COMMITTED.iterdir()) == names
    for name in names:
        ours, theirs = (COMMITTED / name).read_bytes(), (folder / name).read_bytes()
        if name.endswith(".parquet"):
            pd.testing.assert_frame_equal(
                pd.read_parquet(COMMITTED / name), pd.read_parquet(folder / name), rtol=1e-9
            )
        elif name.endswith(".gz"):
            # Other builds of zlib pack the same content into other bytes.
            assert gzip.decompress(ours) == gzip.decompress(theirs)
        else:
            assert ours == theirs


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_world(make_world(seed=5, accounts=60, months=4), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_file_in_the_way_is_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="expected a folder"):
        write_world(world, tmp_path / "taken")


def test_a_tiny_world_can_be_written(tmp_path: Path) -> None:
    write_world(make_world(accounts=1, months=1), tmp_path)
    assert (tmp_path / "churnrisk.toml").exists()


def test_a_folder_that_holds_a_project_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = sample_folder(tmp_path / "acme", accounts=20, months=2)
    (folder / "churnrisk.toml").write_text("mine")
    assert sample_folder(folder) == folder
    assert (folder / "churnrisk.toml").read_text() == "mine"
