"""What a run scores with: its features in the engine, the scorer, and the explainer of the scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from churnrisk.contract import Available, identifier, timestamp_literal
from churnrisk.errors import ChurnRiskError, ContractError
from churnrisk.features import (
    CATALOGUE,
    FeatureTable,
    Lever,
    create_feature_table,
    facts_query,
    select_features,
    select_levers,
)
from churnrisk.lights import (
    Playbook,
    TrafficLight,
    colours_after_rules,
    load_playbook,
    mark_wave,
    policy_version,
    segments_of,
)
from churnrisk.model import explain
from churnrisk.records import Colour, Feature, Run
from churnrisk.scoring.batches import BATCH, Batch, Scorer
from churnrisk.scoring.moves import Mover, PreviousRun
from churnrisk.scoring.what_if import WhatIfFinder, add_what_ifs
from churnrisk.settings import Project
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.sources import Engine
from churnrisk.store import HistoryStore, NewRun, active_overrides, contributions_texts
from churnrisk.tracking import LoadedModel, Models
from churnrisk.training import (
    CheckedTables,
    Progress,
    add_outlook,
    changed_settings,
    features_of,
    kinds_of,
)

# What a light takes for the usual share of newcomers, so that every batch or none is in a wave.
_ALWAYS, _NEVER = -1.0, 2.0
_TEXTS = ("account_id", "colour", "raw_colour", "model_colour", "decided_by")
_PREVIOUS = pa.schema(
    [*((name, pa.string()) for name in _TEXTS), ("probability", pa.float64()), ("log_odds", pa.float64())]
)


@dataclass(frozen=True)
class ScoringTask:
    """What to score, with what."""

    project: Project
    checked: CheckedTables
    model: LoadedModel
    models: Models
    store: HistoryStore
    run: NewRun
    progress: Progress


@dataclass(frozen=True)
class Prepared:
    """A task whose features and previous scores are relations in the engine; ``columns``: the former model's too."""

    task: ScoringTask
    table: FeatureTable
    facts: str
    columns: tuple[Feature, ...]
    scorer: Scorer
    explainer: Explainer
    notes: tuple[str, ...]

    def batch(self, accounts: str, facts: pd.DataFrame) -> Batch:
        """Read the accounts that a condition on ``account_id`` selects; their facts are indexed by account id."""
        rows = self._features(accounts, self.task.run.as_of)
        ids = rows.index.get_level_values("account_id")
        grey = pd.Series(rows["grey_reason"].to_numpy(dtype=object), index=ids)
        batch, previous = Batch(rows, grey, facts.reindex(ids)), self.explainer.previous
        if previous is None:
            return batch
        return replace(
            batch,
            previous=self.engine.frame(f"select * from {previous.scores} where {accounts}").set_index(
                "account_id"
            ),
            X_previous=self._features(accounts, previous.run.as_of),
        )

    @property
    def engine(self) -> Engine:
        """Where the features are."""
        return self.task.checked.tables.engine

    def _features(self, accounts: str, as_of: datetime) -> pd.DataFrame:
        names = [identifier(feature.name) for feature in self.columns]
        rows = self.engine.frame(
            f"select {', '.join(('account_id', 'as_of', 'grey_reason', *names))} from {self.table.rows} "
            f"where as_of = {timestamp_literal(as_of)} and {accounts} order by account_id"
        ).set_index(["account_id", "as_of"])
        return rows.astype({feature.name: "category" for feature in self.columns if feature.categorical})


