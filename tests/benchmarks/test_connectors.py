"""The benchmark of the exports reads as many rows from an export as from plain CSV."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.connectors import measure, written
from churnrisk.sources import Engine, EngineConfig, open_tables, table_configs
from tests.sources.shapes import SHAPES


@pytest.mark.slow
@pytest.mark.parametrize("name", ["salesforce", "zuora", "spreadsheet"])
def test_an_export_holds_the_rows_of_its_plain_tables(name: str, tmp_path: Path) -> None:
    table, rows = written(SHAPES[name], 3000, tmp_path)
    assert rows == 3000
    settings = json.loads((tmp_path / "tables.json").read_text())
    counts = []
    for kind in ("plain", "export"):
        with Engine(EngineConfig(threads=1), base=tmp_path / kind) as engine:
            open_tables(engine, table_configs(settings[kind]))
            counts.append(engine.rows(f"select count(*), count(distinct account_id) from {table}"))
    assert counts[0] == counts[1]
    assert counts[0][0][0] == rows
    jobs = ("plain", "export", "bare") if name == "spreadsheet" else ("plain", "export")
    assert min(measure(tmp_path, jobs, 1).values()) > 0
