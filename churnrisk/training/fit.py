"""Train: fit a model with its lights and its time to churn, measure it on the test block, register it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from churnrisk.errors import ModelInputError, TooYoungError
from churnrisk.features import annual_value
from churnrisk.lights import (
    DEFAULT_RULES,
    LightVerdict,
    Rule,
    RuleEvidence,
    TrafficLight,
    apply_rules,
    colour_evidence,
    efficiency,
    light_verdict,
    mark_wave,
    rule_evidence,
    segments_of,
)
from churnrisk.model import (
    ChurnClassifier,
    ChurnHazard,
    Evaluation,
    ReasonProfile,
    RecencyRule,
    evaluate,
    mean_days_of,
    median_days_of,
)
from churnrisk.records import Colour, ColourEvidence, Feature
from churnrisk.settings import Project
from churnrisk.snapshots import ChurnConfig, Horizon, churn_dates, known_by, training_dates
from churnrisk.tracking import CHAMPION, LoadedModel, ModelVersionInfo
from churnrisk.training.checked import CheckedTables, Progress, checked_tables
from churnrisk.training.panel import CutPanel, choose_kinds, training_panel
from churnrisk.training.record import Trained, training_record, unfed_columns, within
from churnrisk.training.registered import champion_of, tracking_of

RECENCY = "recency rule"
# A rule that costs less efficiency is not named: so much is chance in a block of a few thousand rows.
_COSTLY = 0.02
# From this base rate on, another horizon separates more than another threshold.
_NEARLY_ALL = 0.70
#: Days within which a history becomes long enough for a model, or never does by the settings.
_LONGEST_WAIT = 2000
#: Signals that move with the calendar, in days per day.
AGEING = {"tenure_days": 1, "term_age_days": 1, "days_to_renewal": -1}
#: The columns of :func:`outlook`; the store leaves out the loss, which follows from the others.
OUTLOOK = (
    "lost_by_renewal",
    "loss_by_renewal",
    "lost_by_end",
    "half_lost_days",
    "expected_days",
    "outlook_days",
)


@dataclass(frozen=True)
class Training(Trained):
    """A trained model, everything that was measured about it, and its version in the registry."""

    info: ModelVersionInfo

    @property
    def version(self) -> int:
        """The number of the version."""
        return self.info.version


def train(project: Project, *, now: datetime, progress: Progress) -> Training:
    """Train a model on every mature snapshot and register it as the candidate."""
    tracking = tracking_of(project)
    champion = champion_of(tracking)
    try:
        data = CutPanel.of(project, training_panel(project, now=now, progress=progress))
        trained = _fit(data, champion=champion, progress=progress)
    except (TooYoungError, ModelInputError) as error:
        if champion is not None:
            raise
        with checked_tables(project, now=now, progress=progress) as checked:
            when = until_a_model(project, checked)
        raise TooYoungError(
            f"{error}\n{when}. Until then `churnrisk score --rules-only` (in Python: score(rules_only=True)) lists by "
            "the rules alone."
        ) from error
    progress("recording the run")
    measured = champion if CHAMPION in trained.evaluation.figures else None
    record = training_record(trained, data, champion=measured, now=now)
    return Training(**vars(trained), info=tracking.log_training(record))


def until_a_model(project: Project, checked: CheckedTables) -> str:
    """Return in one sentence from when on a model will be possible, and what it waits for."""
    enough = "; the history may be long enough for one: run `churnrisk train`"
    return f"no model yet{what_a_model_awaits(project, checked) or enough}"


def what_a_model_awaits(project: Project, checked: CheckedTables) -> str:
    """Return from when on a model will be possible, and what it waits for; empty if that may be now."""
    churn, span, needed = project.churn, checked.span, ChurnClassifier().min_class_count
    known = len(churn_dates(checked.tables, churn, data_end=span.end))
    waits = f"it needs at least {needed} churned accounts ({known} known now)"
    enough = span.end
    if churn.definition != "labels":
        waits += f" and known outcomes of two dates {churn.outcome_delay.days} days apart"
        enough = _first_split(span, project) or datetime.max
    if known >= needed and enough == span.end:
        return ""
    # more accounts leave at the rate of those so far
    more = (span.end - span.start).days * max(needed - known, 0) / max(known, 1)
    expected = max(enough, span.end + timedelta(days=ceil(more)))
    when = ""
    if known and enough < datetime.max:
        soon = expected < span.end + timedelta(days=_LONGEST_WAIT)
        when = (
            f"; one will be possible from about {expected:%Y-%m-%d} on" if soon else ", nor soon at this rate"
        )
    elif span.end < enough < datetime.max:
        when = f", nor before {enough:%Y-%m-%d}"
    return f"{when}: {waits}"


def _first_split(span: Horizon, project: Project) -> datetime | None:
    """Return when the data will hold a snapshot to learn from and, an outcome later, one to test on; None if never."""
    for days in range(_LONGEST_WAIT):
        longer = Horizon(span.start, span.end + timedelta(days=days))
        try:
            dates = training_dates(longer, project.snapshots, project.churn)
        except TooYoungError:
            continue
        if project.model.split == "accounts" or dates[-1] - dates[0] >= project.churn.outcome_delay:
            return longer.end
    return None


def _fit(data: CutPanel, *, champion: LoadedModel | None, progress: Progress) -> Trained:
    """Learn from the first two blocks, calibrate and certify on the second, measure on the third."""
    panel, cut = data.panel, data.cut
    classifier, light = learn(data, progress=progress)
    classifier.hazard_, hazard_notes = _learn_hazard(data)
    progress("measuring on the test block")
    X, y = panel.X[data.known], panel.y[data.known]
    profile = ReasonProfile.fit(X, y, panel.features, groups=choose_kinds(X, panel.segments))
    evaluation = measure(classifier, data, champion=champion)
    return Trained(
        classifier,
        light,
        profile,
        panel.features,
        evaluation,
        *colours_on_test(classifier, light, data, evaluation),
        notes=(
            *(one.text for one in panel.suspects),
            *cut.notes,
            *classifier.notes_,
            *light.notes_,
            *hazard_notes,
            *_unmeasured(champion, X),
        ),
    )


def _notes_on_suspects(data: CutPanel) -> list[str]:
    """Say which signals look like leaks, and which rules no longer apply without them."""
    suspects = data.panel.suspects
    left_out = {one.feature for one in suspects if one.left_out}
    idle = [
        f"the rule '{rule.name}' never applies, as it reads {', '.join(sorted(left_out & set(rule.requires)))}"
        for rule in data.project.decision.active_rules()
        if left_out & set(rule.requires)
    ]
    return [*(one.text for one in suspects), *idle]


def learn(data: CutPanel, *, progress: Progress) -> tuple[ChurnClassifier, TrafficLight]:
    """Choose a model on the first block and fit it on both; calibrate and set its lights on the second.

    Predictions for the second block are out of fold, so they calibrate the model and certify the colours.
    """
    project, cut, X, y = data.project, data.cut, data.panel.X, data.panel.y
    progress(f"comparing {len(project.model.candidates)} candidates on {int(cut.fit.sum()):,} rows")
    classifier = unfitted(project, data.panel.features)
    crossed = classifier.fit_and_calibrate(X[data.known], y[data.known], cut.calibration[data.known])
    progress("setting the colours")
    calibrating, dates = X[cut.calibration], data.panel.dates
    # Certified on the raw scores: calibration keeps their order, so one block serves both.
    light = TrafficLight(**project.decision.light_settings()).fit(
        expit(crossed),
        y[cut.calibration].to_numpy(),
        annual_value(calibrating),
        data.panel.groups[cut.calibration],
        blocks=dates[cut.calibration],
        segments=segments_of(calibrating, project.decision.segment_by),
        share=len(calibrating) / int(dates.isin(dates[cut.calibration].unique()).sum()),
        calibrate=lambda p: expit(classifier.calibrator_.apply(logit(p))),
    )
    if "tenure_days" in X:
        light.watch_newcomers(X["tenure_days"][~cut.test], dates[~cut.test])
    return classifier, light


def unfitted(project: Project, features: Sequence[Feature]) -> ChurnClassifier:
    """Return an unfitted classifier by ``[model]``, with the directions of the features as constraints."""
    return ChurnClassifier(candidates=project.model.candidates, **_constraints(project, features))


def _constraints(project: Project, features: Sequence[Feature]) -> dict[str, Any]:
    return {
        "monotone": {feature.name: feature.monotone for feature in features if feature.monotone},
        "embargo_days": project.churn.outcome_delay.days,
        "random_state": project.model.seed,
    }


def measure(classifier: Any, data: CutPanel, *, champion: LoadedModel | None) -> Evaluation:
    """Measure a model on the test block beside the base rate, the recency rule and the champion."""
    X, y = data.panel.X, data.panel.y
    test = X[data.cut.test]
    baselines: dict[str, Any] = {}
    recency = recency_scores(data)
    if recency is not None:
        baselines[RECENCY] = recency
    if champion is not None and not unfed_columns(champion, X):
        baselines[CHAMPION] = champion.probability(test)
    p = classifier.predict_proba(test)[:, 1]
    return evaluated(y[data.cut.test], p, data.project, baselines=baselines)


def recency_scores(data: CutPanel) -> npt.NDArray[np.float64] | None:
    """Return the recency rule's scores of the test block; None without events."""
    X = data.panel.X[data.known]
    if not RecencyRule.applies_to(X):
        return None
    rule = RecencyRule().fit(X, data.panel.y[data.known])
    return np.asarray(rule.predict_proba(data.panel.X[data.cut.test])[:, 1], dtype=float)


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
    classifier: Any, light: TrafficLight, data: CutPanel, evaluation: Evaluation
) -> tuple[tuple[ColourEvidence, ...], tuple[ColourEvidence, ...], tuple[RuleEvidence, ...], LightVerdict]:
    """Return the evidence for the final colours, for the model's own and for each rule, and the verdict."""
    X, y, rules = (
        data.panel.X[data.cut.test],
        data.panel.y[data.cut.test],
        data.project.decision.active_rules(),
    )
    segments, p = segments_of(X, data.project.decision.segment_by), classifier.predict_proba(X)[:, 1]
    model_colours = light.predict(p, annual_value(X), segments)
    X = mark_wave(X, light.newcomers_, np.ones(len(X), dtype=bool))
    final = apply_rules(X, model_colours, rules)["colour"]
    accounts = X.index.get_level_values("account_id")
    evidence = colour_evidence(final, y, accounts, light.promises_)
    own = colour_evidence(model_colours, y, accounts, light.promises_)
    by_rule = rule_evidence(X, y, accounts, model_colours, rules, p)
    verdict = light_verdict(
        evidence,
        auc=evaluation.figures["model"]["auc"],
        efficiency=efficiency(final, p, y),
        model_efficiency=efficiency(model_colours, p, y),
        advice=(
            *_advice_on_model(evaluation, data.project.churn),
            *_advice_on_empty(evidence, own, light.notes_),
            *_advice_on_rules(by_rule, rules),
        ),
    )
    return evidence, own, by_rule, verdict


