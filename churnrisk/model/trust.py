"""Which types a stored churn model may contain: the allow-list that loading checks against."""

from __future__ import annotations

_OWN = (
    "churnrisk.model.additive.BoostedTrees",
    "churnrisk.model.binning.Binner",
    "churnrisk.model.calibration.Affine",
    "churnrisk.model.calibration.Steps",
    "churnrisk.model.classifier.ChurnClassifier",
    "churnrisk.model.encoding.FrameEncoder",
    "churnrisk.model.given.GivenModel",
    "churnrisk.model.hazard.ChurnHazard",
    "churnrisk.model.linear.Design",
    "churnrisk.model.linear.LinearModel",
    "churnrisk.model.rates.LevelRates",
    "churnrisk.model.recency.RecencyRule",
)

# What a fitted HistGradientBoostingClassifier is made of; skops does not trust these by itself.
# The partial is scikit-learn's own cast of the numeric columns; the function in it must be trusted by itself.
_TREES = (
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)


def allowed_types() -> list[str]:
    """Return the fully qualified names of all types that a fitted ``ChurnClassifier`` of ours contains.

    Check ``skops.io.get_untrusted_types`` against it before loading. A model around a given `estimator` may
    hold others; those are for the user to allow.
    """
    return sorted(_OWN + _TREES)
