import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import ContractError
from churnrisk.model import PanelSplit, account_blocks, blocks

day_sets = st.lists(st.integers(0, 500), min_size=1, max_size=25, unique=True)


def dates_of(days, rows_each=2):
    start = np.datetime64("2024-01-01", "ns")
    return np.repeat(start + np.array(days).astype("timedelta64[D]"), rows_each)


@given(days=day_sets, n_splits=st.integers(1, 4), embargo=st.integers(0, 60))
def test_every_validation_date_is_an_embargo_after_the_last_training_date(days, n_splits, embargo):
    as_of = dates_of(days)
    try:
        folds = list(PanelSplit(n_splits, embargo_days=embargo).split(as_of, groups=as_of))
    except ContractError:
        return
    assert len(folds) == n_splits
    for train, later in folds:
        assert len(train) > 0
        assert len(later) > 0
        assert as_of[later].min() > as_of[train].max()
        assert as_of[later].min() - as_of[train].max() >= np.timedelta64(embargo, "D")


@given(days=day_sets, embargo=st.integers(0, 90), test=st.integers(1, 4), calibration=st.integers(1, 4))
def test_blocks_are_disjoint_in_time_order_with_an_embargo_between(days, embargo, test, calibration):
    as_of = dates_of(days)
    try:
        cut = blocks(as_of, embargo_days=embargo, test_snapshots=test, calibration_snapshots=calibration)
    except ContractError:
        return
    apart = np.timedelta64(embargo, "D")
    assert as_of[cut.calibration].min() - as_of[cut.fit].max() >= apart
    assert as_of[cut.test].min() - as_of[cut.calibration].max() >= apart
    assert (cut.fit.astype(int) + cut.calibration + cut.test).max() == 1
    assert len(np.unique(as_of[cut.test])) == test or any("test block" in note for note in cut.notes)


def test_expanding_folds_grow():
    as_of = dates_of(range(0, 360, 30))
    sizes = [len(train) for train, _ in PanelSplit(3, embargo_days=30).split(as_of, groups=as_of)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3


def test_dates_come_from_the_index():
    as_of = dates_of([0, 40, 80], rows_each=1)
    index = pd.MultiIndex.from_arrays([["a", "b", "c"], as_of], names=["account_id", "as_of"])
    folds = list(PanelSplit(2, embargo_days=30).split(pd.DataFrame({"x": [1, 2, 3]}, index=index)))
    assert [(list(a), list(b)) for a, b in folds] == [([0], [1]), ([0, 1], [2])]


def test_a_frame_without_dates_is_refused_with_the_mend():
    with pytest.raises(ContractError, match="index with a level 'as_of'"):
        list(PanelSplit().split(pd.DataFrame({"x": [1, 2]})))


def test_one_snapshot_is_refused_with_what_was_found():
    with pytest.raises(ContractError, match=r'found 1 as-of date .*split = "accounts"'):
        blocks(dates_of([0]), embargo_days=30, test_snapshots=2, calibration_snapshots=2)


def test_blocks_shrink_before_they_fail_and_say_so():
    cut = blocks(dates_of([0, 30, 60, 90]), embargo_days=30, test_snapshots=2, calibration_snapshots=2)
    assert cut.fit.any()
    assert cut.notes == ("the calibration block has 1 as-of dates instead of 2: only 4 dates are mature",)


@pytest.mark.slow
def test_account_blocks_are_the_same_in_every_process():
    ids = [f"acct-{i}" for i in range(50)]
    code = (
        "from churnrisk.model import account_blocks;"
        "c = account_blocks([f'acct-{i}' for i in range(50)], seed=3); print(c.fit.astype(int).tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == str(account_blocks(ids, seed=3).fit.astype(int).tolist())


@given(seed=st.integers(0, 10_000))
def test_an_account_is_in_one_block_only(seed):
    ids = np.repeat([f"a{i}" for i in range(200)], 3)
    cut = account_blocks(ids, seed=seed)
    for mask in (cut.fit, cut.calibration, cut.test):
        assert set(ids[mask]).isdisjoint(ids[~mask])
    assert (cut.fit | cut.calibration | cut.test).all()


def test_shares_of_accounts_are_about_as_asked():
    cut = account_blocks([f"a{i}" for i in range(20_000)], seed=0)
    assert cut.fit.mean() == pytest.approx(0.6, abs=0.02)
    assert cut.test.mean() == pytest.approx(0.2, abs=0.02)


def test_a_history_too_short_for_three_blocks_calibrates_on_held_out_accounts() -> None:
    dates = np.repeat(pd.date_range("2026-01-01", periods=5, freq="30D"), 200)
    accounts = np.tile([f"a{i}" for i in range(200)], 5)
    with pytest.raises(ContractError, match="at least 3 as-of dates"):
        blocks(dates, embargo_days=100, test_snapshots=1, calibration_snapshots=1)
    cut = blocks(dates, embargo_days=100, test_snapshots=1, calibration_snapshots=1, account_id=accounts)
    assert cut.fit.any()
    assert cut.calibration.any()
    assert not set(accounts[cut.fit]) & set(accounts[cut.calibration])
    assert dates[cut.fit].max() + pd.Timedelta(days=100) <= dates[cut.test].min()
    assert "held out" in cut.notes[0]
