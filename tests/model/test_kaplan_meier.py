"""The share still there, against published and hand-computed figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import ContractError
from churnrisk.model import KaplanMeier

# Remission of 21 patients under 6-MP, in weeks (Freireich et al. 1963); 1 for a relapse.
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_the_published_survival_and_intervals_of_the_remission_data_come_out():
    found = KaplanMeier.fit(WEEKS, RELAPSED)
    assert found.days.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert found.survival == pytest.approx([0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], abs=5e-5)
    assert found.low == pytest.approx([0.6197, 0.5631, 0.5032, 0.4316, 0.3675, 0.2678, 0.1881], abs=5e-5)
    assert found.high == pytest.approx([0.9516, 0.9228, 0.8894, 0.8491, 0.8049, 0.7468, 0.6801], abs=5e-5)


def test_a_life_that_is_seen_from_some_day_on_counts_from_then_only():
    # at day 5 there are A, B and C; at day 7 B, C and D; at day 8 B and C
    found = KaplanMeier.fit([5, 8, 10, 7], [True, True, False, True], entered=[0, 3, 0, 6])
    assert found.at_risk.tolist() == [3, 3, 2]
    assert found.survival == pytest.approx([2 / 3, 4 / 9, 2 / 9])


def test_the_share_holds_until_the_next_loss_and_is_unknown_beyond_the_data():
    found = KaplanMeier.fit([5, 8, 10], [True, True, False])
    assert found.at([0, 4, 5, 7, 8, 10]) == pytest.approx([1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert np.isnan(found.at(11))


def test_before_anybody_is_seen_the_share_is_unknown():
    found = KaplanMeier.fit([50, 80], [True, False], entered=[40, 30])
    assert (found.since, found.until) == (30, 80)
    assert np.isnan(found.at([0, 29])).all()
    assert found.at([30, 50, 80]) == pytest.approx([1, 1 / 2, 1 / 2])


def test_where_nobody_is_left_the_bounds_stay_in_order():
    found = KaplanMeier.fit([1, 2, 3], [True, True, True])
    assert found.survival[-1] == 0.0
    assert found.low[-1] == 0.0
    assert found.high[-1] == found.high[-2] > 0


def test_without_a_loss_everybody_is_there():
    found = KaplanMeier.fit([3, 4], [False, False])
    assert len(found.days) == 0
    assert found.at([0, 4]).tolist() == [1.0, 1.0]


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=40))
def test_without_late_entries_and_censoring_it_is_the_plain_share(lives):
    days = np.array([day for day, _ in lives])
    found = KaplanMeier.fit(days, np.ones(len(days)))
    assert found.at(np.arange(days.max())) == pytest.approx(
        [(days > day).mean() for day in range(days.max())]
    )
    assert (found.low <= found.survival + 1e-12).all()
    assert (found.high >= found.survival - 1e-12).all()


@pytest.mark.parametrize(
    ("days", "lost", "entered", "message"),
    [
        ([1, 2], [True], None, "one life per account"),
        ([], [], None, "one life per account"),
        ([1, -2], [True, False], None, "missing or negative"),
        ([1, np.nan], [True, False], None, "missing or negative"),
        ([1, 2], [True, False], [0, -1], "missing or negative"),
    ],
)
def test_lives_that_make_no_sense_are_refused(days, lost, entered, message):
    with pytest.raises(ContractError, match=message):
        KaplanMeier.fit(days, lost, entered=entered)
