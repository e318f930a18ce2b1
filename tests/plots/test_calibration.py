import numpy as np
import pytest
from scipy.stats import binomtest

from churnrisk.plots import plot_calibration


def test_perfect_calibration_lies_within_the_intervals(scored):
    y, p, _ = scored
    axes = plot_calibration(y, p)
    said, rate = next(line.get_data() for line in axes.lines if line.get_label().startswith("model"))
    low, high = np.array([segment[:, 1] for segment in axes.containers[0].lines[2][0].get_segments()]).T
    assert np.abs(said - rate).max() < 0.12
    assert ((low <= said) & (said <= high)).mean() >= 0.9


def test_rows_of_accounts_of_their_own_have_the_exact_binomial_intervals():
    y = np.r_[np.repeat([1, 0], [3, 17]), np.repeat([1, 0], [9, 11])]
    points = plot_calibration(y, np.repeat([0.1, 0.4], 20), bins=2).containers[0]
    bars = np.array([segment[:, 1] for segment in points.lines[2][0].get_segments()])
    exact = [binomtest(churned, 20).proportion_ci(0.95, "exact") for churned in (3, 9)]
    assert bars == pytest.approx(np.array([(ci.low, ci.high) for ci in exact]), abs=1e-6)


def test_accounts_that_repeat_themselves_count_once(scored):
    y, p, accounts = scored
    first = ~accounts.duplicated()

    def width(**groups):
        member = plot_calibration(**groups).containers[0].lines[2][0].get_segments()
        return np.array([segment[1, 1] - segment[0, 1] for segment in member])

    once = {"y": y[first], "p": p[first]}
    again = {name: np.tile(values, 4) for name, values in once.items()}
    by_account = width(**again, groups=np.tile(accounts[first], 4))
    assert by_account == pytest.approx(width(**once), rel=1e-6)
    assert (width(**again) < by_account).all()
