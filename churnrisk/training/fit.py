"""Train: panel, blocks, candidates, calibration, lights, time to churn, evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from churnrisk.errors import ChurnRiskError, ModelInputError, NoChampionError, UsageError
from churnrisk.features import annual_value, select_features
from churnrisk.lights import (
    RuleEvidence,
    TrafficLight,
    apply_rules,
    colour_evidence,
    mark_wave,
    rule_evidence,
    segments_of,
)
from churnrisk.model import (
    Blocks,
    ChurnClassifier,
    ChurnHazard,
    Evaluation,
    ReasonProfile,
    RecencyRule,
    account_blocks,
    blocks,
    evaluate,
    mean_days_of,
    median_days_of,
)
from churnrisk.records import ColourEvidence, Feature, Run
from churnrisk.settings import Project
from churnrisk.snapshots import ChurnConfig, known_by
from churnrisk.sources import Tables
from churnrisk.tracking import CHAMPION, LoadedModel, Models, ModelVersionInfo, Tracking
from churnrisk.training.panel import Progress, TrainingPanel, choose_kinds, training_panel
from churnrisk.training.record import Trained, training_record


def model_before(
    before: Run | None, model: LoadedModel, models: Models, project: Project, tables: Tables
) -> tuple[LoadedModel | None, tuple[Feature, ...]]:
    """Return the model of the previous run with its features; None if it is today's or cannot be used."""
    if before is None or before.model_version == str(model.version):
        return None, ()
    try:
        found = models.load(before.model_version)
        return found, features_of(found, project, tables)
    except ChurnRiskError:
        # it only serves to tell a new model from late data; without it both count as late data
        return None, ()


def log_odds_of(model: LoadedModel | None, X: pd.DataFrame) -> Any:
    """Return a model's log-odds of a snapshot; None without a model or rows."""
    return None if model is None or X.empty else model.classifier.decision_function(X[model.columns])


def features_of(model: LoadedModel, project: Project, tables: Tables) -> tuple[Feature, ...]:
    """Return today's declarations of the model's columns."""
    today = select_features(project.features, tables.available)
    if why := mismatch(model, today):
        raise UsageError(f"model version {model.version} {why}. Train again with `churnrisk train`.")
    by_name = {feature.name: feature for feature in today}
    return tuple(by_name[name] for name in model.columns)


def mismatch(model: LoadedModel, today: Sequence[Feature]) -> str:
    """Return why today's features do not fit the model: what is missing or redefined; empty if all is well."""
    sql = {feature.name: feature.sql for feature in today}
    changed = sorted(one.name for one in model.features if sql.get(one.name, one.sql) != one.sql)
    redefined = f"was trained on other definitions of {', '.join(changed)}" if changed else ""
    return " and ".join(filter(None, (_unfed_text(unfed_columns(model, sql)), redefined)))


def unfed_columns(model: LoadedModel, names: Sequence[str] | pd.Index | dict[str, str]) -> list[str]:
    """Return the columns that the model reads and that are not among the names."""
    return sorted(set(model.columns) - set(names))


def require_columns(model: LoadedModel, X: pd.DataFrame) -> None:
    """Refuse a model that reads columns which today's panel lacks."""
    if missing := unfed_columns(model, X.columns):
        raise UsageError(
            f"model version {model.version} {_unfed_text(missing)}. "
            "Bring the tables back, or train again with `churnrisk train`."
        )


def _unfed_text(missing: Sequence[str]) -> str:
    return f"reads {', '.join(missing)}, which today's tables and settings do not feed" if missing else ""


#: Signals that move with the calendar, in days per day.
AGEING = {"tenure_days": 1, "term_age_days": 1, "days_to_renewal": -1}

#: The columns of :func:`outlook`; the store does not hold them.
OUTLOOK = (
    "lost_by_renewal",
    "loss_by_renewal",
    "lost_by_end",
    "half_lost_days",
    "expected_days",
    "outlook_days",
)


