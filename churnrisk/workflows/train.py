"""Train: panel, blocks, candidates, calibration, lights, evaluation, and the run in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from churnrisk.decision import (
    RuleEvidence,
    TrafficLight,
    apply_rules,
    colour_evidence,
    mark_wave,
    rule_evidence,
    segments_of,
)
from churnrisk.errors import NoChampionError
from churnrisk.features.facts import annual_value
from churnrisk.model import (
    Blocks,
    ChurnClassifier,
    Evaluation,
    ReasonProfile,
    RecencyRule,
    account_blocks,
    blocks,
    evaluate,
)
from churnrisk.records import ColourEvidence, Feature
from churnrisk.tracking import CHAMPION, LoadedModel, ModelVersionInfo, Tracking
from churnrisk.workflows.inputs import unfed_columns
from churnrisk.workflows.panel import Progress, TrainingPanel, training_panel
from churnrisk.workflows.peers import choose_kinds
from churnrisk.workflows.project import Project
from churnrisk.workflows.time_to_churn import learn_hazard
from churnrisk.workflows.training_record import Trained, training_record

RECENCY = "recency rule"


@dataclass(frozen=True)
class Training(Trained):
    """A trained model, everything that was measured about it, and its version in the registry."""

    info: ModelVersionInfo

    @property
    def version(self) -> int:
        """The number of the version."""
        return self.info.version


def tracking_of(project: Project) -> Tracking:
    """Return the registry of a project."""
    return Tracking(project.tracking_uri, project.directory, project.experiment)


def train(project: Project, *, now: datetime, progress: Progress) -> Training:
    """Train a model on every mature snapshot and register it as the candidate."""
    panel = training_panel(project, now=now, progress=progress)
    cut = cut_blocks(panel.X, project)
    tracking = tracking_of(project)
    champion = champion_of(tracking)
    trained = _fit(panel, cut, project, champion=champion, progress=progress)
    progress("recording the run")
    beside = champion if CHAMPION in trained.evaluation.figures else None
    record = training_record(trained, panel, cut, project, champion=beside, now=now)
    return Training(**vars(trained), info=tracking.log_training(record))


def cut_blocks(X: pd.DataFrame, project: Project) -> Blocks:
    """Cut a panel into fit, calibration and test rows as ``[model]`` says."""
    if project.model.split == "accounts":
        return account_blocks(X.index.get_level_values("account_id"), seed=project.model.seed)
    return blocks(
        X.index.get_level_values("as_of"),
        embargo_days=project.churn.outcome_delay.days,
        test_snapshots=project.model.test_snapshots,
        calibration_snapshots=project.model.calibration_snapshots,
        account_id=X.index.get_level_values("account_id"),
        seed=project.model.seed,
    )


def _fit(
    panel: TrainingPanel,
    cut: Blocks,
    project: Project,
    *,
    champion: LoadedModel | None,
    progress: Progress,
) -> Trained:
    """Learn from the first two blocks, calibrate and certify on the second, measure on the third."""
    X, y = panel.X, panel.y
    classifier, light = learn(panel, cut, project, progress=progress)
    classifier.hazard_, hazard_notes = learn_hazard(panel, cut, project)
    progress("measuring on the test block")
    known = cut.fit | cut.calibration
    kinds = choose_kinds(X[known], panel.segments)
    profile = ReasonProfile.fit(X[known], y[known], panel.features, groups=kinds)
    evaluation = measure(classifier, X, y, cut, project, champion=champion)
    return Trained(
        classifier,
        light,
        profile,
        panel.features,
        evaluation,
        *colours_on_test(classifier, light, X[cut.test], y[cut.test], project),
        notes=(*cut.notes, *classifier.notes_, *light.notes_, *hazard_notes, *_not_beside(champion, X)),
    )


def learn(
    panel: TrainingPanel, cut: Blocks, project: Project, *, progress: Progress
) -> tuple[ChurnClassifier, TrafficLight]:
    """Choose a model on the first block and fit it on both; calibrate and set its lights on the second.

    Each of the averaged models leaves out a share of the second block's accounts. Its predictions for them are out of
    fold: they calibrate the model and certify the colours.
    """
    X, y = panel.X, panel.y
    progress(f"comparing {len(project.model.candidates)} candidates on {int(cut.fit.sum()):,} rows")
    classifier = unfitted(project, panel.features)
    known = cut.fit | cut.calibration
    crossed = classifier.fit_and_calibrate(X[known], y[known], cut.calibration[known])
    progress("setting the colours")
    calibrating, outcomes = X[cut.calibration], y[cut.calibration]
    dates = calibrating.index.get_level_values("as_of")
    # Certified on the raw scores: calibration keeps their order, so one block serves both.
    light = TrafficLight(**project.decision.light_settings()).fit(
        expit(crossed),
        outcomes.to_numpy(),
        annual_value(calibrating),
        calibrating.index.get_level_values("account_id"),
        blocks=dates,
        segments=segments_of(calibrating, project.decision.segment_by),
        share=len(calibrating) / int(X.index.get_level_values("as_of").isin(dates.unique()).sum()),
        calibrate=lambda p: expit(classifier.calibrator_.apply(logit(p))),
    )
    seen = X[~cut.test]
    if "tenure_days" in seen:
        light.watch_newcomers(seen["tenure_days"], seen.index.get_level_values("as_of"))
    return classifier, light


def unfitted(project: Project, features: Sequence[Feature]) -> ChurnClassifier:
    """Return an unfitted classifier by ``[model]``, with the directions of the features as constraints."""
    return ChurnClassifier(
        candidates=project.model.candidates,
        monotone={feature.name: feature.monotone for feature in features if feature.monotone},
        embargo_days=project.churn.outcome_delay.days,
        random_state=project.model.seed,
    )


def measure(
    classifier: Any,
    X: pd.DataFrame,
    y: pd.Series,
    cut: Blocks,
    project: Project,
    *,
    champion: LoadedModel | None,
) -> Evaluation:
    """Measure a model on the test block beside the base rate, the recency rule and the champion."""
    test = X[cut.test]
    baselines: dict[str, Any] = {}
    known = cut.fit | cut.calibration
    if RecencyRule.applies_to(X[known]):
        baselines[RECENCY] = RecencyRule().fit(X[known], y[known]).predict_proba(test)[:, 1]
    if champion is not None and not unfed_columns(champion, X.columns):
        baselines[CHAMPION] = champion.probability(test)
    return evaluated(y[cut.test], classifier.predict_proba(test)[:, 1], project, baselines=baselines)


def evaluated(y: pd.Series, p: Any, project: Project, *, baselines: dict[str, Any]) -> Evaluation:
    """Evaluate probabilities of rows indexed by (account_id, as_of) beside others, by the capacity and seed."""
    return evaluate(
        y,
        p,
        y.index.get_level_values("account_id"),
        baselines=baselines,
        capacity=project.decision.capacity * y.index.get_level_values("as_of").nunique(),
        seed=project.model.seed,
    )


def colours_on_test(
    classifier: Any, light: TrafficLight, X: pd.DataFrame, y: pd.Series, project: Project
) -> tuple[tuple[ColourEvidence, ...], tuple[ColourEvidence, ...], tuple[RuleEvidence, ...]]:
    """Return the evidence for the final colours, for the model's own, and for each rule."""
    rules = project.decision.active_rules()
    segments = segments_of(X, project.decision.segment_by)
    model_colours = light.predict(classifier.predict_proba(X)[:, 1], annual_value(X), segments)
    X = mark_wave(X, light.newcomers_, np.ones(len(X), dtype=bool))
    final = apply_rules(X, model_colours, rules)["colour"]
    accounts = X.index.get_level_values("account_id")
    promises = light.promises_
    return (
        colour_evidence(final, y, accounts, promises),
        colour_evidence(model_colours, y, accounts, promises),
        rule_evidence(X, y, accounts, model_colours, rules),
    )


def model_columns(model: LoadedModel) -> list[str]:
    """Return the names of the columns that a stored model reads."""
    return model.columns


def champion_of(tracking: Tracking) -> LoadedModel | None:
    """Return the champion; None before the first promotion."""
    try:
        return tracking.load(CHAMPION)
    except NoChampionError:
        return None


def _not_beside(champion: LoadedModel | None, X: pd.DataFrame) -> tuple[str, ...]:
    if champion is None or not (unfed := unfed_columns(champion, X.columns)):
        return ()
    return (
        f"not measured beside the champion, version {champion.version}: it reads {', '.join(unfed)}, which today's "
        "tables and settings do not feed. `churnrisk compare` measures both on features that are left out today",
    )
