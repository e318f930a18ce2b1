"""Own signals read prepared columns and tables only, and those are wide enough to reckon with."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig, OwnFeature, build_features, select_features
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.sources import CacheConfig, Engine, EngineConfig, TableConfig, open_tables
from tests.world import at, opened, random_world

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


def compute(sql: str) -> None:
    config = FeatureConfig(own=(OwnFeature("mine", sql),))
    with opened(random_world(1)) as tables:
        build_panel(tables, ChurnConfig(), [at(250)], data_end=at(10_000))
        build_features(tables, select_features(config, tables.available), labelled_only=False)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("(select count(*) from read_csv('events.csv'))", "read_csv"),
        ("(select count(*) from 'events.csv')", "events.csv"),
        ("(select max(value) from duckdb_settings())", "duckdb_settings"),
        ("(select count(*) from information_schema.tables)", "information_schema.tables"),
        ("(with e as (select * from raw_events) select count(*) from e)", "raw_events"),
        ("(with raw_events as (select * from raw_events) select count(*) from raw_events)", "raw_events"),
        ("(select count(*) from source_events)", "source_events"),
        ("(select count(*) from account_outcome)", "account_outcome"),
        ("date_diff('day', last_day, current_date)", "current_date"),
        ("date_diff('day', last_day, NOW()::timestamp)", "now"),
        ("date_part('day', age(last_day::timestamp))", "age"),
        ("epoch(ago(interval 1 day))", "ago"),
        ("random() * events_30", "random"),
        ("(select count(*) from events using sample 10%)", "sample"),
        ("nextval('ids')", "nextval"),
        ("1) from (select 2", "one SQL expression"),
        ("1; attach 'other.db'", "one SQL expression"),
    ],
)
def test_a_signal_that_reads_more_than_the_prepared_tables_is_refused(sql: str, found: str) -> None:
    with pytest.raises(UsageError, match=found) as refused:
        compute(sql)
    assert "[[features.own]] mine:" in str(refused.value)


@pytest.mark.parametrize(
    "sql",
    [
        "events_30 / nullif((select avg(i.events_30) from feature_inputs i where i.as_of = feature_inputs.as_of), 0)",
        "(with e as (select account_id as a from bare_events) select count(*) from e where a = 'a1')",
        "(select max(x) from unnest([events_7, events_30]) t(x))",
        "split_part('3 days', ' ', 1)::int + date_part('day', age(as_of, last_day::timestamp))",
        "events_30 > 3",
    ],
)
def test_a_signal_over_prepared_tables_is_computed(sql: str) -> None:
    compute(sql)


@pytest.mark.parametrize(
    ("sql", "type_"), [("plan", "VARCHAR"), ("last_day", "DATE"), ("[events_7]", "BIGINT")]
)
def test_a_signal_that_is_no_number_is_named_with_its_type(sql: str, type_: str) -> None:
    with pytest.raises(UsageError, match=rf"mine: expected a number or a condition, found {type_}"):
        compute(sql)
