"""The table engine: its settings, its errors and its end."""

from __future__ import annotations

import gc
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import gethostname

import pandas as pd
import pytest

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.sources import Engine, EngineConfig


def test_a_bad_memory_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\[engine\] in churnrisk.toml cannot be set: .*Memory.*2GB"):
        Engine(EngineConfig(memory_limit="plenty"), base=tmp_path)


def test_a_bad_number_of_threads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\[engine\]"):
        Engine(EngineConfig(threads=-2), base=tmp_path)


def test_a_missing_spill_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"temp_directory .* is not a directory. Make it"):
        Engine(EngineConfig(temp_directory=str(tmp_path / "missing")), base=tmp_path)


def test_spilled_data_goes_to_the_given_directory_and_is_removed(tmp_path: Path) -> None:
    config = EngineConfig(temp_directory=str(tmp_path), memory_limit="60MB", threads=1)
    with Engine(config, base=tmp_path) as engine:
        engine.run(
            "create temp table wide as select i, hash(i) h, hash(i + 1) g, i::varchar s from range(3000000) t(i)"
        )
        (folder,) = tmp_path.iterdir()
        assert [path for path in folder.iterdir() if path.name != ".lock"]
        assert engine.value("select count(distinct h) from wide where i < 1000") == 1000
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_reported_with_its_fix(tmp_path: Path) -> None:
    with (
        Engine(EngineConfig(memory_limit="4MB", threads=1), base=tmp_path) as engine,
        pytest.raises(ChurnRiskError, match=r"out of memory.*memory_limit under \[engine\]"),
    ):
        engine.rows("select list(i) from range(50000000) t(i)")


def test_a_closed_engine_leaves_nothing_that_warns(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Engine(EngineConfig(temp_directory=str(tmp_path)), base=tmp_path) as engine:
            engine.rows("select 1")
        del engine
        gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_long_query_draws_no_progress_bar(tmp_path: Path) -> None:
    """What goes to standard output is a command's result; a bar would end up in it."""
    with Engine(EngineConfig(), base=tmp_path) as engine:
        assert engine.value("select current_setting('enable_progress_bar')") is False


def test_times_are_read_and_written_as_utc(tmp_path: Path) -> None:
    with Engine(EngineConfig(), base=tmp_path) as engine:
        assert (
            engine.value("select cast(timestamptz '2025-07-01 00:00:00' as timestamp)::varchar")
            == "2025-07-01 00:00:00"
        )


def test_frames_go_in_and_come_out(tmp_path: Path) -> None:
    given = pd.DataFrame({"a": [1, 2], "b b": ["x", None]})
    with Engine(EngineConfig(), base=tmp_path) as engine:
        engine.table_from('my "table"', given)
        back = engine.frame('select * from "my ""table""" order by a')
        assert back["a"].tolist() == [1, 2]
        assert engine.arrow('select * from "my ""table""" order by a').to_pylist()[1] == {"a": 2, "b b": None}
        assert engine.columns('"my ""table"""') == {"a": "BIGINT", "b b": "VARCHAR"}


@pytest.mark.parametrize("method", ["run", "rows", "frame", "arrow"])
def test_every_way_in_explains_its_errors(tmp_path: Path, method: str) -> None:
    with Engine(EngineConfig(), base=tmp_path) as engine:
        with pytest.raises(UsageError, match=r"SQL does not run: .*nowhere"):
            getattr(engine, method)("select * from nowhere")
        with pytest.raises(UsageError, match="SQL does not run"):
            engine.columns("nowhere")


#: Opens an engine in a folder, says where it spills, and waits to be killed.
OPENED = """
import sys, time
from pathlib import Path
from churnrisk.sources import Engine, EngineConfig
engine = Engine(EngineConfig(temp_directory=sys.argv[1]), base=Path(sys.argv[1]))
(engine.scratch / "spilled").write_text("x")
print(engine.scratch, flush=True)
time.sleep(600)
"""


def test_the_next_run_removes_what_a_killed_run_spilled_and_nothing_else(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen([sys.executable, "-c", OPENED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    killed, alive = (Path(run.stdout.readline().strip()) for run in runs)
    (tmp_path / "churnrisk-run-mine").mkdir()  # somebody's own: it has no lock
    (tmp_path / "churnrisk-run-there").mkdir()  # of another host, whose locks may not be seen here
    (tmp_path / "churnrisk-run-there" / ".lock").write_text("another-host")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".lock").write_text(gethostname())
    (tmp_path / "churnrisk-run-link").symlink_to(tmp_path / "elsewhere")
    try:
        runs[0].kill()
        runs[0].wait()
        assert killed.is_dir()
        with Engine(EngineConfig(temp_directory=str(tmp_path)), base=tmp_path) as engine:
            assert not killed.exists()
            assert (alive / "spilled").read_text() == "x"
            assert engine.scratch.is_dir()
    finally:
        for run in runs:
            run.kill()
            run.wait()
            run.stdout.close()
    assert {path.name for path in tmp_path.iterdir()} == {
        alive.name, "churnrisk-run-mine", "churnrisk-run-there", "elsewhere", "churnrisk-run-link"
    }  # fmt: skip
    assert (tmp_path / "elsewhere" / ".lock").exists()


@pytest.mark.slow
def test_many_engines_opened_and_closed_at_once_keep_their_folders(tmp_path: Path) -> None:
    def used(_: int) -> bool:
        with Engine(EngineConfig(temp_directory=str(tmp_path)), base=tmp_path) as engine:
            (engine.scratch / "mine").write_text("x")
            engine.rows("select 1")
            return (engine.scratch / "mine").read_text() == "x"

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(used, range(60)))
    assert list(tmp_path.iterdir()) == []


def test_rows_with_a_key_are_computed_in_one_go(tmp_path: Path) -> None:
    with Engine(EngineConfig(threads=1), base=tmp_path) as engine:
        engine.create("given_rows", "select * from (values (1, 2), (1, 3), (null, 4)) r(account_key, n)")
        engine.map_buckets("found_rows", "given_rows", "account_key", lambda rows: rows.select(["n"]))
        assert engine.rows("select n from found_rows order by n") == [(2,), (3,)]
