"""The project's playbook, and the play of each scored account."""

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
from churnrisk.errors import ContractError
from churnrisk.features import (
    CATALOGUE,
    FeatureTable,
    Lever,
    create_feature_table,
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
from churnrisk.model import ReasonProfile, explain
from churnrisk.records import Colour, Feature, Run
from churnrisk.scoring.batches import BATCH, Batch, Scorer
from churnrisk.scoring.moves import Mover, PreviousRun
from churnrisk.scoring.what_if import WhatIfFinder, add_what_ifs
from churnrisk.settings import Project
from churnrisk.snapshots import build_panel
from churnrisk.sources import Engine, Tables
from churnrisk.store import HistoryStore, NewRun, active_overrides, contributions_texts
from churnrisk.tracking import LoadedModel, Models
from churnrisk.training import (
    CheckedTables,
    Progress,
    changed_settings,
    features_of,
    kinds_of,
    log_odds_of,
    model_before,
    model_columns,
)


def playbook_of(project: Project, available: Available | None = None) -> Playbook:
    """Return the project's playbook, its own or the shipped one.

    With ``available``, the columns of the tables, every signal that a play names must exist.

    Raises
    ------
    UsageError
        If the playbook cannot be read, or a play names an unknown signal.
    """
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


def add_next_steps(scores: pd.DataFrame, X: pd.DataFrame, playbook: Playbook, moment: datetime) -> None:
    """Add ``play`` (None where only the fallback fits) and ``next_step`` to the scores.

    ``X`` has the features of the same rows, ``moment`` is the as-of date.
    """
    rows = pd.DataFrame(
        {
            "colour": scores["colour"],
            "family": scores["family"],
            "stage": scores["stage"],
            "days_to_renewal": (pd.to_datetime(scores["renewal_at"]) - moment).dt.days,
        }
    )
    plays = playbook.choose(rows, X)
    scores["play"] = plays.to_numpy()
    scores["next_step"] = playbook.sentences(plays, rows["colour"]).to_numpy()


_ALWAYS, _NEVER = -1.0, 2.0
_PREVIOUS = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("account_id", "colour", "raw_colour", "model_colour", "decided_by")
        ),
        *((name, pa.float64()) for name in ("probability", "log_odds")),
    ]
)


@dataclass(frozen=True)
class PreviousModel:
    """The previous run, its model (None where it is today's or gone), and today's light for its date."""

    run: Run
    model: LoadedModel | None
    light: TrafficLight


@dataclass(frozen=True)
class Explainer:
    """Adds to scores why they are what they are, why they moved, what to do next and what would turn them."""

    scorer: Scorer
    profile: ReasonProfile
    features: tuple[Feature, ...]
    levers: tuple[Lever, ...]
    playbook: Playbook
    model_version: str
    policy_version: str
    previous: PreviousModel | None
    as_of: datetime

    def explain(self, scores: pd.DataFrame, batch: Batch, engine: Engine, inputs: str) -> None:
        """Add the columns to the scores of a batch; the engine holds the ``inputs`` of its features."""
        X = batch.X[list(self.scorer.columns)]
        kinds = kinds_of(self.profile.by, X, batch.facts["segment"])
        self._add_reasons(scores, X, kinds, batch.X_previous)
        scores["moved"] = None if self.previous is None else self._moves(scores, X, batch, self.previous)
        add_next_steps(scores, X, self.playbook, self.as_of)
        light = partial(self._light, X, batch.facts)
        finder = WhatIfFinder(
            self.scorer.classifier, self.scorer.rules, light, self.profile, self.features, self.levers
        )
        marked = mark_wave(X, self.scorer.light.newcomers_, batch.grey.isna().to_numpy())
        add_what_ifs(scores, marked, finder, engine, inputs, kinds=kinds, as_of=self.as_of)

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
            self.profile,
            previous=previous,
            kinds=None if kinds is None else kinds.to_numpy(dtype=object)[listed],
        )["reasons"]
        scores.loc[listed, "reasons"] = reasons.to_numpy()
        scores.loc[listed, "contributions"] = contributions_texts(contributions)
        scores.loc[listed, "family"] = [main.family for main, *_ in reasons]

    def _moves(
        self, scores: pd.DataFrame, X: pd.DataFrame, batch: Batch, previous: PreviousModel
    ) -> pd.Series:
        assert batch.previous is not None  # noqa: S101 - read wherever there is a previous run
        assert batch.X_previous is not None  # noqa: S101
        then = batch.X_previous
        everyone = np.arange(len(X))
        mover = Mover(
            self.scorer.classifier,
            model_version=self.model_version,
            policy_version=self.policy_version,
            features=self.features,
            profile=self.profile,
            light=lambda p: self._light(X, batch.facts, everyone, p),
            ruled=partial(self._ruled, previous.light),
        )
        log_odds = log_odds_of(previous.model, then)
        ran = PreviousRun(previous.run, batch.previous, then[list(self.scorer.columns)], log_odds)
        return mover.moves(scores, X, ran)

    def _light(
        self, X: pd.DataFrame, facts: pd.DataFrame, rows: npt.NDArray[np.int64], p: npt.NDArray[np.float64]
    ) -> Any:
        """Return the model's colours of some rows at other probabilities."""
        light = self.scorer.light
        values = facts["annual_value"].to_numpy(dtype=float)[rows]
        segments = segments_of(X, light.segment_by)
        return light.predict(p, values, None if segments is None else segments[rows])

    def _ruled(self, light: TrafficLight, X: pd.DataFrame, colours: pd.Series) -> pd.Series:
        scored = (colours != str(Colour.GREY)).to_numpy()
        return colours_after_rules(X, colours, light=light, rules=self.scorer.rules, scored=scored)["colour"]


