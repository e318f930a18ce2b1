"""Connectors: one company in the shape of each product gives the panel that its plain tables give, bit for bit."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import churnrisk as cr
from churnrisk.sources import recognise
from tests.sources.company import make_company
from tests.sources.shapes import SHAPES, Frames

SETTINGS = '[churn]\ndefinition = "contractual"\nhorizon_days = 30\ngrace_days = 7\n'


def toml(value: Any) -> str:
    """Write one value of a TOML file."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def panel(folder: Path, tables: dict[str, dict[str, Any]]) -> cr.TrainingPanel:
    lines = [f"[tables.{name}]\n" + "".join(f"{key} = {toml(one)}\n" for key, one in settings.items())
             for name, settings in tables.items()]  # fmt: skip
    (folder / "churnrisk.toml").write_text("\n".join(lines) + SETTINGS)
    return cr.load(folder, now=datetime(2025, 11, 1)).panel()


def write_plain(folder: Path, frames: Frames) -> dict[str, dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False, date_format="%Y-%m-%d %H:%M:%S")
    return {name: {"path": f"../plain/{name}.csv"} for name in frames}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_gives_the_panel_of_the_plain_tables(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    company = make_company(shape.key)
    (export := tmp_path / "export").mkdir()
    shape.write(company, export)
    found = recognise(export)
    assert found.connector == shape.connector
    assert set(found.tables) == set(shape.carries)

    carried = {table: columns.split() for table, columns in shape.carries.items()}
    frames = shape.plain(company)
    frames |= {table: frames[table][columns] for table, columns in carried.items()}
    plain = write_plain(tmp_path / "plain", frames)
    expected = panel(tmp_path / "plain", plain)
    given = panel(export, {**plain, **found.tables})

    assert len(expected.X) > 100
    assert expected.y.sum() > 8
    pd.testing.assert_frame_equal(given.X, expected.X)
    pd.testing.assert_series_equal(given.y, expected.y)