def _advice_on_model(evaluation: Evaluation, churn: ChurnConfig) -> list[str]:
    """Return what the model lacks for any light to help."""
    auc, recency = evaluation.figures["model"]["auc"], evaluation.differences.get(RECENCY, {}).get("auc")
    interval = f"AUC {auc.value:.3f}, 95 % interval {auc.low:.3f} to {auc.high:.3f}"
    if not auc.low > 0.5:
        return [
            f"the model tells churners from others no better than chance ({interval}): add tables or history"
        ]
    advice = []
    if evaluation.base_rate >= _NEARLY_ALL:
        windows = "horizon_days or lookback_days" if churn.definition == "inactivity" else "horizon_days"
        advice.append(
            f"{evaluation.base_rate:.0%} of all rows churn {within(churn)}: try other {windows} under [churn], or "
            'policy = "capacity" under [decision]'
        )
    if recency is not None and not recency.low > 0:
        advice.append(
            "the model is no better than the days since the last event alone: add tables or history"
        )
    return advice


def _advice_on_empty(
    evidence: Sequence[ColourEvidence], own: Sequence[ColourEvidence], notes: Sequence[str]
) -> list[str]:
    """Return why green or red is empty: the light says so itself, or the rules leave none."""
    before = {row.colour: row.rows for row in own}
    advice: list[str] = []
    for row in evidence:
        if row.rows or row.colour not in (Colour.GREEN, Colour.RED):
            continue
        if before[row.colour]:
            advice.append(f"{row.colour} is empty: the rules leave none of the model's")
            continue
        said = [note for note in notes if f"{row.colour} is empty" in note]
        advice += said or [f"{row.colour} is empty on the test block"]
    return advice


