"""Score one as-of date: features, probability, reasons, colour, next step, published whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.decision import TrafficLight, decide, mark_wave, policy_version, ruled, segments_of
from churnrisk.decision.stage import lifecycle_stage
from churnrisk.errors import ChurnRiskError, ContractError, UsageError
from churnrisk.features import account_facts, build_features, select_features, select_levers
from churnrisk.history import (
    HistoryStore,
    NewRun,
    active_overrides,
    check_colour_jump,
    with_overrides,
)
from churnrisk.model import ReasonProfile, explain
from churnrisk.records import Colour, Feature, Run
from churnrisk.snapshots import build_panel, scoring_date
from churnrisk.sources import Tables
from churnrisk.tracking import CHAMPION, LoadedModel, Models
from churnrisk.workflows.moved import Mover, RunBefore, compact_rows
from churnrisk.workflows.outcomes import record_outcomes
from churnrisk.workflows.panel import CheckedTables, Progress, checked_tables
from churnrisk.workflows.peers import kinds_of
from churnrisk.workflows.plays import add_next_steps, playbook_of
from churnrisk.workflows.probe import changed_settings, require_own_thresholds
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import model_columns, tracking_of
from churnrisk.workflows.turnaround import Finder, add_turnarounds


@dataclass(frozen=True)
class Scored:
    """The outcome of a scoring run.

    Attributes
    ----------
    run : Run or None
        The published run; None after a dry run.
    is_new : bool
        False when the same run had been published before: then nothing was written.
    scores : DataFrame
        One row per account; empty when nothing was computed.
    notes : tuple of str
        What a reader should know.
    """

    run: Run | None
    is_new: bool
    scores: pd.DataFrame
    notes: tuple[str, ...]


def score(
    project: Project,
    *,
    as_of: date | None,
    now: datetime,
    dry_run: bool,
    forced_by: str | None,
    progress: Progress,
    models: Models | None = None,
) -> Scored:
    """Score every account at one as-of date with the champion and publish the run.

    Parameters
    ----------
    project : Project
        The project.
    as_of : date, optional
        Default: the latest that the data allow.
    now : datetime
        Stamped on the run.
    dry_run : bool
        Compute, but publish nothing.
    forced_by : str, optional
        Who overrides the guard on the colour mix.
    progress : callable
        Is told what is being done.
    models : Models, optional
        Where models come from; default: the project's registry.

    Raises
    ------
    NoChampionError
        If no model is champion.
    ContractError
        If the tables break the contract.
    GuardError
        If the colour mix jumps beyond ``max_colour_jump``.
    """
    progress("loading the champion")
    source = models or tracking_of(project)
    model = source.load(CHAMPION)
    require_own_thresholds(model)
    with (
        checked_tables(project, now=now, progress=progress) as checked,
        HistoryStore(project.store_url) as store,
    ):
        moment = scoring_date(checked.span, as_of)
        run = NewRun(
            as_of=moment,
            published_at=now,
            inputs_digest=with_overrides(store, checked.tables.digest, at=now),
            model_version=str(model.version),
            policy_version=policy_of(model, project),
            forced_by=forced_by,
        )
        found = store.find_run(run.run_key)
        if found is not None and not dry_run:
            record_outcomes(
                project, store, checked, model, models=source, progress=progress, data_are_new=False
            )
            return Scored(found, False, pd.DataFrame(), changed_settings(model, project))
        scores, notes = _scores(project, checked, model, source, store, moment, now, progress)
        if dry_run:
            return Scored(None, True, scores, notes)
        progress("publishing")
        publication = store.publish(run, scores, guard=_guard(project, forced_by))
        record_outcomes(project, store, checked, model, models=source, progress=progress, data_are_new=True)
        return Scored(publication.run, publication.is_new, scores, notes)


def _guard(project: Project, forced_by: str | None) -> Any:
    def check(new: Run, before: Run | None) -> None:
        if before is not None and forced_by is None:
            check_colour_jump(_mix(new), _mix(before), project.decision.max_colour_jump)

    return check


def _mix(run: Run) -> dict[str, int]:
    return {"red": run.red, "amber": run.amber, "green": run.green, "grey": run.grey}


def _scores(
    project: Project,
    checked: CheckedTables,
    model: LoadedModel,
    models: Models,
    store: HistoryStore,
    moment: datetime,
    now: datetime,
    progress: Progress,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one row per account with everything that the history keeps."""
    tables = checked.tables
    features = _features_of(model, project, tables)
    playbook = playbook_of(project, tables.available)
    before = store.latest_run(before=moment)
    model_before, features_before = _model_before(before, model, models, project, tables)
    asked = tuple({feature.name: feature for feature in (*features, *features_before)}.values())
    # the run before is computed along, so that reasons can say what changed since
    dates = [moment] if before is None or before.as_of < checked.span.start else [before.as_of, moment]
    build_panel(tables, project.churn, dates, data_end=checked.span.end)
    progress(f"computing {len(features)} features as of {moment:%Y-%m-%d}")
    frame = build_features(tables, asked, key_features=project.features.key_features, labelled_only=False)
    now_rows = frame.X.index.get_level_values("as_of") == moment
    columns = model_columns(model)
    X, earlier = frame.X.loc[now_rows, columns], frame.X[~now_rows]
    if X.empty:
        raise ContractError(
            f"no account is known before {moment:%Y-%m-%d}, so there is nothing to score. "
            "Choose a later --as-of, or check signed_up_at."
        )
    accounts = X.index.get_level_values("account_id")
    grey = pd.Series(frame.grey_reason[now_rows].to_numpy(dtype=object), index=accounts)
    progress(f"scoring {int(grey.isna().sum()):,} accounts")
    log_odds = model.classifier.decision_function(X)
    p = np.where(grey.isna(), model.classifier.predict_proba(X)[:, 1], np.nan)
    light = TrafficLight.from_dict(model.policy["light"])
    overrides = active_overrides(store, at=now)
    facts = account_facts(tables).reindex(accounts)
    previous = store.previous_colours(moment)
    decided = decide(
        p,
        X,
        light=light,
        rules=project.decision.active_rules(),
        previous=previous,
        overrides=overrides["colour"] if len(overrides) else None,
        grey=grey,
        margin=project.decision.hysteresis_margin,
        value=facts["annual_value"],
    )
    scores = pd.DataFrame(
        {
            "account_id": accounts,
            "name": facts["name"].to_numpy(),
            "owner": facts["owner"].to_numpy(),
            "segment": facts["segment"].to_numpy(),
            "probability": p,
            "log_odds": np.where(np.isnan(p), np.nan, log_odds),
            **{column: decided[column].to_numpy() for column in decided.columns},
            "annual_value": facts["annual_value"].to_numpy(dtype=float),
            "renewal_at": facts["renewal_at"].to_numpy(),
            "stage": lifecycle_stage(facts["tenure_days"], facts["last_survey_score"]).to_numpy(),
        }
    )
    progress("finding the reasons")
    profile = ReasonProfile.from_dict(model.profile)
    kinds = kinds_of(profile.by, X, facts["segment"])
    _add_reasons(scores, X, model, features, profile, kinds=kinds, previous=earlier)
    scores["moved"] = None
    if before is not None:
        ran = RunBefore(before, previous, earlier[columns], _log_odds_of(model_before, earlier))
        segments = segments_of(X, light.segment_by)
        mover = _mover(
            model, project, features, light, lambda p: light.predict(p, facts["annual_value"], segments)
        )
        scores["moved"] = mover.tell(scores, X, ran)
    add_next_steps(scores, X, playbook, moment)
    progress("looking for what would turn red and amber accounts")
    worth, parts = facts["annual_value"].to_numpy(dtype=float), segments_of(X, light.segment_by)

    def lit(rows: Any, probabilities: Any) -> Any:
        return light.predict(probabilities, worth[rows], None if parts is None else parts[rows])

    finder = Finder(
        model.classifier,
        project.decision.active_rules(),
        lit,
        profile,
        features,
        select_levers(project.features, tables.available),
    )
    add_turnarounds(
        scores,
        mark_wave(X, light.newcomers_, grey.isna().to_numpy()),
        finder,
        tables,
        kinds=kinds,
        as_of=moment,
    )
    return scores, (*changed_settings(model, project), *decided.attrs.get("notes", ()))