@dataclass(frozen=True)
class ScoringTask:
    """What is to be scored, with what."""

    project: Project
    checked: CheckedTables
    model: LoadedModel
    models: Models
    store: HistoryStore
    run: NewRun
    progress: Progress


@dataclass(frozen=True)
class Prepared:
    """A task whose features and previous scores are relations in the engine.

    ``columns`` are the features of this run's model and the previous one's.
    """

    tables: Tables
    made: FeatureTable
    previous: str | None
    columns: tuple[Feature, ...]
    scorer: Scorer
    explainer: Explainer
    notes: tuple[str, ...]

    def batch(self, accounts: str, facts: pd.DataFrame) -> Batch:
        """Read the accounts that a condition on ``account_id`` selects; their facts are indexed by account id."""
        rows = self._features(accounts, self.explainer.as_of)
        ids = rows.index.get_level_values("account_id")
        batch = Batch(
            rows, pd.Series(rows["grey_reason"].to_numpy(dtype=object), index=ids), facts.reindex(ids)
        )
        if self.previous is None or self.explainer.previous is None:
            return batch
        previous = self.read(f"select * from {self.previous} where {accounts}").set_index("account_id")
        return replace(
            batch, previous=previous, X_previous=self._features(accounts, self.explainer.previous.run.as_of)
        )

    def read(self, sql: str) -> pd.DataFrame:
        """Return the result of a query."""
        frame: pd.DataFrame = self.tables.engine.arrow(sql).to_pandas()
        return frame

    def _features(self, accounts: str, as_of: datetime) -> pd.DataFrame:
        names = [identifier(feature.name) for feature in self.columns]
        rows = self.read(
            f"select {', '.join(('account_id', 'as_of', 'grey_reason', *names))} from {self.made.rows} "
            f"where as_of = {timestamp_literal(as_of)} and {accounts} order by account_id"
        ).set_index(["account_id", "as_of"])
        return rows.astype({feature.name: "category" for feature in self.columns if feature.categorical})