def prepare(task: ScoringTask, open_previous: Callable[[Run], str]) -> Prepared:
    """Compute the features inside the engine, this run's and those of the one that ``open_previous`` opens."""
    project, model, tables, as_of = task.project, task.model, task.checked.tables, task.run.as_of
    features, playbook = features_of(model, project, tables), playbook_of(project, tables.available)
    previous = task.store.latest_run(before=as_of)
    if previous is not None and previous.has_model == model.thresholds.is_blank:
        previous = None  # nothing of a run by rules alone compares with one by a model
    former = None if previous is None else _previous_model(task, previous)
    read = (*features, *(features_of(former, project, tables) if former else ()))
    columns = tuple({feature.name: feature for feature in read}.values())
    # reasons say what changed since the previous run, so its features are computed too
    earlier = [] if previous is None or previous.as_of < task.checked.span.start else [previous.as_of]
    build_panel(tables, project.churn, [*earlier, as_of], data_end=task.checked.span.end)
    task.progress(f"computing {len(features)} features as of {as_of:%Y-%m-%d}")
    keys = project.features.key_features
    table = create_feature_table(tables, columns, key_features=keys, labelled_only=False)
    today = f"from {table.rows} where as_of = {timestamp_literal(as_of)}"
    light = _light_for_batches(model, tables.engine, f"{today} and grey_reason is null")
    before, policy = None, policy_of(model, project)
    if previous is not None:
        before = PreviousInputs(previous, open_previous(previous), former, light)
        # under the same policy the previous colours are not decided again
        if previous.policy_version != policy:
            then = (
                f"from {table.rows} r join {before.scores} b using (account_id) "
                f"where r.as_of = {timestamp_literal(previous.as_of)} "
                f"and b.model_colour <> 'grey' and account_id in (select account_id {today})"
            )
            before = replace(before, light=_light_for_batches(model, tables.engine, then))
    scorer = Scorer(
        model.classifier,
        [feature.name for feature in features],
        light,
        project.decision.active_rules(),
        project.decision.hysteresis_margin,
        active_overrides(task.store, at=task.run.published_at)["colour"],
    )
    # without a model nothing says what a lever would change
    levers = () if light.is_blank else select_levers(project.features, tables.available)
    explainer = Explainer(scorer, model, features, levers, playbook, policy, before, as_of, project.churn)
    facts = facts_query(tables)
    return Prepared(task, table, facts, columns, scorer, explainer, changed_settings(model, project))


def previous_from_store(task: ScoringTask, run: Run) -> str:
    """Copy the scores of a run from the store into the engine and return the relation's name."""
    engine, scores, piece = task.checked.tables.engine, "scored_before", "scored_piece"
    engine.table_from(scores, _PREVIOUS.empty_table())
    for frame in task.store.batches_of(run.run_id, BATCH):
        engine.table_from(piece, pa.Table.from_pandas(frame, _PREVIOUS, preserve_index=False))
        engine.run(f"insert into {scores} select * from {piece}")
    return scores


def _previous_model(task: ScoringTask, previous: Run) -> LoadedModel | None:
    """Return the model of the previous run; None if it is today's or cannot be used."""
    if previous.model_version == task.model.name:
        return None
    try:
        found = task.models.load(previous.model_version)
        features_of(found, task.project, task.checked.tables)
    except ChurnRiskError:
        # it only separates a new model from late data; without it both count as late data
        return None
    return found


def no_accounts(as_of: datetime) -> ContractError:
    """Return the error of a run without accounts."""
    return ContractError(
        f"no account is known before {as_of:%Y-%m-%d}, so there is nothing to score. "
        "Choose a later --as-of, or check signed_up_at."
    )


def _light_for_batches(model: LoadedModel, engine: Engine, eligible: str) -> TrafficLight:
    """Return the model's light, with a wave of newcomers in any batch if there is one among all (``eligible``)."""
    newcomers = model.thresholds.newcomers_
    if newcomers is None or "tenure_days" not in model.columns:
        return model.thresholds
    new, count = engine.rows(
        f"select count(*) filter (where tenure_days <= {newcomers.within_days}), count(*) {eligible}"
    )[0]
    wave = (new + 0.5) / (count + 1.0) > newcomers.usual_share
    light = TrafficLight.from_dict(model.thresholds.to_dict())
    light.newcomers_ = replace(newcomers, usual_share=_ALWAYS if wave else _NEVER)
    return light


@dataclass(frozen=True)
class PreviousInputs:
    """The previous run, the relation of its scores, its model (None if today's or gone), today's light for its date."""

    run: Run
    scores: str
    model: LoadedModel | None
    light: TrafficLight