def policy_of(model: LoadedModel, project: Project) -> str:
    """Return the version of everything that turns the model's probabilities into colours today."""
    light = TrafficLight.from_dict(model.policy["light"])
    return policy_version(light, project.decision.active_rules(), project.decision.hysteresis_margin)


def _mover(
    model: LoadedModel,
    project: Project,
    features: tuple[Feature, ...],
    light: TrafficLight,
    coloured: Callable[[Any], Any],
) -> Mover:
    rules = project.decision.active_rules()

    def settled(X: pd.DataFrame, colours: pd.Series) -> pd.Series:
        scored = (colours != str(Colour.GREY)).to_numpy()
        return ruled(X, colours, light=light, rules=rules, scored=scored)["colour"]

    return Mover(
        model.classifier,
        model_version=str(model.version),
        policy_version=policy_of(model, project),
        features=features,
        profile=ReasonProfile.from_dict(model.profile),
        light=coloured,
        ruled=settled,
    )


def _model_before(
    before: Run | None, model: LoadedModel, models: Models, project: Project, tables: Tables
) -> tuple[LoadedModel | None, tuple[Feature, ...]]:
    """Return the model of the run before with its features, None where it is today's or cannot be used."""
    if before is None or before.model_version == str(model.version):
        return None, ()
    try:
        found = models.load(before.model_version)
        return found, _features_of(found, project, tables)
    except ChurnRiskError:
        # it only serves to tell a new model from late data, which are told as one then
        return None, ()


