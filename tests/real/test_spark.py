"""The signals of a real set on Spark: those of DuckDB, to the last bit."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnrisk.features import create_feature_table, select_features
from churnrisk.settings import Project, load_project
from churnrisk.snapshots import build_panel
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_engine, open_tables
from tests.real.test_real_sets import DATA, HERE
from tests.sources.sparkling import ONCE_PLANNED, differing

DATES = [datetime(2022, 7, 1), datetime(2022, 9, 1)]

pytestmark = [
    pytest.mark.usefixtures("java"),
    pytest.mark.skipif(
        not DATA.is_dir(), reason=f"the real sets are not at {DATA}; set CHURNRISK_REAL_DATA to run this test"
    ),
]


def test_the_signals_of_the_learning_platform_equal_duckdbs(tmp_path: Path) -> None:
    project = load_project(HERE / "ds365", data=DATA / "ds365")
    with Engine(EngineConfig(), base=project.data) as engine:
        names = list(open_tables(engine, project.tables).available.tables)
        for name in names:
            pq.write_table(engine.arrow(f"select * from {name}"), tmp_path / f"{name}.parquet")
    configs = {name: TableConfig(path=f"{name}.parquet") for name in names}
    here = computed(project, configs, EngineConfig(), tmp_path)
    spark = computed(project, configs, EngineConfig(name="spark", spark=ONCE_PLANNED), tmp_path)
    assert spark.num_rows > 20_000
    assert differing(spark, here) == []


def computed(
    project: Project, configs: dict[str, TableConfig], config: EngineConfig, folder: Path
) -> pa.Table:
    with open_engine(config, base=folder) as engine:
        tables = open_tables(engine, configs)
        build_panel(tables, project.churn, DATES, data_end=datetime(2022, 10, 21))
        features = select_features(project.features, tables.available)
        keys = project.features.key_features
        create_feature_table(tables, features, key_features=keys, labelled_only=False)
        return engine.arrow("select * from feature_rows order by as_of, account_id")
