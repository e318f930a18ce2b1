import numpy as np
import pytest

from churnrisk.model import evaluate
from churnrisk.plots import plot_gain, plot_lift, plot_precision_recall, plot_recall_at_capacity

from .reading import labels, line


def test_the_gain_begins_at_nothing_and_ends_at_all_churners(scored):
    y, p, accounts = scored
    share, found = line(plot_gain(y, p, groups=accounts), "model")
    assert (share[0], found[0], share[-1], found[-1]) == (0.0, 0.0, 1.0, pytest.approx(1.0))
    assert (np.diff(found) >= -1e-12).all()


def test_the_gain_is_the_share_of_churners_among_the_riskiest():
    y = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 1])
    share, found = line(plot_gain(y, np.linspace(0.9, 0.1, 10)), "model")
    assert np.interp([0.2, 0.3, 0.4, 0.9], share, found) == pytest.approx([0.5, 0.5, 0.75, 0.75])


def test_without_order_the_gain_is_the_diagonal():
    y = np.tile([1, 0, 0, 0], 25)
    share, found = line(plot_gain(y, np.full(100, 0.25)), "model")
    assert found == pytest.approx(share)


def test_the_lift_is_the_gain_over_the_share(scored):
    y, p, _ = scored
    contacted, lift = line(plot_lift(y, p), "model")
    share, found = line(plot_gain(y, p), "model")
    assert lift == pytest.approx(np.interp(contacted, share, found) / contacted, rel=0.02)
    assert lift[-1] == pytest.approx(1.0)


def test_the_recall_at_capacity_is_that_of_the_evaluation(scored):
    y, p, accounts = scored
    axes = plot_recall_at_capacity(y, p, snapshots=2, capacity=40, groups=accounts)
    at, recall = line(axes, "model at 40")
    recall_at_40 = (
        evaluate(y, p, accounts, capacity=80, n_boot=2).figures["model"]["recall_at_capacity"].value
    )
    assert (at.item(), recall.item()) == (40, pytest.approx(recall_at_40))
    assert f"model at 40: {recall_at_40:.0%} of the churners" in labels(axes)


def test_a_capacity_beyond_all_accounts_finds_all_churners(scored):
    y, p, _ = scored
    _, recall = line(plot_recall_at_capacity(y, p, snapshots=2, capacity=5_000), "model at")
    assert recall.item() == pytest.approx(1.0)


@pytest.mark.parametrize("plot", [plot_gain, plot_lift])
def test_the_band_holds_the_curve_and_is_wider_for_fewer_accounts(plot, scored):
    y, p, accounts = scored
    few = accounts < "a0100"

    def band(rows):
        axes = plot(y[rows], p[rows], groups=accounts[rows])
        edge = axes.collections[0].get_paths()[0].vertices
        return np.ptp(edge[np.abs(edge[:, 0] - 0.3) < 0.005][:, 1])

    assert band(few) > 1.5 * band(np.ones(len(y), dtype=bool)) > 0


def test_the_floor_of_precision_is_the_base_rate(scored):
    y, p, _ = scored
    axes = plot_precision_recall(y, p)
    assert f"base rate {y.mean():.1%}" in labels(axes)
    assert line(axes, "base rate")[1] == pytest.approx(y.mean())
