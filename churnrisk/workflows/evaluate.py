"""Evaluate: measure a stored model on the test block of today's data, or a flat table by folds of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from churnrisk.errors import UsageError
from churnrisk.model import Evaluation, RecencyRule, evaluate
from churnrisk.records import ColourEvidence
from churnrisk.tracking import CHAMPION
from churnrisk.workflows.inputs import require_columns
from churnrisk.workflows.panel import Progress, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import (
    RECENCY,
    champion_of,
    colours_on_test,
    cut_blocks,
    measure,
    tracking_of,
    unfitted,
)


@dataclass(frozen=True)
class EvaluationReport:
    """Metrics of one model ("version 3", "5 folds by account") on one block, and what happened to its colours."""

    model: str
    block: str
    evaluation: Evaluation
    evidence: tuple[ColourEvidence, ...]
    model_evidence: tuple[ColourEvidence, ...]


def evaluate_model(project: Project, *, version: str, now: datetime, progress: Progress) -> EvaluationReport:
    """Measure a stored version on the test block, beside the base rate, the recency rule and the champion."""
    tracking = tracking_of(project)
    progress("loading the model")
    model = tracking.load(version)
    champion = None if version == CHAMPION else champion_of(tracking)
    panel = training_panel(project, now=now, progress=progress)
    cut = cut_blocks(panel.X, project)
    require_columns(model, panel.X)
    progress("measuring on the test block")
    X, test = panel.X[model.columns], cut.test
    final, own, _ = colours_on_test(model.classifier, model.thresholds, X[test], panel.y[test], project)
    dates = X.index.get_level_values("as_of")[test]
    return EvaluationReport(
        f"version {model.version}",
        f"{int(test.sum()):,} rows, as of {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}",
        measure(model.classifier, X, panel.y, cut, project, champion=champion),
        final,
        own,
    )


def evaluate_folds(project: Project, *, folds: int, now: datetime, progress: Progress) -> EvaluationReport:
    """Cross-validate in folds of accounts, for a flat table with one snapshot; each account is scored once."""
    if project.model.split != "accounts":
        raise UsageError(
            '--folds is for flat tables ([model] split = "accounts"); this project is split by time, where folds '
            "of accounts would let the future in. Run `churnrisk evaluate` without --folds."
        )
    panel = training_panel(project, now=now, progress=progress)
    X, y = panel.X, panel.y
    p, recency = np.zeros(len(X)), np.zeros(len(X))
    with_recency = RecencyRule.applies_to(X)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=project.model.seed)
    for number, (learn, test) in enumerate(splitter.split(X, y, panel.groups), start=1):
        progress(f"fold {number} of {folds}")
        classifier = unfitted(project, panel.features).fit(X.iloc[learn], y.iloc[learn])
        p[test] = classifier.predict_proba(X.iloc[test])[:, 1]
        if with_recency:
            rule = RecencyRule().fit(X.iloc[learn], y.iloc[learn])
            recency[test] = rule.predict_proba(X.iloc[test])[:, 1]
    evaluation = evaluate(
        y,
        p,
        panel.groups,
        baselines={RECENCY: recency} if with_recency else None,
        capacity=project.decision.capacity,
        seed=project.model.seed,
    )
    return EvaluationReport(f"{folds} folds by account", f"{len(p):,} accounts", evaluation, (), ())
