"""The leak check finds a planted leak and passes what is clean."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig, Leak, OwnFeature, build_features, find_leaks, select_features
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.sources import Engine, EngineConfig, TableConfig, Tables, open_tables
from tests.features.computing import CONFIG, KEYS
from tests.world import arrow, at, opened, random_world

pytestmark = pytest.mark.slow

TABLE_NAMES = ("events", "complaints", "subscriptions", "surveys", "attributes")
#: Many rows of every table for the same accounts, so that each has some on both sides of AS_OF.
WORLD = random_world(8).with_rows(
    **{name: [found for seed in range(8) for found in random_world(seed).rows(name)] for name in TABLE_NAMES}
)
AS_OF = at(250)


def prepare(tables: Tables, as_of: datetime = AS_OF) -> None:
    build_panel(tables, ChurnConfig(), [as_of], data_end=at(10_000))


def leaks(config: FeatureConfig) -> list[Leak]:
    with opened(WORLD) as tables:
        prepare(tables)
        features = select_features(config, tables.available)
        return find_leaks(tables, features, key_features=config.key_features)


def own(sql: str) -> FeatureConfig:
    return FeatureConfig(own=(OwnFeature("mine", sql),))


def test_the_catalogue_is_clean() -> None:
    assert leaks(CONFIG) == []


@pytest.mark.parametrize(
    "sql",
    [
        "(select count(*) from events e where e.account_id = feature_inputs.account_id)",
        "(select max(occurred_at) from events e where e.account_id = feature_inputs.account_id)::date - as_of::date",
        "(select count(resolved_at) from complaints c where c.account_id = feature_inputs.account_id)",
        "(select count(ended_at) from subscriptions s where s.account_id = feature_inputs.account_id)",
        "(select count(*) from surveys s where s.account_id = feature_inputs.account_id)",
        "(select count(*) from attributes a where a.account_id = feature_inputs.account_id)",
        "(select max(mrr) from accounts a where a.account_id = feature_inputs.account_id)",
        "(select count(churned) from panel p where p.account_id = feature_inputs.account_id)",
    ],
)  # fmt: skip
def test_a_planted_leak_is_found(sql: str) -> None:
    (leak,) = leaks(own(sql))
    assert leak.feature == "mine"
    assert leak.accounts > 0
    assert leak.example in {account["account_id"] for account in WORLD.rows("accounts")}


def test_an_own_feature_cannot_name_the_label() -> None:
    with pytest.raises(UsageError, match="churned"):
        leaks(own("churned::int"))


def test_a_signal_that_depends_on_the_order_of_rows_is_found() -> None:
    (leak,) = leaks(own("row_number() over ()"))
    assert leak.varies
    assert "when it is computed again at" in leak.text


def test_static_columns_are_no_leak() -> None:
    assert leaks(FeatureConfig(static=("region", "staff", "segment"))) == []


def test_leaks_are_found_in_tables_that_are_views_of_parquet_files(tmp_path: Path) -> None:
    configs = {}
    for name in WORLD.tables:
        pq.write_table(arrow(WORLD, name), tmp_path / f"{name}.parquet")
        configs[name] = TableConfig(path=f"{name}.parquet")
    with Engine(EngineConfig(threads=1), base=tmp_path) as engine:
        tables = open_tables(engine, configs)
        prepare(tables)
        sql = "(select count(*) from events e where e.account_id = feature_inputs.account_id)"
        features = select_features(own(sql), tables.available)
        assert [leak.feature for leak in find_leaks(tables, features, key_features=())] == ["mine"]
        assert engine.value("select count(*) from events") == len(WORLD.rows("events"))
        assert find_leaks(tables, features[:-1], key_features=()) == []


def test_a_subquery_that_keeps_to_the_past_is_clean() -> None:
    clean = (
        "(select count(*) from events e where e.account_id = feature_inputs.account_id "
        "and e.occurred_at < feature_inputs.as_of and coalesce(e.recorded_at, e.occurred_at) < feature_inputs.as_of)"
    )
    assert leaks(own(clean)) == []


def test_a_late_row_counts_as_a_leak_although_its_date_is_past() -> None:
    by_date_only = (
        "(select count(*) from events e where e.account_id = feature_inputs.account_id "
        "and e.occurred_at < feature_inputs.as_of)"
    )
    assert [leak.feature for leak in leaks(own(by_date_only))] == ["mine"]


def test_after_the_check_the_tables_are_whole_again() -> None:
    with opened(WORLD) as tables:
        prepare(tables)
        features = select_features(CONFIG, tables.available)
        before = build_features(tables, features, key_features=KEYS, labelled_only=False)
        find_leaks(tables, features, key_features=KEYS)
        assert tables.engine.value("select count(*) from events") == len(WORLD.rows("events"))
        after = build_features(tables, features, key_features=KEYS, labelled_only=False)
    assert before.X.equals(after.X)


def test_the_tables_are_whole_again_after_a_feature_that_fails() -> None:
    with opened(WORLD) as tables:
        prepare(tables)
        broken = select_features(own("no_such_column"), tables.available)
        with pytest.raises(UsageError, match="no_such_column"):
            find_leaks(tables, broken, key_features=())
        assert tables.engine.value("select count(*) from events") == len(WORLD.rows("events"))