def prepare(task: ScoringTask, open_previous: Callable[[Run], str]) -> Prepared:
    """Compute the features inside the engine, this run's and the previous one's, and collect what scores them."""
    project, model, tables, as_of = task.project, task.model, task.checked.tables, task.run.as_of
    features, playbook = features_of(model, project, tables), playbook_of(project, tables.available)
    previous = task.store.latest_run(before=as_of)
    former, more = model_before(previous, model, task.models, project, tables)
    columns = tuple({feature.name: feature for feature in (*features, *more)}.values())
    # reasons say what changed since the previous run, so its features are computed too
    earlier = [] if previous is None or previous.as_of < task.checked.span.start else [previous.as_of]
    build_panel(tables, project.churn, [*earlier, as_of], data_end=task.checked.span.end)
    task.progress(f"computing {len(features)} features as of {as_of:%Y-%m-%d}")
    keys = project.features.key_features
    made = create_feature_table(tables, columns, key_features=keys, labelled_only=False)
    scores = None if previous is None else open_previous(previous)
    policy = policy_of(model, project)
    light, light_then = _lights(model, tables.engine, made.rows, as_of, previous, scores, policy)
    scorer = Scorer(
        model.classifier,
        model_columns(model),
        light,
        project.decision.active_rules(),
        project.decision.hysteresis_margin,
        active_overrides(task.store, at=task.run.published_at)["colour"],
    )
    explainer = Explainer(
        scorer,
        model.profile,
        features,
        select_levers(project.features, tables.available),
        playbook,
        str(model.version),
        policy,
        None if previous is None else PreviousModel(previous, former, light_then),
        as_of,
    )
    return Prepared(tables, made, scores, columns, scorer, explainer, changed_settings(model, project))


def previous_from_store(task: ScoringTask, run: Run) -> str:
    """Copy the scores of a run from the store into the engine and return the relation's name."""
    engine, scores, piece = task.checked.tables.engine, "scored_before", "scored_piece"
    engine.table_from(scores, _PREVIOUS.empty_table())
    for frame in task.store.batches_of(run.run_id, BATCH):
        engine.table_from(piece, pa.Table.from_pandas(frame, _PREVIOUS, preserve_index=False))
        engine.run(f"insert into {scores} select * from {piece}")
    return scores


def policy_of(model: LoadedModel, project: Project) -> str:
    """Return the version of everything that turns the model's probabilities into colours today."""
    return policy_version(
        model.thresholds, project.decision.active_rules(), project.decision.hysteresis_margin
    )


def no_accounts(as_of: datetime) -> ContractError:
    """Return the error of a run without accounts."""
    return ContractError(
        f"no account is known before {as_of:%Y-%m-%d}, so there is nothing to score. "
        "Choose a later --as-of, or check signed_up_at."
    )


def _lights(
    model: LoadedModel,
    engine: Engine,
    rows: str,
    as_of: datetime,
    previous: Run | None,
    scores: str | None,
    policy: str,
) -> tuple[TrafficLight, TrafficLight]:
    """Return the light for any batch of this snapshot, and for any batch of the previous run's."""
    light = model.thresholds
    if "tenure_days" not in model_columns(model):
        return light, light
    now = f"from {rows} where as_of = {timestamp_literal(as_of)}"
    today = _for_batches(light, wave=_has_wave(engine, light, f"{now} and grey_reason is null"))
    if previous is None or previous.policy_version == policy:
        return today, today  # under the same policy the previous colours are not decided again
    then = (
        f"from {rows} r join {scores} b using (account_id) where r.as_of = {timestamp_literal(previous.as_of)} "
        f"and b.model_colour <> 'grey' and account_id in (select account_id {now})"
    )
    return today, _for_batches(light, wave=_has_wave(engine, light, then))


def _has_wave(engine: Engine, light: TrafficLight, eligible: str) -> bool:
    """Say whether unusually many of the eligible accounts, a query's end from ``from`` on, are new."""
    newcomers = light.newcomers_
    if newcomers is None:
        return False
    new, count = engine.rows(
        f"select count(*) filter (where tenure_days <= {newcomers.within_days}), count(*) {eligible}"
    )[0]
    return bool((new + 0.5) / (count + 1.0) > newcomers.usual_share)


def _for_batches(light: TrafficLight, *, wave: bool) -> TrafficLight:
    """Return a light that finds, or does not find, a wave of newcomers in whatever part of a snapshot it sees."""
    fixed = TrafficLight.from_dict(light.to_dict())
    if fixed.newcomers_ is not None:
        fixed.newcomers_ = replace(fixed.newcomers_, usual_share=_ALWAYS if wave else _NEVER)
    return fixed
