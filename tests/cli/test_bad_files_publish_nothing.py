"""Files and limits that fail halfway: one clear error, and the last good run stays what is shown."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from churnrisk.store import HistoryStore

#: What the sample calls them, and what its settings map onto the contract.
EVENTS = "usage_events.csv.gz"


@pytest.fixture
def columnar(scored: Path) -> Path:
    """The scored project, its events now in Parquet of small row groups, with a run still to be made."""
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * replace (try_cast(trim(Timestamp) as timestamp) as Timestamp) "
            f"from read_csv('{scored / EVENTS}', all_varchar = true)) "
            f"to '{scored / 'usage.parquet'}' (row_group_size 2048)"
        )
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text().replace(EVENTS, "usage*.parquet"))
    return scored


def runs_of(project: Path) -> list[tuple[str, int]]:
    with HistoryStore(f"sqlite:///{project / 'history.db'}") as store:
        return [(run.run_key, len(store.scores(run.run_id))) for run in store.runs()]


def test_parquet_files_damaged_in_the_middle_or_of_changing_types_leave_the_last_run(cli, columnar):
    before, whole = runs_of(columnar), (columnar / "usage.parquet").read_bytes()
    middle = len(whole) // 2
    (columnar / "usage.parquet").write_bytes(whole[:middle] + b"\xff" * 4000 + whole[middle + 4000 :])
    ran = cli("--project", columnar, "score")
    assert ran.code == 3, ran.err
    assert "a file is damaged" in ran.err
    assert runs_of(columnar) == before

    (columnar / "usage.parquet").write_bytes(whole)
    with duckdb.connect() as connection:
        connection.execute(
            f'copy (select 5 as "AccountID", 5 as "Timestamp", \'x\' as "Module", \'u\' as "UserID", '
            f"null as \"LoadedAt\") to '{columnar / 'usage2.parquet'}'"
        )
    ran = cli("--project", columnar, "score")
    assert ran.code == 3, ran.err
    assert "different types in the files of one table" in ran.err
    assert runs_of(columnar) == before

    (columnar / "usage2.parquet").unlink()
    assert cli("--project", columnar, "score").code == 0
    assert len(runs_of(columnar)) == len(before) + 1


def test_too_little_memory_and_no_room_to_spill_leave_the_last_run(cli, columnar, tmp_path):
    before, settings = runs_of(columnar), columnar / "churnrisk.toml"
    text = settings.read_text()
    settings.write_text(text + '\n[engine]\nmemory_limit = "1MB"\nthreads = 1\n')
    ran = cli("--project", columnar, "score")
    assert ran.code == 1
    assert "Raise memory_limit under [engine]" in ran.err
    assert runs_of(columnar) == before


_SPILL = """
import sys
from pathlib import Path
from churnrisk.errors import ChurnRiskError
from churnrisk.sources import Engine, EngineConfig
folder = Path(sys.argv[1])
with Engine(EngineConfig(temp_directory=str(folder), memory_limit="60MB", threads=1), base=folder) as engine:
    try:
        engine.run("create temp table wide as select i, hash(i) h, hash(i + 1) g from range(6000000) t(i)")
    except ChurnRiskError as error:
        print(error)
"""


def test_a_disk_that_takes_no_more_is_reported_with_the_fix(tmp_path: Path) -> None:
    """Files of this process may grow to 8 MB only, so the operating system refuses what is spilled beyond."""
    limit = (8 << 20, 8 << 20)
    ran = subprocess.run(
        [sys.executable, "-c", _SPILL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert "out of memory or spill space" in ran.stdout
    assert "point temp_directory at a disk with more room" in ran.stdout
    assert list(tmp_path.iterdir()) == []
