"""Spark against DuckDB: a real Spark in this machine, the same SQL, the same results."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnrisk.contract import ID_RULES, literal, normal_id, validate
from churnrisk.errors import ContractError, UsageError
from churnrisk.features import FeatureConfig, OwnFeature, create_feature_table, select_features
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.sources import Engine, EngineConfig, SparkEngine, TableConfig, Tables, open_engine, open_tables
from tests.sources.sparkling import QUICK, differing
from tests.world import START, WORLD_DAYS, World, arrow, random_world

#: One table stays a CSV file: it is read beside Spark and joined with what is in it.
AS_CSV = "surveys"
DATES = [START + timedelta(days=day) for day in (200, 300, 330)]
CONFIG = FeatureConfig(
    key_features=("f000", "f001"),
    static=("region", "staff"),
    own=(
        OwnFeature("events_per_seat", "events_30 / seats"),
        OwnFeature("hours_since_complaint", "date_diff('hour', last_complaint_at, as_of)"),
    ),
)


@pytest.fixture(scope="module")
def world() -> World:
    """More product features than one mask word holds, late rows, gaps, ids that do not match."""
    return random_world(5, accounts=40, events=2500, features=70)


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("spark")
    for name in world.tables:
        pq.write_table(arrow(world, name), made / f"{name}.parquet")
    with Engine(EngineConfig(), base=made) as engine:
        engine.run(f"copy (from read_parquet('{made}/{AS_CSV}.parquet')) to '{made}/{AS_CSV}.csv'")
    return made


@pytest.fixture(scope="module")
def spark(java: None, folder: Path) -> Iterator[SparkEngine]:
    """One Spark for all tests of this file."""
    with open_engine(EngineConfig(name="spark", spark=QUICK), base=folder) as engine:
        assert isinstance(engine, SparkEngine)
        yield engine


def configs(world: World) -> dict[str, TableConfig]:
    return {
        name: TableConfig(path=f"{name}.{'csv' if name == AS_CSV else 'parquet'}") for name in world.tables
    }


@pytest.fixture(scope="module")
def tables(world: World, spark: SparkEngine) -> Tables:
    return open_tables(spark, configs(world))


def computed(tables: Tables) -> pa.Table:
    build_panel(tables, ChurnConfig(), DATES, data_end=START + timedelta(days=WORLD_DAYS))
    features = select_features(CONFIG, tables.available)
    create_feature_table(tables, features, key_features=CONFIG.key_features, labelled_only=False)
    return tables.engine.arrow("select * from feature_rows order by as_of, account_id")


@pytest.fixture(scope="module")
def features(tables: Tables) -> pa.Table:
    return computed(tables)


def test_every_feature_equals_duckdbs(world: World, folder: Path, tables: Tables, features: pa.Table) -> None:
    with Engine(EngineConfig(), base=folder) as engine:
        expected = computed(open_tables(engine, configs(world)))
    assert expected.num_rows > 100
    assert differing(features, expected) == []


def test_the_raw_events_are_scanned_once(spark: SparkEngine, features: pa.Table) -> None:
    plan = final(spark.plan("select * from event_totals"))
    scans = [line for line in plan.splitlines() if "FileScan parquet" in line and "occurred_at" in line]
    assert len(scans) == 1, plan
    assert "SortMergeJoin" not in plan
    # and everything after reads what is stored of it
    for relation in ("event_groups", "event_rollup", "event_rollup_by_date"):
        whole = spark.plan(f"select * from {relation}")
        assert "FileScan" not in without_subplans(final(whole)), whole


def final(plan: str) -> str:
    """Leave of a plan what was run, not what had been intended before sizes were known."""
    return plan.split("== Initial Plan ==")[0]


def without_subplans(plan: str) -> str:
    """Return the part of a plan above stored relations."""
    return plan.partition("InMemoryRelation")[0]


def test_the_check_finds_what_duckdbs_finds(world: World, folder: Path, tables: Tables) -> None:
    def found(opened: Tables) -> list[tuple[str, str, str, int]]:
        found = validate(
opened.engine, opened.available, native=opened.native, readings=opened.readings,
            now=datetime(2025, 9, 1),
        )  # fmt: skip
        return sorted((one.table, one.column, one.rule, one.count) for one in found)

    with Engine(EngineConfig(), base=folder) as engine:
        expected = found(open_tables(engine, configs(world)))
    assert found(tables) == expected
    assert len(expected) > 3


@pytest.mark.parametrize(
    "expression",
    [
        "n / 0",
        "-n / 0.0",
        "(n - n) / 0",
        "n / 3",
        "7 // n",
        "d / n",
        "date_diff('day', t, t + interval 1 second)",
        "date_diff('minute', t, t + interval 1 second)",
        "date_diff('second', t, t + interval 1 millisecond)",
        "coalesce(nullif(n, 2), -1)",
        "greatest(n, null, 1)",
        "bit_count(n::bigint)",
        "concat(s, '/', n = 2, '/', null)",
        "s || null",
        "s is not distinct from null",
        "try_cast(s as double)",
        "cast(t as date)",
        "trim('  a b ')",
    ],
)
def test_an_expression_means_the_same(spark: SparkEngine, folder: Path, expression: str) -> None:
    rows = (
        "values (2, 0.1::decimal(18, 4), timestamp '2025-01-31 23:59:59.9995', 'x'), "
        "(3, 2.5, timestamp '1969-12-31 23:59:59.9995', '7')"
    )
    query = f"select {expression} as found from {{}} order by n"
    with Engine(EngineConfig(), base=folder) as engine:
        engine.run(f"create temp table probe as select * from ({rows}) v(n, d, t, s)")
        expected = engine.rows(query.format("probe"))
        pq.write_table(engine.arrow("from probe"), folder / "probe.parquet")
    spark.open_written("probe", f"file://{folder}/probe.parquet")
    assert repr(spark.rows(query.format("probe"))) == repr(expected)


def test_a_table_of_the_catalog_is_read_by_its_name(spark: SparkEngine, folder: Path) -> None:
    spark.session.sql(
        f"create table usage_log using parquet as select * from parquet.`file://{folder}/events.parquet`"
    )
    opened = open_tables(spark, {**configs_of("accounts"), "events": TableConfig(table="usage_log")})
    assert spark.value("select count(*) from events") == 2500
    again = open_tables(spark, {**configs_of("accounts"), "events": TableConfig(table="usage_log")})
    assert again.digest == opened.digest
    with pytest.raises(UsageError, match=r"\[tables.events\] Spark does not find a table or file: .*no_such"):
        open_tables(spark, {**configs_of("accounts"), "events": TableConfig(table="no_such")})


def test_a_lake_is_read_as_parquet_only(spark: SparkEngine) -> None:
    with pytest.raises(UsageError, match=r"path 's3a://lake/e.csv' is a URL, .*only as Parquet"):
        open_tables(spark, {**configs_of("accounts"), "events": TableConfig(path="s3a://lake/e.csv")})


def test_settings_that_spark_does_not_follow_are_named(spark: SparkEngine) -> None:
    given = TableConfig(path="events.parquet", timezone="Europe/Berlin", decimal=",", date_format="epoch_ms")
    with pytest.raises(UsageError, match='does not follow decimal, timezone, date_format = "epoch_ms"'):
        open_tables(spark, {**configs_of("accounts"), "events": given})


def configs_of(*names: str) -> dict[str, TableConfig]:
    return {name: TableConfig(path=f"{name}.parquet") for name in names}


def test_a_file_damaged_in_the_middle_is_named(spark: SparkEngine, folder: Path) -> None:
    content = bytearray((folder / "events.parquet").read_bytes())
    content[100 : len(content) // 2] = b"\0" * (len(content) // 2 - 100)
    (folder / "damaged.parquet").write_bytes(content)
    open_tables(spark, {**configs_of("accounts"), "events": TableConfig(path="damaged.parquet")})
    with pytest.raises(ContractError, match=r"a file is damaged: .*damaged.parquet"):
        spark.rows("select max(user_id), max(feature), max(occurred_at) from events")


def test_a_column_whose_type_changes_between_files_is_reported(spark: SparkEngine, folder: Path) -> None:
    apart = folder / "apart"
    apart.mkdir()
    for number, value in enumerate((1, "one")):
        rows = {"account_id": ["A0"], "occurred_at": [datetime(2025, 1, 1)], "user_id": [value]}
        pq.write_table(pa.table(rows), apart / f"{number}.parquet")
    with pytest.raises(ContractError, match="different types in the files of one table"):
        open_tables(spark, {**configs_of("accounts"), "events": TableConfig(path="apart/*.parquet")})


def test_a_table_of_a_catalog_needs_spark(folder: Path) -> None:
    with (
        Engine(EngineConfig(), base=folder) as engine,
        pytest.raises(
            UsageError, match=r"\[tables.events\] table = 'usage_log' without a url .*engine = \"spark\""
        ),
    ):
        open_tables(engine, {**configs_of("accounts"), "events": TableConfig(table="usage_log")})


def test_without_java_there_is_one_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=r"needs Java 17 or later; found none: .*Install one"):
        open_engine(EngineConfig(name="spark"), base=folder)
    monkeypatch.setenv("JAVA_HOME", str(folder))
    with pytest.raises(UsageError, match="which has no bin/java"):
        open_engine(EngineConfig(name="spark"), base=folder)


def test_a_second_spark_in_one_process_is_refused(spark: SparkEngine, folder: Path) -> None:
    with pytest.raises(UsageError, match="runs in this process already"):
        open_engine(EngineConfig(name="spark"), base=folder)
    assert spark.rows("select 1") == [(1,)]


def test_a_spark_that_refuses_its_settings_is_one_error(spark: SparkEngine, folder: Path) -> None:
    start = (
        "from pathlib import Path\nfrom churnrisk.sources import EngineConfig, open_engine\n"
        "open_engine(EngineConfig(name='spark', spark={'spark.driver.memory': '200m'}), base=Path())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", start], cwd=folder, capture_output=True, text=True, check=False
    )
    assert re.search(r"UsageError: Spark does not start: .*memory", ran.stderr), ran.stderr
    assert not re.search(r"WARN|INFO|log4j", ran.stdout + ran.stderr), "Java's output belongs into the log"


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ('java version "1.8.0_392"', "1.8.0_392"),
        ('openjdk version "11.0.2" 2019-01-15', "11.0.2"),
        ("Error: could not open libjvm.so", "libjvm"),
    ],
)
def test_a_java_that_is_too_old_is_reported_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, version: str
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{output}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=rf"needs Java 17 or later; .*{version}.*newer one"):
        open_engine(EngineConfig(name="spark"), base=tmp_path)


def test_ids_have_the_same_normal_form(spark: SparkEngine, tables: Tables, folder: Path) -> None:
    ids = ["a1", " A1 ", "0012", "12.0", "1.2E+05", "1.25E1", "A\u00a01\t", "0015g00000AbCdEAAZ", ""]
    forms = ", ".join(f"{normal_id('id', rule)} as {rule}" for rule in ID_RULES)
    values = f"(values {', '.join(f'({literal(one)})' for one in ids)}) t(id)"
    with Engine(EngineConfig(), base=folder) as duckdb:
        expected = duckdb.rows(f"select {forms} from {values}")
    found = spark.rows(f"select {forms} from {values}, (select account_id from accounts limit 1) a")
    assert sorted(map(str, found)) == sorted(map(str, expected))