def _advice_on_rules(found: Sequence[RuleEvidence], rules: Sequence[Rule]) -> list[str]:
    """Return the rules that cost efficiency, the costliest first, with how to switch each off."""
    by_name = {rule.name: rule for rule in rules}
    costly = [one for one in found if one.misplaced and one.efficiency_change <= -_COSTLY]
    return [
        f"the rule '{one.rule}' lowers the efficiency by {-one.efficiency_change:.2f}: of the {one.moved:,} accounts "
        f"whose colour it worsens {one.moved_churned:,} churned. {_switch_off(by_name[one.rule])}"
        for one in sorted(costly, key=lambda one: one.efficiency_change)
    ]


def _switch_off(rule: Rule) -> str:
    if rule in DEFAULT_RULES:
        return f'rules_off = ["{rule.name}"] under [decision] switches it off'
    return "enabled = false in the rule switches it off"


def _unmeasured(champion: LoadedModel | None, X: pd.DataFrame) -> tuple[str, ...]:
    if champion is None or not (unfed := unfed_columns(champion, X)):
        return ()
    return (
        f"not measured beside the champion, version {champion.version}: it reads {', '.join(unfed)}, which today's "
        "tables and settings do not feed. `churnrisk compare` measures both on features that are left out today",
    )


def _learn_hazard(data: CutPanel) -> tuple[ChurnHazard | None, tuple[str, ...]]:
    """Fit the hazard of the windows after the first, as known before the test block; None, with a note, if not."""
    panel, project = data.panel, data.project
    if panel.follow_up is None:
        return None, ()
    as_of, rows = panel.dates, ~data.cut.test
    first_test = as_of[data.cut.test].min()
    # in a split by account the blocks share their dates
    end = first_test if first_test > as_of[rows].max() else panel.span.end
    known = known_by(panel.follow_up[rows], project.churn, end=end)
    hazard = ChurnHazard(
        period_days=project.churn.horizon_days,
        max_periods=max(1, int(known["windows"].max())),
        ageing=AGEING,
        **_constraints(project, panel.features),
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
    """Return :data:`OUTLOOK`, when accounts are likely to be lost, aligned with X; None without a hazard.

    The first window is the churn probability itself, so that curve and score never disagree; the hazard covers the
    windows after it. ``lost_by_renewal`` counts to the end of the window of the next renewal, ``loss_by_renewal`` is
    that times the value a year; ``half_lost_days`` is when half of such accounts are gone. Missing: beyond the end.
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
