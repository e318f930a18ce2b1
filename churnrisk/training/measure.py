"""Measure models on rows that they have not learned from.

One version on the test block or in folds of accounts (evaluate), two versions side by side (compare), or the colours as
they would have been at every past snapshot (backtest).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from churnrisk.errors import ContractError, UsageError
from churnrisk.features import annual_value
from churnrisk.lights import (
    Promise,
    Stability,
    TrafficLight,
    colour_evidence,
    decide,
    efficiency,
    stability,
)
from churnrisk.model import HIGHER_IS_BETTER, Evaluation, RecencyRule, evaluate, two_classes
from churnrisk.records import Colour, ColourEvidence, Interval
from churnrisk.settings import Project
from churnrisk.tracking import CANDIDATE, CHAMPION, LoadedModel, VersionDetails
from churnrisk.training.checked import Progress
from churnrisk.training.fit import (
    RECENCY,
    colours_on_test,
    evaluated,
    learn,
    measure,
    recency_scores,
    unfitted,
)
from churnrisk.training.panel import CutPanel, TrainingPanel, training_panel
from churnrisk.training.record import (
    LEFT_OUT,
    EvaluationReport,
    mismatch,
    plain,
    plain_dicts,
    require_columns,
    within,
)
from churnrisk.training.registered import champion_of, tracking_of

#: The first version's name among the scorers of a comparison, in which the second is "model".
FIRST = "first"
_TAGS = ("data_digest", "code_version", "seed", "churn_definition", "policy_version")
_THRESHOLDS = ("amber_from", "red_from")
#: Its reasons are exact and it is quick to fit, so the backtest takes it if there is no champion.
_STAND_IN = "additive"
#: Folds of accounts always had this embargo, whatever the windows of the project.
_FOLDS_EMBARGO_DAYS = 30
#: Of a promise at one snapshot; empty without one.
Outcome = Literal["kept", "broken", "unclear", ""]
#: What :class:`ColourAtSnapshot` takes over from the evidence.
_MEASURED = ("colour", "accounts", "share", "recall", "churned", "churn_rate", "churn_low", "churn_high")


def evaluate_model(
    project: Project, *, version: str | None, now: datetime, progress: Progress
) -> EvaluationReport:
    """Measure a stored version on the test block, beside the base rate, the recency rule and the champion.

    Without a version it is the champion, or the candidate before the first promotion.
    """
    tracking = tracking_of(project)
    progress("loading the model")
    champion = None if version == CHAMPION else champion_of(tracking)
    model = champion if version is None and champion else tracking.load(version or CANDIDATE)
    which = "" if version or champion else ", the candidate: nothing is promoted yet"
    champion = None if model is champion else champion
    panel = training_panel(project, now=now, progress=progress, trusted=model.columns)
    require_columns(model, panel.X)
    data = CutPanel.of(project, replace(panel, X=panel.X[model.columns]))
    progress("measuring on the test block")
    evaluation = measure(model.classifier, data, champion=champion)
    dates = panel.dates[data.cut.test]
    return EvaluationReport(
        f"version {model.version}{which}",
        f"{len(dates):,} rows, as of {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}",
        within(project.churn),
        evaluation,
        *colours_on_test(model.classifier, model.thresholds, data, evaluation),
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
    for number, (rest, test) in enumerate(splitter.split(X, y, panel.groups), start=1):
        progress(f"fold {number} of {folds}")
        classifier = unfitted(project, panel.features).set_params(embargo_days=_FOLDS_EMBARGO_DAYS)
        classifier.fit(X.iloc[rest], y.iloc[rest])
        p[test] = classifier.predict_proba(X.iloc[test])[:, 1]
        if with_recency:
            rule = RecencyRule().fit(X.iloc[rest], y.iloc[rest])
            recency[test] = rule.predict_proba(X.iloc[test])[:, 1]
    evaluation = evaluate(
        y,
        p,
        panel.groups,
        baselines={RECENCY: recency} if with_recency else None,
        capacity=project.decision.capacity,
        seed=project.model.seed,
    )
    return EvaluationReport(
        f"{folds} folds by account", f"{len(p):,} accounts", within(project.churn), evaluation
    )


@dataclass(frozen=True)
class Pair:
    """A setting that differs between the two versions; None where one has none."""

    name: str
    first: str | None
    second: str | None


@dataclass(frozen=True)
class Comparison:
    """Two versions side by side; params, data blocks and thresholds hold what differs only.

    The evaluation has the second as "model" and the first as the baseline :data:`FIRST`; None if not measured.
    """

    first: VersionDetails
    second: VersionDetails
    params: tuple[Pair, ...]
    data: tuple[Pair, ...]
    thresholds: tuple[Pair, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    redefined: tuple[str, ...]
    block: str
    evaluation: Evaluation | None
    notes: tuple[str, ...]


def compare(project: Project, first: str, second: str, *, now: datetime, progress: Progress) -> Comparison:
    """Put two versions (alias, number or run id) side by side and measure both on today's test block."""
    tracking = tracking_of(project)
    progress("reading the registry")
    details = tracking.details(first), tracking.details(second)
    if details[0].info.version == details[1].info.version:
        raise UsageError(
            f"expected two versions, found version {details[0].info.version} twice. "
            "`churnrisk models` lists the versions."
        )
    models = tracking.load(details[0].info.version), tracking.load(details[1].info.version)
    first_sql, second_sql = ({one.name: one.sql for one in model.features} for model in models)
    block, evaluation, notes = _measured(project, details, models, now=now, progress=progress)
    return Comparison(
        *details,
        params=_differing(*map(_settings, details)),
        data=_differing(*map(_blocks, details)),
        thresholds=_differing(*map(_thresholds, models)),
        added=tuple(name for name in second_sql if name not in first_sql),
        dropped=tuple(name for name in first_sql if name not in second_sql),
        redefined=tuple(name for name, sql in first_sql.items() if second_sql.get(name, sql) != sql),
        block=block,
        evaluation=evaluation,
        notes=notes,
    )


