"""A trained model with everything that was measured about it."""

from __future__ import annotations

from dataclasses import dataclass

from churnrisk.decision import RuleEvidence, TrafficLight
from churnrisk.model import ChurnClassifier, Evaluation, ReasonProfile
from churnrisk.records import ColourEvidence, Feature


@dataclass(frozen=True)
class Trained:
    """A trained model with everything that was measured about it.

    Attributes
    ----------
    classifier, light, profile : objects
        The calibrated model, the fitted lights, the usual ranges.
    features : tuple of Feature
        The model's columns.
    evaluation : Evaluation
        On the test block, beside the base rate, the recency rule and the champion.
    evidence, model_evidence : tuple of ColourEvidence
        What happened to the final colours on the test block, and to the model's own without the rules.
    rules : tuple of RuleEvidence
        What happened to the accounts of each rule.
    notes : tuple of str
        What a reader should know: blocks made smaller, columns left out, empty colours.
    """

    classifier: ChurnClassifier
    light: TrafficLight
    profile: ReasonProfile
    features: tuple[Feature, ...]
    evaluation: Evaluation
    evidence: tuple[ColourEvidence, ...]
    model_evidence: tuple[ColourEvidence, ...]
    rules: tuple[RuleEvidence, ...]
    notes: tuple[str, ...]