def learn_hazard(
    panel: TrainingPanel, cut: Blocks, project: Project
) -> tuple[ChurnHazard | None, tuple[str, ...]]:
    """Fit the hazard of the windows after the first on all rows before the test block, as far as known by then.

    The hazard is None, with a note, if the data cover no later windows or too few losses.
    """
    if panel.follow_up is None:
        return None, ()
    as_of, rows = panel.dates, ~cut.test
    first_test = as_of[cut.test].min()
    # in a split by account the blocks share their dates
    end = first_test if first_test > as_of[rows].max() else panel.span.end
    known = known_by(panel.follow_up[rows], project.churn, end=end)
    hazard = ChurnHazard(
        period_days=project.churn.horizon_days,
        max_periods=max(1, int(known["windows"].max())),
        ageing=AGEING,
        monotone={feature.name: feature.monotone for feature in panel.features if feature.monotone},
        embargo_days=project.churn.outcome_delay.days,
        random_state=project.model.seed,
    )
    try:
        return hazard.fit(panel.X[rows], known["windows"] * hazard.period_days, known["churned"]), ()
    except ModelInputError as error:
        return None, (f"no time to churn: {error}",)


def outlook(
    classifier: Any,
    X: pd.DataFrame,
    *,
    churn: ChurnConfig,
    as_of: datetime,
    renewal_at: npt.ArrayLike,
    annual_value: npt.ArrayLike,
) -> pd.DataFrame | None:
    """Return when accounts are likely to be lost, aligned with X; None if the model has no time to churn.

    The first window is the churn probability itself, so that curve and score never disagree; the hazard covers the
    windows after it. ``lost_by_renewal`` is the probability of being lost by the end of the window of the next renewal
    (missing beyond ``outlook_days``), ``loss_by_renewal`` that times the value a year, ``lost_by_end`` the probability
    within ``outlook_days``, ``half_lost_days`` when half of such accounts are gone (missing if later than
    ``outlook_days``), ``expected_days`` the expected stay out of the next ``outlook_days``.
    """
    hazard = getattr(classifier, "hazard_", None)
    if hazard is None:
        return None
    first = classifier.predict_proba(X)[:, 1]
    curves = hazard.curves(X, first=first)
    beyond = np.full(len(X), np.nan)
    left = (pd.to_datetime(pd.Series(renewal_at)) - pd.Timestamp(as_of)) / pd.Timedelta(days=1)
    # a contract that is not renewed ends on its date, so the window of the renewal counts whole
    window = np.maximum((left.to_numpy() - churn.gap_days) // hazard.period_days + 1, 1)
    place = np.where(left >= 0, np.minimum(window, hazard.n_periods_ + 1), hazard.n_periods_ + 1)
    lost = 1.0 - np.column_stack([curves, beyond])[np.arange(len(X)), place.astype(np.int64)]
    return pd.DataFrame(
        {
            "lost_by_renewal": lost,
            "loss_by_renewal": lost * np.asarray(annual_value, dtype=np.float64),
            "lost_by_end": 1.0 - curves[:, -1],
            "half_lost_days": median_days_of(curves, hazard.period_days) + churn.gap_days,
            "expected_days": mean_days_of(curves, hazard.period_days) + churn.gap_days,
            "outlook_days": hazard.limit_days_ + churn.gap_days,
        },
        index=X.index,
    )


def add_outlook(
    scores: pd.DataFrame, classifier: Any, X: pd.DataFrame, *, churn: ChurnConfig, as_of: datetime
) -> None:
    """Add the columns of :func:`outlook` to scores; missing where an account has no score."""
    renewal_at, value = scores["renewal_at"], scores["annual_value"]
    found = outlook(classifier, X, churn=churn, as_of=as_of, renewal_at=renewal_at, annual_value=value)
    if found is not None:
        scores[list(OUTLOOK)] = found.set_axis(scores.index).where(scores["probability"].notna())


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
