"""Plots of a model, of its colours and of the customers, in the manner of scikit-learn's displays.

Each function takes ``ax=None`` and returns the Axes it drew on, without pyplot: no window opens, no global state
changes, and it works without a screen. Those of outcomes take ``y`` (1 for churned), the churn probability ``p`` of
the same rows and ``name=`` for the legend; a second call with the same ``ax`` adds a series in another colour, line
and mark. They raise ``ModelInputError`` when lengths differ, a probability is missing, or the rows lack a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.lazy import lazy

if TYPE_CHECKING:
    from churnrisk.plots.effects import plot_feature_effect, plot_feature_effects
    from churnrisk.plots.over_time import (
        plot_drift,
        plot_promises,
        plot_retention,
        plot_shares,
        plot_survival,
    )
    from churnrisk.plots.predictions import (
        plot_calibration,
        plot_cost,
        plot_gain,
        plot_lift,
        plot_precision_recall,
        plot_recall_at_capacity,
    )

_HOMES = {
    name: home
    for home, names in {
        "effects": "plot_feature_effect plot_feature_effects",
        "over_time": "plot_drift plot_promises plot_retention plot_shares plot_survival",
        "predictions": "plot_calibration plot_cost plot_gain plot_lift plot_precision_recall plot_recall_at_capacity",
    }.items()
    for name in names.split()
}

__all__ = [
    "plot_calibration",
    "plot_precision_recall",
    "plot_lift",
    "plot_gain",
    "plot_recall_at_capacity",
    "plot_cost",
    "plot_feature_effect",
    "plot_feature_effects",
    "plot_survival",
    "plot_retention",
    "plot_drift",
    "plot_promises",
    "plot_shares",
]

__getattr__ = lazy(__name__, _HOMES)