def _log_odds_of(model: LoadedModel | None, X: pd.DataFrame) -> Any:
    return None if model is None or X.empty else model.classifier.decision_function(X[model_columns(model)])


def _features_of(model: LoadedModel, project: Project, tables: Tables) -> tuple[Feature, ...]:
    """Return today's declarations of the model's columns.

    Raises
    ------
    UsageError
        If today's tables or settings no longer feed one, or it is computed differently now.
    """
    today = {feature.name: feature for feature in select_features(project.features, tables.available)}
    stored = {item["name"]: item["sql"] for item in model.features}
    missing = sorted(set(stored) - set(today))
    changed = sorted(name for name, sql in stored.items() if name in today and today[name].sql != sql)
    if missing or changed:
        what = " and ".join(
            part
            for part in (
                f"reads {', '.join(missing)}, which today's tables and settings do not feed"
                if missing
                else "",
                f"was trained on other definitions of {', '.join(changed)}" if changed else "",
            )
            if part
        )
        raise UsageError(f"model version {model.version} {what}. Train anew with `churnrisk train`.")
    return tuple(today[name] for name in model_columns(model))


def _add_reasons(
    scores: pd.DataFrame,
    X: pd.DataFrame,
    model: LoadedModel,
    features: tuple[Feature, ...],
    profile: ReasonProfile,
    *,
    kinds: Any,
    previous: pd.DataFrame,
) -> None:
    """Put reasons on the red and amber rows."""
    shown = scores["colour"].isin(["red", "amber"]).to_numpy()
    scores["reasons"], scores["contributions"] = "[]", None
    if not shown.any():
        return
    contributions = model.classifier.contributions(X[shown])
    explained = explain(
        contributions,
        X[shown],
        features,
        profile,
        previous=previous if len(previous) else None,
        kinds=None if kinds is None else kinds[shown],
    )
    scores.loc[shown, "reasons"] = explained["reasons"].to_numpy()
    scores.loc[shown, "contributions"] = compact_rows(contributions)
