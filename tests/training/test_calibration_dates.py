"""How many dates calibrate: enough for a promise, chosen without the labels that certify it."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from churnrisk.settings import load_project
from churnrisk.snapshots import Horizon
from churnrisk.training import CutPanel, TrainingPanel


def panel(accounts, rate, dates=24):
    days = pd.date_range("2024-01-01", periods=dates, freq="30D")
    index = pd.MultiIndex.from_product(
        [[f"a{n}" for n in range(accounts)], days], names=["account_id", "as_of"]
    )
    churned = np.random.default_rng(0).random(len(index)) < rate
    span = Horizon(datetime(2024, 1, 1), datetime(2026, 3, 1))
    X = pd.DataFrame({"x": 0.0}, index=index)
    y = pd.Series(churned.astype("int8"), index=index)
    return TrainingPanel(X, y, (), (), span, "digest", pd.Series(dtype=object))


@pytest.fixture
def project(tmp_path):
    (tmp_path / "churnrisk.toml").write_text('[tables.accounts]\npath = "accounts.csv"\n')
    return load_project(tmp_path)


def dates_of(project, one):
    return one.dates[CutPanel.of(project, one).cut.calibration].nunique()


@pytest.mark.parametrize(
    ("accounts", "rate", "expected"), [(2000, 0.05, 3), (100, 0.2, (5, 7)), (60, 0.03, 11)]
)
def test_few_churned_rows_take_more_dates_up_to_half_of_the_history(project, accounts, rate, expected):
    low, high = expected if isinstance(expected, tuple) else (expected, expected)
    assert low <= dates_of(project, panel(accounts, rate)) <= high


def test_the_labels_of_the_block_that_certifies_do_not_matter(project):
    one = panel(100, 0.2)
    late = one.dates >= one.dates.unique()[12]
    other = replace(one, y=one.y.where(~late, 1 - one.y))
    assert dates_of(project, one) == dates_of(project, other)


def test_a_number_of_dates_that_was_given_is_kept(project):
    given = replace(project, model=replace(project.model, calibration_snapshots=2))
    assert dates_of(given, panel(60, 0.03)) == 2
