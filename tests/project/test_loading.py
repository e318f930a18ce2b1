"""A project from a folder or from data frames of any kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import churnrisk as cr
from churnrisk.errors import UsageError
from tests.project.conftest import NOW

SETTINGS = {
    "churn": {"definition": "contractual", "grace_days": 14, "min_tenure_days": 30},
    "features": {"key_features": ["login"]},
}


def as_duckdb(frame: pd.DataFrame) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().from_df(frame)


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda frame: pl.from_pandas(frame).lazy(),
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
        as_duckdb,
    ],
    ids=["polars", "lazy polars", "pyarrow", "duckdb"],
)
def test_frames_of_every_kind_give_the_panel_that_pandas_gives(frames, convert) -> None:
    expected = cr.load(tables=frames, now=NOW, horizon_days=30, **SETTINGS).panel()
    converted = [convert(frame) for frame in frames.values()]
    found = cr.load(
        tables=dict(zip(frames, converted, strict=True)), now=NOW, horizon_days=30, **SETTINGS
    ).panel()

    assert len(expected.X) > 1000
    pd.testing.assert_frame_equal(found.X, expected.X)
    pd.testing.assert_series_equal(found.y, expected.y)


def test_frames_give_the_panel_that_their_files_give(world, frames) -> None:
    from_files = cr.load(world, now=NOW).panel()
    from_frames = cr.load(world, tables=frames, now=NOW).panel()

    pd.testing.assert_frame_equal(from_frames.X, from_files.X, check_dtype=False)
    shutil.rmtree(world / ".churnrisk")


def test_the_same_frames_are_the_same_inputs(frames, tmp_path) -> None:
    first = cr.load(tmp_path, tables=frames, now=NOW, **SETTINGS).panel().digest
    again = cr.load(tmp_path, tables=frames, now=NOW, **SETTINGS).panel().digest
    fewer = cr.load(tmp_path, tables={**frames, "events": frames["events"][1:]}, now=NOW, **SETTINGS)

    assert first == again
    assert fewer.panel().digest != first


def test_an_index_with_a_name_is_a_column_and_other_names_are_mapped(frames) -> None:
    given = {
        "accounts": frames["accounts"].set_index("account_id"),
        "events": frames["events"].rename(columns={"occurred_at": "when"}),
    }
    project = cr.load(tables=given, columns={"events": {"occurred_at": "when"}}, now=NOW)

    assert project.check().rows["accounts"] == 500
    assert set(project.panel().X.index.names) == {"account_id", "as_of"}


def test_a_project_of_frames_leaves_nothing_behind(frames) -> None:
    project = cr.load(tables=frames, now=NOW)
    folder = project.settings.directory
    assert folder.is_dir()
    wider = project.with_features(
        [cr.Signal("long_silence", "days_since_last_event > 60")], check_leaks=False
    )
    del project
    assert folder.is_dir()
    del wider
    assert not folder.exists()


def test_settings_given_in_python_go_before_those_of_the_file(world) -> None:
    project = cr.load(world, horizon_days=60, churn={"grace_days": 3}, model={"seed": 9})

    assert (project.settings.churn.horizon_days, project.settings.churn.grace_days) == (60, 3)
    assert project.settings.churn.definition == "contractual"
    assert project.settings.model.seed == 9
    assert repr(project).startswith("<churnrisk project 'Sample company': accounts, events")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "project holds none"),
        ({"directory": "nowhere"}, "nowhere holds none"),
        ({"tables": {"accounts": 3, "events": 4}}, "found builtins.int"),
        ({"tables": {"accounts": pd.DataFrame({"account_id": [1, "a"]})}}, "one type per column"),
        ({"tables": {}, "columns": {"events": {}}}, "columns names events, found the tables none"),
        ({"tables": {}, "model": {"sed": 1}}, r"\[model\] sed: is no setting"),
        ({"tables": {}, "model": 3}, r"\[model\]: .*found 3"),
        ({"tables": {}, "modle": {"seed": 1}}, r"\[modle\]: is no setting"),
        (
            {"tables": {}, "churn": {"definition": "labels"}},
            r"expected horizon_days .* \[churn\], found none",
        ),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_error(arguments, said, monkeypatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    with pytest.raises(UsageError, match=said):
        cr.load(**arguments)


def test_a_table_without_a_required_column_is_named_with_what_it_has(frames) -> None:
    given = {"accounts": frames["accounts"], "events": frames["events"].rename(columns={"occurred_at": "ts"})}
    with pytest.raises(cr.ChurnRiskError, match=r"events has no column 'occurred_at'; it has .*ts"):
        cr.load(tables=given, now=NOW).panel()


def test_every_public_name_is_there_and_documented() -> None:
    for name in cr.__all__:
        assert getattr(cr, name) is not None
        if name != "__version__":
            assert getattr(cr, name).__doc__
    assert set(cr.__all__) <= set(dir(cr))


def test_a_name_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(AttributeError, match="attribute laod"):
        cr.laod  # noqa: B018
    assert Path(cr.__file__).name == "__init__.py"


def test_where_a_row_stood_is_no_value(frames) -> None:
    accounts = frames["accounts"]
    shuffled = {**frames, "accounts": accounts.sample(frac=1.0, random_state=3)}
    indexed = {**frames, "accounts": accounts.set_index("account_id", drop=False)}
    expected = list(cr.load(tables=frames, now=NOW, **SETTINGS).panel().X)
    for given in (shuffled, indexed):
        assert list(cr.load(tables=given, now=NOW, **SETTINGS).panel().X) == expected
    from churnrisk.project import as_arrow

    assert as_arrow(shuffled["accounts"]).column_names == list(accounts)


def test_given_frames_leave_the_files_of_the_folder_alone(frames, tmp_path) -> None:
    own = tmp_path / "tables" / "events.parquet"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    cr.load(tmp_path, tables=frames, now=NOW, **SETTINGS)
    assert own.read_bytes() == b"mine"
    with pytest.raises(UsageError, match=r"found \.\./\.\./evil"):
        cr.load(tmp_path, tables={**frames, "../../evil": frames["events"]})
    assert not list(tmp_path.parent.parent.glob("evil*"))


@pytest.mark.parametrize(
    "wrong",
    [{"churn": "labels"}, {"columns": {"accounts": "x"}}, {"columns": ["x"]}, {"tables": ["x"]}],
)
def test_settings_that_are_no_dict_are_refused(frames, wrong) -> None:
    with pytest.raises(UsageError, match="as a dict"):
        cr.load(**{"tables": frames, **wrong})


def test_two_columns_of_one_name_are_refused(frames) -> None:
    accounts = frames["accounts"]
    with pytest.raises(UsageError, match="Convert it first"):
        cr.load(tables={**frames, "accounts": pd.concat([accounts, accounts[["account_id"]]], axis=1)})


def test_data_may_lie_outside_the_project(world, tmp_path) -> None:
    shutil.copy(world / "churnrisk.toml", tmp_path)

    assert cr.load(tmp_path, data=world, now=NOW).check().rows == cr.load(world, now=NOW).check().rows


def test_of_several_columns_the_first_that_is_filled_counts(frames) -> None:
    columns = {"events": {"account_id": ["uid", "account_id"]}}
    events = frames["events"].assign(uid=None)
    project = cr.load(tables={**frames, "events": events}, columns=columns, now=NOW)

    assert project.check().rows == cr.load(tables=frames, now=NOW).check().rows
