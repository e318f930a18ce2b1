"""What of a training is written down: parameters, figures, plots, documents, and what it takes to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version as installed

import numpy as np
import pandas as pd

from churnrisk.decision import policy_version
from churnrisk.model import Blocks, ChurnClassifier, Evaluation
from churnrisk.records import Feature
from churnrisk.tracking import DatasetRecord, LoadedModel, TrainingRecord
from churnrisk.tracking.trials import TrialRecord
from churnrisk.workflows import kept_settings
from churnrisk.workflows.figures import training_figures
from churnrisk.workflows.model_card import model_card
from churnrisk.workflows.panel import TrainingPanel
from churnrisk.workflows.probe import probe_of
from churnrisk.workflows.project import Project
from churnrisk.workflows.trained import Trained

#: Tag of a version: which champion its evaluation measured it against.
COMPARED_WITH = "compared_with"


def training_record(
    trained: Trained,
    panel: TrainingPanel,
    cut: Blocks,
    project: Project,
    *,
    champion: LoadedModel | None,
    now: datetime,
) -> TrainingRecord:
    """Return the record of a training.

    Parameters
    ----------
    champion : LoadedModel or None
        The champion that the evaluation has beside the model; None without one.
    now : datetime
        Rows dated later were set aside.
    """
    classifier, light = trained.classifier, trained.light
    rules = project.decision.active_rules()
    version = policy_version(light, rules, project.decision.hysteresis_margin)
    example = panel.X[cut.test].head(5).reset_index(drop=True)
    return TrainingRecord(
        classifier=classifier,
        X_example=example,
        params={
            "candidate": classifier.chosen_,
            "why": classifier.why_chosen_,
            "calibration": classifier.calibration_,
            "features": len(panel.features),
            "split": project.model.split,
            "seed": project.model.seed,
            **{f"churn.{name}": value for name, value in asdict(project.churn).items()},
            "policy": light.policy,
            "amber_from": light.amber_from_,
            "red_from": light.red_from_,
        },
        metrics=flat_metrics(trained.evaluation),
        datasets=datasets_of(panel, cut),
        trials=_trials(classifier),
        figures=training_figures(trained, panel, cut, project),
        texts={"model_card.md": model_card(trained, panel, project)},
        jsons={
            "policy.json": {
                "light": light.to_dict(),
                "rules": [asdict(rule) for rule in rules],
                "policy_version": version,
                "probe": probe_of(classifier, example),
            },
            "profile.json": trained.profile.to_dict(),
            "features.json": [asdict(feature) for feature in panel.features],
            "evaluation.json": trained.evaluation.to_dict(),
            "evidence.json": [asdict(row) for row in trained.evidence],
            "candidates.json": classifier.cv_results_,
            kept_settings.FILE: kept_settings.keep(project, now=now),
        },
        tags={
            "data_digest": panel.digest,
            "catalogue_digest": _catalogue_digest(panel.features),
            "code_version": installed("churnrisk"),
            "seed": str(project.model.seed),
            "policy_version": version,
            "churn_definition": project.churn.definition,
            COMPARED_WITH: "none" if champion is None else str(champion.version),
        },
    )


def flat_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return every figure and its interval under one name: ``auc``, ``auc_low``, ``recency_rule_auc``."""
    metrics: dict[str, float] = {"base_rate": evaluation.base_rate}
    for scorer, figures in evaluation.figures.items():
        prefix = "" if scorer == "model" else scorer.replace(" ", "_") + "_"
        for name, interval in figures.items():
            metrics[f"{prefix}{name}"] = interval.value
            if scorer == "model":
                metrics |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def datasets_of(panel: TrainingPanel, cut: Blocks) -> tuple[DatasetRecord, ...]:
    """Return the blocks with a digest of their rows, outcomes included: the same rows give the same digest."""
    records = []
    for block, mask in (("fit", cut.fit), ("calibration", cut.calibration), ("test", cut.test)):
        rows = panel.X[mask]
        dates = rows.index.get_level_values("as_of")
        hashed = pd.util.hash_pandas_object(rows.assign(churned=panel.y[mask])).to_numpy()
        digest = sha256(hashed.tobytes()).hexdigest()[:16]
        records.append(DatasetRecord(block, dates.min(), dates.max(), int(mask.sum()), digest))  # type: ignore[arg-type]
    return tuple(records)


def _catalogue_digest(features: Sequence[Feature]) -> str:
    return sha256(repr([(feature.name, feature.sql) for feature in features]).encode()).hexdigest()[:16]


def _trials(classifier: ChurnClassifier) -> tuple[TrialRecord, ...]:
    return tuple(
        TrialRecord(
            name=str(trial["candidate"]),
            params={"candidate": trial["candidate"], **trial["setting"]},
            metrics={
                "log_loss": (float(trial["log_loss"]),),
                "fold_log_loss": tuple(float(value) for value in trial["folds"]),
            },
            tags={"folds": classifier.cv_folds_},
        )
        for trial in classifier.cv_results_
    )
