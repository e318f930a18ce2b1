"""The printed query is the one that ran."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from churnrisk.features import build_features, script_of, select_features, step_purposes
from churnrisk.snapshots import ChurnConfig, build_panel
from tests.features.computing import CONFIG
from tests.world import at, opened, random_world

DATES = [datetime(2025, 12, 1)]


def recorded(tables, definition):
    with tables.engine.recording() as statements:
        build_panel(tables, ChurnConfig(definition=definition), DATES, data_end=at(400))
        features = select_features(CONFIG, tables.available)
        build_features(tables, features, key_features=CONFIG.key_features, labelled_only=False)
    return script_of(statements, tables.engine.columns("feature_inputs"), project="Acme")


@pytest.mark.parametrize("definition", ["contractual", "inactivity"])
def test_the_printed_script_computes_the_same_features(definition):
    with opened(random_world(5, accounts=8, events=200)) as tables:
        script = recorded(tables, definition)
        expected = tables.engine.rows("select * from feature_rows order by all")
        tables.engine.run("drop table feature_rows")
        for statement in script.split(";\n"):
            if not all(line.startswith("--") for line in statement.strip().splitlines()):
                tables.engine.run(statement)
        assert repr(tables.engine.rows("select * from feature_rows order by all")) == repr(expected)
        assert len(expected) > 4


@pytest.mark.parametrize("definition", ["contractual", "inactivity"])
def test_every_step_says_what_it_is_for(definition):
    with opened(random_world(5)) as tables:
        script = recorded(tables, definition)
    steps = re.findall(
        r"^-- \d+\. (.+)\n(?:create or replace temp (?:table|view)|--) (\w+)", script, re.MULTILINE
    )
    assert len(steps) == script.count("create or replace") + 1 > 20
    assert [purpose for purpose, _ in steps] == [step_purposes()[name] for _, name in steps]


def test_the_script_lists_what_an_own_feature_may_name():
    with opened(random_world(5)) as tables:
        listed = recorded(tables, "inactivity").rpartition("may name:")[2]
    names = set(re.findall(r"\w+", listed))
    assert {"events_30", "last_day", "seats", "open_complaints", "tier"} <= names


def test_statements_outside_of_the_recording_are_not_in_it():
    with opened(random_world(5)) as tables:
        with tables.engine.recording() as statements:
            tables.engine.run("create temp table a as select 1 as x")
        tables.engine.run("drop table a")
    assert statements == ["create temp table a as select 1 as x"]