def verdict(metric: str, difference: Interval) -> str:
    """Say whether the second is better, worse, or neither beyond chance."""
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    return "better" if (difference.low > 0) == (metric in HIGHER_IS_BETTER) else "worse"


def _measured(
    project: Project,
    details: tuple[VersionDetails, VersionDetails],
    models: tuple[LoadedModel, LoadedModel],
    *,
    now: datetime,
    progress: Progress,
) -> tuple[str, Evaluation | None, tuple[str, ...]]:
    # what looked like a leak at one training is not measured against it
    left_out = {name for model in models for name in model.documents.get("policy.json", {}).get(LEFT_OUT, ())}
    trusted = {name for model in models for name in model.columns} - left_out
    panel = _widest_panel(project, trusted, now=now, progress=progress)
    reasons = [(model.version, mismatch(model, panel.features)) for model in models]
    if text := " and ".join(f"version {version} {why}" for version, why in reasons if why):
        return "", None, (f"not measured: {text}",)
    rows, notes = _unseen(project, details, panel)
    y = panel.y[rows]
    if y.nunique() < 2:
        return "", None, (*notes, "not measured: the rows that neither has learned from lack a class")
    progress(f"measuring both on {int(rows.sum()):,} rows")
    X = panel.X[rows]
    first, second = (model.probability(X) for model in models)
    evaluation = evaluated(y, second, project, baselines={FIRST: first})
    dates = panel.dates[rows]
    block = f"{len(X):,} rows as of {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"
    return block, evaluation, notes


def _widest_panel(
    project: Project, trusted: Collection[str], *, now: datetime, progress: Progress
) -> TrainingPanel:
    """Return the panel with the excluded features too: an earlier version may read them."""
    everything = replace(project, features=replace(project.features, exclude=()))
    try:
        return training_panel(everything, now=now, progress=progress, trusted=trusted)
    except UsageError:
        # excluded because of a name clash
        return training_panel(project, now=now, progress=progress, trusted=trusted)


