"""The churn model: splits in time order, the estimator, calibration, evaluation, reasons.

The names load on first use, because scikit-learn takes more than a second to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.lazy import lazy

if TYPE_CHECKING:
    from churnrisk.model.calibration import RecencyRule
    from churnrisk.model.candidates import CANDIDATES, Candidate, SklearnClassifier
    from churnrisk.model.classifier import ChurnClassifier
    from churnrisk.model.encoding import FrameEncoder
    from churnrisk.model.evaluation import Evaluation, evaluate
    from churnrisk.model.hazard import ChurnHazard
    from churnrisk.model.profile import ReasonProfile
    from churnrisk.model.reasons import explain, family_contributions
    from churnrisk.model.splits import Blocks, PanelSplit, account_blocks, blocks
    from churnrisk.model.survival import KaplanMeier, SurvivalFigures, evaluate_survival

_HOMES = {
    name: home
    for home, names in {
        "calibration": "RecencyRule",
        "candidates": "CANDIDATES Candidate SklearnClassifier",
        "classifier": "ChurnClassifier",
        "encoding": "FrameEncoder",
        "evaluation": "Evaluation evaluate",
        "hazard": "ChurnHazard",
        "profile": "ReasonProfile",
        "reasons": "explain family_contributions",
        "splits": "Blocks PanelSplit account_blocks blocks",
        "survival": "KaplanMeier SurvivalFigures evaluate_survival",
    }.items()
    for name in names.split()
}

__all__ = [
    "ChurnClassifier",
    "FrameEncoder",
    "CANDIDATES",
    "Candidate",
    "SklearnClassifier",
    "RecencyRule",
    "PanelSplit",
    "Blocks",
    "blocks",
    "account_blocks",
    "Evaluation",
    "evaluate",
    "ChurnHazard",
    "SurvivalFigures",
    "evaluate_survival",
    "KaplanMeier",
    "ReasonProfile",
    "explain",
    "family_contributions",
]


__getattr__ = lazy(__name__, _HOMES)
