"""The check of the events by the cached one: it finds what a check of all rows finds."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.contract import Findings, Reach, check
from churnrisk.records import Violation
from churnrisk.training import check_tables
from churnrisk.training import checked as checking
from tests.features.nights import Nights
from tests.world import arrow, at

NOW = at(600)


def checked(world: Nights, *, cached: bool, now: datetime = NOW) -> tuple[list[Violation], list[str]]:
    """Return what the check finds, and the queries that it ran."""
    (violations, _), queries = looked_at(world, cached=cached, now=now)
    return violations, queries


def looked_at(
    world: Nights, *, cached: bool, now: datetime
) -> tuple[tuple[list[Violation], dict[str, Reach]], list[str]]:
    with world.opened(cached=cached) as tables:
        queries: list[str] = []
        rows, run = tables.engine.rows, tables.engine.run
        tables.engine.rows = lambda sql: (queries.append(sql), rows(sql))[1]  # type: ignore[method-assign]
        tables.engine.run = lambda sql: (queries.append(sql), run(sql))[1]  # type: ignore[method-assign]
        return check_tables(tables, now=now), queries


def change_accounts(world: Nights, rng: random.Random) -> None:
    rows = list(world.world.rows("accounts"))
    place = rng.randrange(len(rows))
    match rng.choice(("new", "gone", "sign-up")):
        case "new":
            rows.append(rows[place] | {"account_id": rng.choice(("A9", "Z1"))})
        case "gone" if len(rows) > 1:
            rows.pop(place)
        case _:
            rows[place] = rows[place] | {"signed_up_at": at(rng.randrange(400))}
    world.world = world.world.with_rows(accounts=rows)
    pq.write_table(arrow(world.world, "accounts"), world.folder / "accounts.parquet")


def repeat_rows(world: Nights, rng: random.Random) -> None:
    """Write some rows once more, into a file of their own or one that is there."""
    rows = [rng.choice(world.files[rng.choice(list(world.files))]) for _ in range(rng.randrange(1, 4))]
    name = rng.choice([*world.files, f"again{len(world.files):02}"])
    world.files[name] = world.files.get(name, []) + rows
    world.write(name)


@given(seed=st.integers(0, 10**9), compared=st.sampled_from((40, 10**6)))
@settings(max_examples=25)
def test_the_cached_check_finds_what_a_check_of_all_rows_finds(seed: int, compared: int) -> None:
    rng = random.Random(seed)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        # among many rows repeats are looked for in a share of the accounts
        patched.setattr(check, "COMPARED_ROWS", compared)
        world = Nights.begun(Path(folder), "files", seed)
        for night in range(5):
            now = at(rng.choice((480, 500, 600)) + night)
            full, _ = looked_at(world, cached=False, now=now)
            assert looked_at(world, cached=True, now=now)[0] == full
            rng.choice((repeat_rows, change_accounts, lambda w, r: w.one_change(r)))(world, rng)
        assert world.said == []


def reads_events(queries: list[str]) -> list[str]:
    return [sql for sql in queries if "bare_events" in sql or "raw_events" in sql or "/events/" in sql]


def test_files_that_were_checked_are_not_read_again(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 5)
    found, queries = checked(world, cached=True)
    assert reads_events(queries)
    assert found
    again, queries = checked(world, cached=True)
    assert again == found
    assert reads_events(queries) == []


def test_of_a_new_file_its_own_rows_are_read_and_of_others_those_it_may_repeat(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 5)
    checked(world, cached=True)
    known = world.files["part01"][0]
    world.files["night"] = [known, known]
    world.write("night")
    found, queries = checked(world, cached=True)
    assert found == checked(world, cached=False)[0]
    assert ("row is duplicated", 2) in [(one.rule, one.count) for one in found]
    whole = [sql for sql in reads_events(queries) if "part01.parquet" in sql]
    assert len(whole) == 1
    assert f"occurred_at between timestamp '{known['occurred_at']}'" in whole[0]
    assert not [sql for sql in queries if "bare_events" in sql]


@pytest.mark.parametrize("damage", ["json", "accounts", "other"])
def test_a_cache_that_is_damaged_or_of_another_project_is_rebuilt(tmp_path: Path, damage: str) -> None:
    world = Nights.begun(tmp_path, "files", 5)
    found, _ = checked(world, cached=True)
    folder = tmp_path / "cached" / "checked"
    (accounts,) = folder.glob("accounts.*.parquet")
    document = folder / "checked.json"
    if damage == "json":
        document.write_bytes(document.read_bytes().replace(b'"total":150', b'"total":151'))
    elif damage == "accounts":
        accounts.write_bytes(accounts.read_bytes()[:-1])
    else:
        document.write_text("{}")
    again, queries = checked(world, cached=True)
    assert again == found
    assert reads_events(queries)
    assert reads_events(checked(world, cached=True)[1]) == []


def test_a_folder_that_cannot_be_written_is_reported_and_all_is_checked(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 5)
    (tmp_path / "cached").mkdir()
    (tmp_path / "cached" / "checked").write_text("in the way")
    found, queries = checked(world, cached=True)
    assert found == checked(world, cached=False)[0]
    assert queries.count("select count(*) from raw_events") == 1
    assert len(world.said) == 1
    assert "cannot be cached" in world.said[0]


def test_text_files_are_checked_in_full(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "csv", 5)
    found, _ = checked(world, cached=True)
    assert found == checked(world, cached=False)[0]
    assert not (tmp_path / "cached").exists()


def test_accounts_that_are_replaced_while_the_events_are_checked_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Nights.begun(tmp_path, "files", 5)
    real = checking.find

    def replaced(*given: object, **named: object) -> Findings:
        found = real(*given, **named)  # type: ignore[arg-type]
        rows = [row | {"signed_up_at": at(390)} for row in world.world.rows("accounts")]
        pq.write_table(arrow(world.world.with_rows(accounts=rows), "accounts"), tmp_path / "accounts.parquet")
        return found

    monkeypatch.setattr(checking, "find", replaced)
    checked(world, cached=True)
    monkeypatch.setattr(checking, "find", real)
    assert checked(world, cached=True)[0] == checked(world, cached=False)[0]


def test_however_often_all_is_checked_again_one_file_of_accounts_is_left(tmp_path: Path) -> None:
    world, rng = Nights.begun(tmp_path, "files", 5), random.Random(1)
    for _ in range(6):
        checked(world, cached=True)
        change_accounts(world, rng)
    left = sorted(path.name for path in (tmp_path / "cached" / "checked").iterdir())
    assert [name.partition(".")[0] for name in left] == ["", "accounts", "checked"]


def test_while_rows_lie_in_the_future_nothing_is_cached(tmp_path: Path) -> None:
    world = Nights.begun(tmp_path, "files", 5)
    for now in (at(300), at(480), at(600)):
        assert checked(world, cached=True, now=now)[0] == checked(world, cached=False, now=now)[0]
    before = (tmp_path / "cached" / "checked" / "checked.json").read_bytes()
    assert checked(world, cached=True, now=at(300))[0] == checked(world, cached=False, now=at(300))[0]
    assert (tmp_path / "cached" / "checked" / "checked.json").read_bytes() == before
    # a time with its zone is one of the same
    assert checked(world, cached=True, now=at(601).replace(tzinfo=UTC))[0] == checked(world, cached=False)[0]


def test_a_cache_that_cannot_be_written_is_reported_and_nothing_is_checked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Nights.begun(tmp_path, "files", 5)
    monkeypatch.setattr(
        checking, "write_sealed", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    )
    found, queries = checked(world, cached=True)
    assert found == checked(world, cached=False)[0]
    assert queries.count("select count(*) from raw_events") == 1
    assert world.said == ["the check of the events cannot be cached (disk full)"]
