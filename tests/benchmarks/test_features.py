"""The benchmark of the features measures what it says, and they stay near its floors."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd

from benchmarks.generate import PEER_TABLES, TABLES, generate
from benchmarks.notebook import FEATURES, features
from churnrisk.features import FeatureConfig, build_features, select_features
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables

DATES = [datetime(2025, 3, 1), datetime(2026, 1, 1)]


def test_the_notebook_computes_the_same_features(tmp_path: Path) -> None:
    generate("XS", tmp_path)
    read = [pd.read_parquet(tmp_path / f"{name}.parquet") for name in PEER_TABLES]
    theirs = features(*read, DATES).astype(float).sort_index()
    with Engine(EngineConfig(), base=tmp_path) as engine:
        tables = open_tables(engine, {name: TableConfig(path=f"{name}.parquet") for name in TABLES})
        build_panel(tables, ChurnConfig(), DATES, data_end=DATES[-1])
        chosen = select_features(FeatureConfig(), tables.available)
        ours = build_features(tables, chosen, labelled_only=False).X.sort_index()
    assert len(chosen) > 2 * len(FEATURES) > 30
    pd.testing.assert_frame_equal(ours[list(FEATURES)], theirs, check_index_type=False, rtol=1e-12)


def test_features_cost_no_more_than_a_few_passes_over_the_events() -> None:
    """Generous: alone they take half of this. A second reading of every row, or its trimming, goes beyond it."""
    script = Path(__file__).parents[2] / "benchmarks" / "features.py"
    command = [sys.executable, script, "S", "--repeats", "1", "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert found["score"]["cpu"] < 2.5 * found["G"]["cpu"]
    assert found["train"]["cpu"] < 7 * found["G"]["cpu"]
