"""Ten million events on a memory limit of 1 GB: checked, labelled and turned into features."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.slow

ROWS = 10_000_000
ACCOUNTS = 20_000
ROOT = Path(__file__).parents[2]

_RUN = """
import json, resource, sys
from datetime import datetime
from pathlib import Path
from churnrisk.contract import validate
from churnrisk.features import FeatureConfig, build_features, select_features
from churnrisk.snapshots import ChurnConfig, SnapshotConfig, build_panel, data_span, training_dates
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

base, events = Path(sys.argv[1]), sys.argv[2]
churn, calendar, now = ChurnConfig(horizon_days=30), SnapshotConfig(every_days=30), datetime(2027, 1, 1)
with Engine(EngineConfig(memory_limit="1GB", temp_directory=str(base)), base=base) as engine:
    tables = open_tables(engine, {"accounts": TableConfig(path="accounts.parquet"), "events": TableConfig(path=events)})
    found = validate(engine, tables.available, native=tables.native, readings=tables.readings, now=now)
    rules = [[item.rule, item.count] for item in found]
    counted = engine.value("select count(*) from events")
    span = data_span(tables, calendar, now=now)
    dates = training_dates(span, calendar, churn)[-int(sys.argv[3]):]
    build_panel(tables, churn, dates, data_end=span.end)
    features = select_features(FeatureConfig(), tables.available)
    frame = build_features(tables, features, labelled_only=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"rows": len(frame.X), "dates": len(dates), "rules": rules, "peak_kb": peak, "events": counted}))
"""


_USE = ", 'f' || (hash(i + 1) % 40)::int as feature, 'u' || (hash(i + 2) % 9)::int as user_id"


def write_world(folder: Path, events: str, options: str, more_columns: str = "") -> None:
    """Write accounts and events; one in a million has an account that does not exist."""
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select 'A' || i as account_id from range({ACCOUNTS}) t(i)) to '{folder}/accounts.parquet'"
        ).fetchall()
        connection.execute(
            "copy (select case when i % 1000000 = 7 then 'stranger' "
            f"else 'A' || (hash(i) % {ACCOUNTS})::int end as account_id, "
            f"timestamp '2025-01-01' + interval (i * 2) second as occurred_at{more_columns} "
            f"from range({ROWS}) t(i)) to '{folder}/{events}' ({options})"
        ).fetchall()


@pytest.mark.parametrize(
    ("events", "options", "more_columns", "snapshots"),
    [("events.parquet", "format parquet", _USE, 5), ("events.csv", "format csv, header", "", 1)],
    ids=["parquet", "csv"],
)
def test_ten_million_events_fit_into_one_gigabyte(
    tmp_path: Path, events: str, options: str, more_columns: str, snapshots: int
) -> None:
    write_world(tmp_path, events, options, more_columns)
    command = [sys.executable, "-c", _RUN, str(tmp_path), events, str(snapshots)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["events"] == ROWS
    assert result["rules"] == [["account is not in accounts", 10]]
    # 10 million rows every two seconds are 231 days: enough for five snapshots with a known outcome
    assert result["dates"] == snapshots
    assert result["rows"] == result["dates"] * ACCOUNTS
    assert result["peak_kb"] < 2_500_000
    (tmp_path / events).unlink()
