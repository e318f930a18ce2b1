"""The churn model: splits in time order, the estimator, calibration, evaluation, reasons.

The names load on first use, because scikit-learn takes more than a second to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.lazy import lazy

if TYPE_CHECKING:
    from churnrisk.model.classifier import ChurnClassifier
    from churnrisk.model.encoding import FrameEncoder
    from churnrisk.model.evaluation import Evaluation, evaluate
    from churnrisk.model.faults import ModelInputError
    from churnrisk.model.hazard import ChurnHazard
    from churnrisk.model.kaplan_meier import KaplanMeier
    from churnrisk.model.profile import ReasonProfile
    from churnrisk.model.reasons import explain, family_contributions
    from churnrisk.model.recency import RecencyRule
    from churnrisk.model.splits import Blocks, PanelSplit, account_blocks, account_halves, blocks
    from churnrisk.model.survival import SurvivalFigures, evaluate_survival
    from churnrisk.model.trust import allowed_types

_HOMES = {
    "ChurnClassifier": "classifier",
    "FrameEncoder": "encoding",
    "RecencyRule": "recency",
    "PanelSplit": "splits",
    "Blocks": "splits",
    "blocks": "splits",
    "account_blocks": "splits",
    "account_halves": "splits",
    "Evaluation": "evaluation",
    "evaluate": "evaluation",
    "ChurnHazard": "hazard",
    "SurvivalFigures": "survival",
    "evaluate_survival": "survival",
    "KaplanMeier": "kaplan_meier",
    "ReasonProfile": "profile",
    "explain": "reasons",
    "family_contributions": "reasons",
    "ModelInputError": "faults",
    "allowed_types": "trust",
}

__all__ = [
    "ChurnClassifier",
    "FrameEncoder",
    "RecencyRule",
    "PanelSplit",
    "Blocks",
    "blocks",
    "account_blocks",
    "account_halves",
    "Evaluation",
    "evaluate",
    "ChurnHazard",
    "SurvivalFigures",
    "evaluate_survival",
    "KaplanMeier",
    "ReasonProfile",
    "explain",
    "family_contributions",
    "ModelInputError",
    "allowed_types",
]


__getattr__ = lazy(__name__, _HOMES)
