from .canvas import STYLES
from .over_time import plot_drift, plot_promises, plot_retention, plot_shares, plot_survival
from .predictions import (
    plot_calibration,
    plot_cost,
    plot_feature_effect,
    plot_feature_effects,
    plot_gain,
    plot_lift,
    plot_precision_recall,
    plot_recall_at_capacity,
)

__all__ = [
    "STYLES", "plot_calibration", "plot_cost", "plot_drift", "plot_feature_effect", "plot_feature_effects",
    "plot_gain", "plot_lift", "plot_precision_recall", "plot_promises", "plot_recall_at_capacity",
    "plot_retention", "plot_shares", "plot_survival",
]  # fmt: skip
