"""Columns that own signals may name are wide enough to reckon with."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from churnrisk.features import FeatureConfig, OwnFeature, build_features, select_features
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.sources import CacheConfig, Engine, EngineConfig, TableConfig, open_tables

AS_OF = datetime(2026, 1, 1)
OWN = {
    "share": ("100 * active_days_365 / 365", 100.0),
    "seconds": ("active_days_365 * 24 * 60 * 60", 365 * 86400.0),
    "product": ("active_days_90 * active_days_365", 90 * 365.0),
    "doubled": ("coalesce(quantity_30, 100) * 2", 200.0),
}


@pytest.mark.parametrize("cached", [False, True])
def test_own_signals_can_use_the_days_of_a_whole_year(tmp_path: Path, cached: bool) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select 'a' as account_id, timestamp '2023-01-01' as signed_up_at) to '{tmp_path}/accounts.parquet'"
        )
        connection.execute(
            "copy (select 'a' as account_id, timestamp '2025-01-01' + to_days(i::int) as occurred_at "
            f"from range(365) t(i)) to '{tmp_path}/events.parquet'"
        )
    config = FeatureConfig(own=tuple(OwnFeature(name, sql) for name, (sql, _) in OWN.items()))
    with Engine(EngineConfig(), base=tmp_path) as engine:
        files = {name: TableConfig(path=f"{name}.parquet") for name in ("accounts", "events")}
        tables = open_tables(engine, files)
        tables = replace(tables, cache=CacheConfig(tmp_path / "cached", print)) if cached else tables
        build_panel(tables, ChurnConfig(), [AS_OF], data_end=AS_OF)
        X = build_features(tables, select_features(config, tables.available), labelled_only=False).X
    assert X[list(OWN)].iloc[0].to_dict() == {name: value for name, (_, value) in OWN.items()}
