"""Promises and shares of the colours over the snapshots."""

import numpy as np
import pandas as pd
import pytest

from churnrisk.plots import plot_promises, plot_shares

from .reading import drawn, labels

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
    shown = set(labels(axes))
    assert {"green", "green, promised", "green, broken", "red, promised"} <= shown
    assert not {"amber, promised", "red, broken"} & shown
    broken = next(line for line in axes.lines if line.get_label() == "green, broken")
    assert list(broken.get_ydata()) == [0.09]


def test_colours_that_promise_nothing_are_drawn_without_a_promise():
    axes = plot_promises(HISTORY.assign(at_most=None, at_least=None, outcome=""))
    assert labels(axes) == ["green", "amber", "red"]


def test_shares_are_stacked_to_all_accounts():
    axes = plot_shares(HISTORY)
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
    assert max(tops) == pytest.approx(1.0)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2026-01-01", "2026-02-01"]
    assert len({bar.get_hatch() for bar in axes.patches}) == 3
    assert len(drawn(axes)) > 5_000


def test_colours_are_told_apart_by_the_marks_of_the_red_list():
    marks = {
        str(drawing.get_label()): drawing.lines[0].get_marker()
        for drawing in plot_promises(HISTORY).containers
    }
    assert marks == {"green": "o", "amber": "D", "red": "^"}