@dataclass(frozen=True)
class Explainer:
    """Adds to scores why they are what they are and moved, what to do next, what would turn them, and the outlook."""

    scorer: Scorer
    model: LoadedModel
    features: tuple[Feature, ...]
    levers: tuple[Lever, ...]
    playbook: Playbook
    policy_version: str
    previous: PreviousInputs | None
    as_of: datetime
    churn: ChurnConfig

    def explain(self, scores: pd.DataFrame, batch: Batch, engine: Engine, table: FeatureTable) -> None:
        """Add the columns to the scores of a batch; the engine holds the inputs of the feature table."""
        X = batch.X[list(self.scorer.columns)]
        kinds = kinds_of(self.model.profile.by, X, batch.facts["segment"])
        self._add_reasons(scores, X, kinds, batch.X_previous)
        scores["moved"] = self._moves(scores, X, batch)
        self._add_next_steps(scores, X)
        finder = WhatIfFinder(
            self.scorer.classifier,
            self.scorer.rules,
            partial(self._light, X, batch.facts),
            self.model.profile,
            self.features,
            self.levers,
        )
        marked = mark_wave(X, self.scorer.light.newcomers_, batch.grey.isna().to_numpy())
        add_what_ifs(scores, marked, finder, engine, table.inputs, kinds=kinds, as_of=self.as_of)
        add_outlook(scores, self.scorer.classifier, X, churn=self.churn, as_of=self.as_of)

    def _add_reasons(
        self, scores: pd.DataFrame, X: pd.DataFrame, kinds: pd.Series | None, previous: pd.DataFrame | None
    ) -> None:
        listed = scores["colour"].isin(["red", "amber"]).to_numpy()
        scores["reasons"] = pd.Series([()] * len(scores), index=scores.index, dtype=object)
        scores["contributions"], scores["family"] = None, None
        if not listed.any():
            return
        contributions = self.scorer.classifier.contributions(X[listed])
        reasons = explain(
            contributions,
            X[listed],
            self.features,
            self.model.profile,
            previous=previous,
            kinds=None if kinds is None else kinds.to_numpy(dtype=object)[listed],
        )["reasons"]
        if self.scorer.light.is_blank:
            # the weights only order what the rules read
            reasons = reasons.map(lambda its: tuple(replace(one, contribution=None) for one in its))
        else:
            scores.loc[listed, "contributions"] = contributions_texts(contributions)
        scores.loc[listed, "reasons"] = reasons.to_numpy()
        scores.loc[listed, "family"] = [main.family for main, *_ in reasons]

    def _moves(self, scores: pd.DataFrame, X: pd.DataFrame, batch: Batch) -> pd.Series | None:
        previous, then = self.previous, batch.X_previous
        if previous is None or then is None or batch.previous is None:
            return None
        mover = Mover(
            self.scorer.classifier,
            model_version=self.model.name,
            policy_version=self.policy_version,
            features=self.features,
            profile=self.model.profile,
            light=partial(self._light, X, batch.facts, np.arange(len(X))),
            apply_rules=partial(self._apply_rules, previous.light),
        )
        former, log_odds = previous.model, None
        if former is not None and not then.empty:
            log_odds = former.classifier.decision_function(then[former.columns])
        ran = PreviousRun(previous.run, batch.previous, then[list(self.scorer.columns)], log_odds)
        return mover.moves(scores, X, ran)

    def _add_next_steps(self, scores: pd.DataFrame, X: pd.DataFrame) -> None:
        rows = scores[["colour", "family", "stage"]].assign(
            days_to_renewal=(pd.to_datetime(scores["renewal_at"]) - self.as_of).dt.days
        )
        plays = self.playbook.choose(rows, X)
        scores["play"] = plays.to_numpy()
        scores["next_step"] = self.playbook.sentences(plays, rows["colour"]).to_numpy()

    def _light(
        self, X: pd.DataFrame, facts: pd.DataFrame, rows: npt.NDArray[np.int64], p: npt.NDArray[np.float64]
    ) -> Any:
        """Return the model's colours of some rows at other probabilities."""
        light = self.scorer.light
        values = facts["annual_value"].to_numpy(dtype=float)[rows]
        segments = segments_of(X, light.segment_by)
        return light.predict(p, values, None if segments is None else segments[rows])

    def _apply_rules(self, light: TrafficLight, X: pd.DataFrame, colours: pd.Series) -> pd.Series:
        scored = (colours != str(Colour.GREY)).to_numpy()
        return colours_after_rules(X, colours, light=light, rules=self.scorer.rules, scored=scored)["colour"]


def playbook_of(project: Project, available: Available | None = None) -> Playbook:
    """Return the project's playbook or the shipped one; with ``available``, every signal that it names must exist."""
    own = project.decision.playbook
    playbook = load_playbook(project.directory / own if own else None)
    if available is not None:
        # A play may name a signal that today's tables do not feed: it waits.
        known = (*CATALOGUE, *select_features(project.features, available))
        playbook.require_features([feature.name for feature in known])
    return playbook


def deadlines_of(project: Project) -> dict[str, int]:
    """Return the deadline of each play of the project, in days."""
    return {play.name: play.deadline_days for play in playbook_of(project).plays}


def policy_of(model: LoadedModel, project: Project) -> str:
    """Return the version of everything that turns the model's probabilities into colours today."""
    rules, margin = project.decision.active_rules(), project.decision.hysteresis_margin
    return policy_version(model.thresholds, rules, margin)
