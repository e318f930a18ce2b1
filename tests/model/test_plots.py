import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from churnrisk.model import plot_calibration, plot_feature_effects, plot_lift, plot_precision_recall

from .conftest import make_panel


@pytest.mark.parametrize("plot", [plot_calibration, plot_lift, plot_precision_recall])
def test_each_picture_draws_on_the_axes_it_is_given_and_opens_no_window(plot):
    _, y, z = make_panel(accounts=100, dates=2)
    axes = Figure().add_subplot()
    assert plot(y, 1 / (1 + np.exp(-z)), ax=axes) is axes
    assert plot(y, 1 / (1 + np.exp(-z))) is not axes
    assert axes.get_title()
    assert axes.get_xlabel()
    assert plt.get_fignums() == []


def test_perfect_calibration_lies_within_the_intervals():
    _, y, z = make_panel(accounts=2000, dates=2)
    axes = plot_calibration(y, 1 / (1 + np.exp(-z)))
    line = axes.containers[0].lines[0]
    assert np.abs(line.get_xdata() - line.get_ydata()).max() < 0.06


def test_effects_show_each_feature_that_matters(additive, panel):
    figure = plot_feature_effects(additive, panel[0])
    titles = {axes.get_title() for axes in figure.axes}
    assert {"days_since_last_event", "plan", "complaints_open"} <= titles
    assert "nothing" not in titles
    stored = io.BytesIO()
    figure.savefig(stored)
    assert stored.tell() > 5_000
