"""Evaluate: measure a stored model on the test block of today's data, or a flat table by folds of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from churnrisk.decision import TrafficLight
from churnrisk.errors import UsageError
from churnrisk.model import Blocks, ChurnClassifier, Evaluation, RecencyRule, evaluate
from churnrisk.records import ColourEvidence
from churnrisk.tracking import CHAMPION, LoadedModel
from churnrisk.workflows.panel import Progress, TrainingPanel, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import (
    RECENCY,
    colours_on_test,
    cut_blocks,
    measure,
    model_columns,
    tracking_of,
)


@dataclass(frozen=True)
class EvaluationReport:
    """Figures of one model on one block, and what happened to its colours there.

    ``model`` says which one: "version 3", or "5 folds by account".
    """

    model: str
    block: str
    evaluation: Evaluation
    evidence: tuple[ColourEvidence, ...]
    model_evidence: tuple[ColourEvidence, ...]


def evaluate_model(project: Project, *, version: str, now: datetime, progress: Progress) -> EvaluationReport:
    """Measure a stored version on the test block, beside the base rate, the recency rule and the champion.

    Raises
    ------
    NoChampionError
        If there is no such model.
    ContractError
        If the data do not hold a test block.
    """
    tracking = tracking_of(project)
    progress("loading the model")
    model = tracking.load(version)
    champion = None if version == CHAMPION else _champion(project)
    panel = training_panel(project, now=now, progress=progress)
    cut = cut_blocks(panel.X, project)
    require_columns(model, panel)
    progress("measuring on the test block")
    columns = model_columns(model)
    X = panel.X[columns]
    light = TrafficLight.from_dict(model.policy["light"])
    final, own, _ = colours_on_test(model.classifier, light, X[cut.test], panel.y[cut.test], project)
    return EvaluationReport(
        f"version {model.version}",
        _block_name(panel, cut),
        measure(model.classifier, X, panel.y, cut, project, champion=champion),
        final,
        own,
    )


def evaluate_folds(project: Project, *, folds: int, now: datetime, progress: Progress) -> EvaluationReport:
    """Train and test in folds of accounts: the usual figure for a flat table with one snapshot.

    Each account is scored once, by a model that has seen neither it nor its fold.

    Raises
    ------
    UsageError
        If the project is split by time, where folds of accounts would flatter.
    """
    if project.model.split != "accounts":
        raise UsageError(
            '--folds is for flat tables ([model] split = "accounts"); this project is split by time, where folds '
            "of accounts would let the future in. Run `churnrisk evaluate` without --folds."
        )
    panel = training_panel(project, now=now, progress=progress)
    accounts = panel.X.index.get_level_values("account_id")
    p, recency = np.zeros(len(panel.X)), np.zeros(len(panel.X))
    with_recency = RecencyRule.applies_to(panel.X)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=project.model.seed)
    for number, (learn, test) in enumerate(splitter.split(panel.X, panel.y, accounts), start=1):
        progress(f"fold {number} of {folds}")
        classifier = ChurnClassifier(
            candidates=project.model.candidates,
            monotone={feature.name: feature.monotone for feature in panel.features if feature.monotone},
            random_state=project.model.seed,
        )
        classifier.fit(panel.X.iloc[learn], panel.y.iloc[learn])
        p[test] = classifier.predict_proba(panel.X.iloc[test])[:, 1]
        if with_recency:
            rule = RecencyRule().fit(panel.X.iloc[learn], panel.y.iloc[learn])
            recency[test] = rule.predict_proba(panel.X.iloc[test])[:, 1]
    evaluation = evaluate(
        panel.y,
        p,
        accounts,
        baselines={RECENCY: recency} if with_recency else None,
        capacity=project.decision.capacity,
        seed=project.model.seed,
    )
    return EvaluationReport(f"{folds} folds by account", f"{len(p):,} accounts", evaluation, (), ())


def require_columns(model: LoadedModel, panel: TrainingPanel) -> None:
    """Refuse a model that reads columns which today's tables do not feed.

    Raises
    ------
    UsageError
        Names the missing features.
    """
    missing = sorted(set(model_columns(model)) - set(panel.X.columns))
    if missing:
        raise UsageError(
            f"model version {model.version} reads {', '.join(missing)}, which today's tables and settings do not "
            "feed. Bring the tables back, or train anew with `churnrisk train`."
        )


def _champion(project: Project) -> LoadedModel | None:
    tracking = tracking_of(project)
    if not any(CHAMPION in item.aliases for item in tracking.versions()):
        return None
    return tracking.load(CHAMPION)


def _block_name(panel: TrainingPanel, cut: Blocks) -> str:
    dates = panel.X[cut.test].index.get_level_values("as_of")
    return f"{int(cut.test.sum()):,} rows, as of {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"
