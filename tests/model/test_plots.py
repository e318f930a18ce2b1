import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from churnrisk.model import (
    plot_calibration,
    plot_feature_effects,
    plot_lift,
    plot_precision_recall,
    plot_promises,
    plot_shares,
)

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


HISTORY = pd.DataFrame(
    [
        ("2026-01-01", "green", 0.4, 0.01, 0.00, 0.03, 0.02, None, "kept"),
        ("2026-01-01", "amber", 0.4, 0.08, 0.06, 0.10, None, None, ""),
        ("2026-01-01", "red", 0.2, 0.40, 0.35, 0.45, None, 0.3, "kept"),
        ("2026-02-01", "green", 0.5, 0.09, 0.07, 0.11, 0.02, None, "broken"),
        ("2026-02-01", "amber", 0.5, 0.10, 0.08, 0.12, None, None, ""),
        ("2026-02-01", "red", 0.0, np.nan, 0.00, 1.00, None, 0.3, ""),
    ],
    columns=[
        "as_of",
        "colour",
        "share",
        "churn_rate",
        "churn_low",
        "churn_high",
        "at_most",
        "at_least",
        "outcome",
    ],
).assign(as_of=lambda frame: pd.to_datetime(frame["as_of"]))


def test_promises_show_what_was_observed_and_mark_what_was_broken():
    axes = plot_promises(HISTORY)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"green", "green, promised", "green, broken", "red, promised"} <= set(labels)
    assert not {"amber, promised", "red, broken"} & set(labels)
    broken = next(line for line in axes.lines if line.get_label() == "green, broken")
    assert list(broken.get_ydata()) == [0.09]


def test_colours_that_promise_nothing_are_drawn_without_a_promise():
    axes = plot_promises(HISTORY.assign(at_most=None, at_least=None, outcome=""))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["green", "amber", "red"]


def test_shares_are_stacked_to_all_accounts():
    axes = plot_shares(HISTORY)
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
    assert max(tops) == pytest.approx(100.0)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2026-01-01", "2026-02-01"]


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