def _unseen(
    project: Project, details: tuple[VersionDetails, VersionDetails], panel: TrainingPanel
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return the rows of today's test block that neither version has learned from."""
    test = np.asarray(CutPanel.of(project, panel).cut.test)
    if project.model.split == "accounts":
        seeds = {one.params.get("seed") for one in details} | {str(project.model.seed)}
        digests = {one.info.tags.get("data_digest") for one in details} | {panel.digest}
        if len(seeds) == len(digests) == 1:
            return test, ()
        return test, (
            "the versions held out other accounts (other data or another seed), so each may have learned from some "
            "of these rows",
        )
    as_of = panel.dates
    unseen, notes = test, []
    for one in details:
        seen = as_of < pd.Timestamp(learned_until(one) + project.churn.outcome_delay)
        if count := as_of[unseen & seen].nunique():
            notes.append(
                f"{count} of the test block's snapshots are left out: version {one.info.version} learned from rows "
                "up to them"
            )
        unseen = unseen & ~seen
    return unseen, tuple(notes)


def learned_until(one: VersionDetails) -> datetime:
    """Return the last date that a version was fitted, calibrated or certified on."""
    learned = [item.last_as_of for item in one.datasets if item.block != "test"]
    return max(learned, default=datetime(1900, 1, 1))


def _settings(one: VersionDetails) -> dict[str, str]:
    params = {name: value for name, value in one.params.items() if name not in _THRESHOLDS}
    return params | {name: one.info.tags[name] for name in _TAGS if name in one.info.tags}


def _blocks(one: VersionDetails) -> dict[str, str]:
    return {
        item.block: f"{item.first_as_of:%Y-%m-%d} to {item.last_as_of:%Y-%m-%d}, {item.rows:,} rows, "
        f"digest {item.digest[:12]}"
        for item in one.datasets
    }


def _thresholds(model: LoadedModel) -> dict[str, str]:
    light = model.thresholds
    values: dict[str, Any] = {name.replace("_", " "): getattr(light, f"{name}_") for name in _THRESHOLDS}
    shown = {
        name: "none" if value is None or value != value else f"{value:.2%}" for name, value in values.items()
    }
    return shown | {f"{promise.colour} promises": promise.text or "nothing" for promise in light.promises_}


def _differing(first: dict[str, str], second: dict[str, str]) -> tuple[Pair, ...]:
    names = dict.fromkeys((*first, *second))
    pairs = (Pair(name, first.get(name), second.get(name)) for name in names)
    return tuple(pair for pair in pairs if pair.first != pair.second)


@dataclass(frozen=True, slots=True)
class ColourAtSnapshot:
    """What one colour promised at one snapshot (``at_most``, ``at_least``: churn rates), and what happened.

    ``share`` is that of all accounts with a colour, ``recall`` that of all churned ones. ``outcome`` is "broken" if an
    exact 95 % bound contradicts the promise, "unclear" if the rate misses it by no more than chance.
    ``model_outcome`` is that of the model's own colour, before rules and hysteresis.
    """

    as_of: datetime
    colour: Colour
    accounts: int
    share: float
    recall: float
    churned: int
    churn_rate: float
    churn_low: float
    churn_high: float
    at_most: float | None
    at_least: float | None
    outcome: Outcome
    model_outcome: Outcome


@dataclass(frozen=True, slots=True)
class LightAtSnapshot:
    """How good the model and its light were at one snapshot; NaN where a figure cannot be computed.

    ``model_efficiency`` is that of the model's own colours; see :func:`churnrisk.lights.efficiency`.
    """

    as_of: datetime
    accounts: int
    churned: int
    auc: float
    recency_auc: float
    efficiency: float
    model_efficiency: float


@dataclass(frozen=True)
class Backtest:
    """The final colours of every snapshot with enough history, oldest first, and what happened.

    One kind of model (``candidate``) was trained at every snapshot; evidence and efficiency are those of all together.
    """

    candidate: str
    why_candidate: str
    within: str
    rows: tuple[ColourAtSnapshot, ...]
    lights: tuple[LightAtSnapshot, ...]
    efficiency: float
    model_efficiency: float
    skipped: tuple[tuple[datetime, str], ...]
    final: Stability
    without_hysteresis: Stability
    evidence: tuple[ColourEvidence, ...]
    evidence_without_hysteresis: tuple[ColourEvidence, ...]
    evidence_without_rules: tuple[ColourEvidence, ...]
    notes: tuple[str, ...]

    @property
    def snapshots(self) -> tuple[datetime, ...]:
        """Their as-of dates, oldest first."""
        return tuple(dict.fromkeys(row.as_of for row in self.rows))

    def outcomes(self, colour: Colour, last: int | None = None, *, of_model: bool = False) -> dict[str, int]:
        """Count kept, broken and unclear promises of a colour, at all snapshots or the last ones."""
        dates = self.snapshots[-last:] if last else self.snapshots
        rows = [row for row in self.rows if row.colour == colour and row.as_of in dates]
        outcomes = [row.model_outcome if of_model else row.outcome for row in rows]
        return {name: outcomes.count(name) for name in ("kept", "broken", "unclear")}

    def median_efficiency(self, *, of_model: bool = False) -> float:
        """Return the median over the snapshots at which it can be measured; NaN without any."""
        found = np.array([one.model_efficiency if of_model else one.efficiency for one in self.lights])
        found = found[~np.isnan(found)]
        return float(np.median(found)) if len(found) else float("nan")

    def share(self, colour: Colour) -> float:
        """Return a colour's share, averaged over the snapshots."""
        shares = [row.share for row in self.rows if row.colour == colour]
        return sum(shares) / len(shares)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; NaN as None."""
        promising = (Colour.GREEN, Colour.RED)
        return {
            "candidate": self.candidate,
            "why_candidate": self.why_candidate,
            "within": self.within,
            "summary": {
                "snapshots": len(self.snapshots),
                "promises": {str(c): self.outcomes(c) for c in promising},
                "promises_last_5": {str(c): self.outcomes(c, last=5) for c in promising},
                "promises_of_model": {str(c): self.outcomes(c, of_model=True) for c in promising},
                "shares": {str(c): self.share(c) for c in (Colour.GREEN, Colour.AMBER, Colour.RED)},
                "efficiency": plain(self.efficiency),
                "efficiency_of_model": plain(self.model_efficiency),
                "median_efficiency": plain(self.median_efficiency()),
                "median_efficiency_of_model": plain(self.median_efficiency(of_model=True)),
                "flagged": self.share(Colour.AMBER) + self.share(Colour.RED),
                "flap_rate": plain(self.final.flap_rate),
                "flap_rate_without_hysteresis": plain(self.without_hysteresis.flap_rate),
                "recall": plain(self.final.recall),
                "recall_without_hysteresis": plain(self.without_hysteresis.recall),
            },
            "rows": plain_dicts(self.rows),
            "lights": plain_dicts(self.lights),
            "evidence": plain_dicts(self.evidence),
            "evidence_without_hysteresis": plain_dicts(self.evidence_without_hysteresis),
            "evidence_without_rules": plain_dicts(self.evidence_without_rules),
            "skipped": [{"as_of": f"{date:%Y-%m-%d}", "why": why} for date, why in self.skipped],
            "notes": list(self.notes),
        }


def backtest(project: Project, *, now: datetime, progress: Progress) -> Backtest:
    """Train, calibrate, set the lights and score at every mature snapshot with what was known then.

    At each snapshot the labels end an embargo earlier, rules apply, and hysteresis continues from the previous one. One
    kind of model is trained, the champion's, so that a snapshot takes seconds; its settings are chosen each time. Only
    that choice of the kind knows later snapshots.
    """
    if project.model.split == "accounts":
        raise UsageError(
            '--backtest walks through time, found [model] split = "accounts". Give the project several snapshots, or '
            "measure it with `churnrisk evaluate --folds 5`."
        )
    panel = training_panel(project, now=now, progress=progress)
    # what is too little to train on is too little to look back on
    whole, least = CutPanel.of(project, panel), unfitted(project, panel.features).min_class_count
    two_classes(panel.X[whole.known], panel.y[whole.known], least)
    candidate, why = _candidate(project)
    quick = replace(project, model=replace(project.model, candidates=(candidate,), test_snapshots=1))
    dates = panel.dates.unique().sort_values()
    done: list[SnapshotColours] = []
    skipped: list[tuple[datetime, str]] = []
    for number, date in enumerate(dates, start=1):
        progress(f"snapshot {number} of {len(dates)}, as of {date:%Y-%m-%d}")
        try:
            done.append(colours_at(panel, date, quick, previous=done[-1].colours if done else None))
        except ContractError as error:
            skipped.append((date, str(error)))
    if not done:
        raise ContractError(f"no snapshot has enough history; the latest: {skipped[-1][1]}")
    every = pd.concat([snapshot.colours for snapshot in done])
    churned = every["churned"]
    final, raw, own = (
        colour_evidence(every[name], churned, every.index.get_level_values("account_id"))
        for name in ("colour", "raw_colour", "model_colour")
    )
    return Backtest(
        candidate=candidate,
        why_candidate=why,
        within=within(project.churn),
        lights=tuple(snapshot.summary() for snapshot in done),
        efficiency=efficiency(every["colour"], every["probability"], churned),
        model_efficiency=efficiency(every["model_colour"], every["probability"], churned),
        rows=tuple(row for snapshot in done for row in snapshot.rows()),
        skipped=tuple(skipped),
        final=stability(every["colour"], churned),
        without_hysteresis=stability(every["raw_colour"], churned),
        evidence=final,
        evidence_without_hysteresis=raw,
        evidence_without_rules=own,
        notes=done[-1].notes,
    )


def _candidate(project: Project) -> tuple[Any, str]:
    champion = champion_of(tracking_of(project))
    if champion is not None:
        return champion.classifier.chosen_, "the champion's"
    names = project.model.candidates
    return (_STAND_IN if _STAND_IN in names else names[0]), "there is no champion to copy"


@dataclass(frozen=True)
class SnapshotColours:
    """The colours of one snapshot by (account_id, as_of), and the recency rule's scores (None without events)."""

    date: pd.Timestamp
    colours: pd.DataFrame
    recency: npt.NDArray[np.float64] | None
    light: TrafficLight
    notes: tuple[str, ...]

    def summary(self) -> LightAtSnapshot:
        """Return how good the model and its light were."""
        p, churned = self.colours["probability"], self.colours["churned"]
        return LightAtSnapshot(
            as_of=self.date.to_pydatetime(),
            accounts=len(churned),
            churned=int(churned.sum()),
            auc=_auc(churned, p),
            recency_auc=float("nan") if self.recency is None else _auc(churned, self.recency),
            efficiency=efficiency(self.colours["colour"], p, churned),
            model_efficiency=efficiency(self.colours["model_colour"], p, churned),
        )

    def rows(self) -> list[ColourAtSnapshot]:
        """Return what became of each colour."""
        accounts, churned = self.colours.index.get_level_values("account_id"), self.colours["churned"]
        final, own = (
            colour_evidence(self.colours[name], churned, accounts, self.light.promises_)
            for name in ("colour", "model_colour")
        )
        promises = {row.colour: Promise(row.colour) for row in final}
        promises |= {promise.colour: promise for promise in self.light.promises_}
        return [
            ColourAtSnapshot(
                as_of=self.date.to_pydatetime(),
                **{name: getattr(row, name) for name in _MEASURED},
                at_most=promises[row.colour].at_most,
                at_least=promises[row.colour].at_least,
                outcome=_outcome(row),
                model_outcome=_outcome(of_model),
            )
            for row, of_model in zip(final, own, strict=True)
        ]


def colours_at(
    panel: TrainingPanel, date: pd.Timestamp, project: Project, *, previous: pd.DataFrame | None
) -> SnapshotColours:
    """Train on what was known before a snapshot and colour it; ``previous`` are the colours of the one before."""
    known = panel.dates <= date
    past = CutPanel.of(project, replace(panel, X=panel.X[known], y=panel.y[known]))
    # It learns from the first two blocks; the third is the snapshot itself.
    classifier, light = learn(past, progress=lambda _: None)
    X = past.panel.X[past.cut.test]
    p = classifier.predict_proba(X)[:, 1]
    colours = decide(
        p,
        X,
        light=light,
        rules=project.decision.active_rules(),
        previous=None if previous is None else previous.droplevel("as_of"),
        margin=project.decision.hysteresis_margin,
        value=annual_value(X),
    ).assign(probability=p, churned=past.panel.y[past.cut.test].to_numpy())
    colours.attrs = {}  # pandas compares them when it concatenates frames
    notes = (*past.cut.notes, *classifier.notes_, *light.notes_)
    return SnapshotColours(date, colours, recency_scores(past), light, notes)


def _auc(churned: pd.Series, scores: npt.ArrayLike) -> float:
    return float(roc_auc_score(churned, scores)) if churned.nunique() == 2 else float("nan")


def _outcome(row: ColourEvidence) -> Outcome:
    if not row.promise or not row.accounts:
        return ""
    return "unclear" if row.kept is None else "kept" if row.kept else "broken"
