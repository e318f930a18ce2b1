"""Score one as-of date: features, probability, reasons, colour, next step, published whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pandas as pd

from churnrisk.decision import TrafficLight
from churnrisk.errors import ContractError
from churnrisk.features import account_facts, build_features
from churnrisk.history import (
    HistoryStore,
    NewRun,
    active_overrides,
    check_colour_jump,
    with_overrides,
)
from churnrisk.records import Run
from churnrisk.snapshots import build_panel, scoring_date
from churnrisk.tracking import CHAMPION, LoadedModel, Models
from churnrisk.workflows.coloured import coloured
from churnrisk.workflows.computed import Computed
from churnrisk.workflows.inputs import features_of, model_before
from churnrisk.workflows.outcomes import record_outcomes
from churnrisk.workflows.panel import CheckedTables, Progress, checked_tables
from churnrisk.workflows.plays import playbook_of
from churnrisk.workflows.probe import changed_settings, require_own_thresholds
from churnrisk.workflows.project import Project
from churnrisk.workflows.time_to_churn import OUTLOOK, add_outlook
from churnrisk.workflows.told import Before, Teller, policy_of
from churnrisk.workflows.train import model_columns, tracking_of


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
        One row per account; empty when nothing was computed, or Spark has written them to files.
    notes : tuple of str
        What a reader should know.
    mix : mapping of str to int
        Accounts by colour; empty when nothing was computed.
    """

    run: Run | None
    is_new: bool
    scores: pd.DataFrame
    notes: tuple[str, ...]
    mix: Mapping[str, int] = field(default_factory=dict)


def score(
    project: Project,
    *,
    as_of: date | None,
    now: datetime,
    dry_run: bool,
    forced_by: str | None,
    progress: Progress,
    models: Models | None = None,
    cache: bool = True,
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
    cache : bool
        Keep the daily roll-up of the events between runs, as far as ``[engine] cache`` allows.

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
        checked_tables(project, now=now, progress=progress, keep=cache) as checked,
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
        scores, made = _computed(project, checked, model, source, store, run, progress, trial=dry_run)
        if dry_run:
            made.discard()
            return Scored(None, True, scores, made.notes, made.mix)
        progress("publishing")
        try:
            publication = store.publish(run, made.frames, guard=_guard(project, forced_by), rest=made.rest)
        except BaseException:
            made.discard()
            raise
        record_outcomes(project, store, checked, model, models=source, progress=progress, data_are_new=True)
        return Scored(publication.run, publication.is_new, scores, made.notes, made.mix)


def _computed(
    project: Project,
    checked: CheckedTables,
    model: LoadedModel,
    models: Models,
    store: HistoryStore,
    run: NewRun,
    progress: Progress,
    *,
    trial: bool,
) -> tuple[pd.DataFrame, Computed]:
    """Return the scores as a frame, empty where Spark has written them to files, and what is to be published."""
    if project.engine.name == "spark":
        # pyspark is for those who ask for it
        from churnrisk.workflows.score_spark import spark_scores

        return pd.DataFrame(), spark_scores(
            project, checked, model, models, store, run, progress, trial=trial
        )
    scores, notes = _scores(project, checked, model, models, store, run.as_of, run.published_at, progress)
    kept = scores.drop(columns=list(OUTLOOK), errors="ignore")  # computed anew when somebody asks
    return scores, Computed([kept], dict(scores["colour"].value_counts()), notes)


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
    features = features_of(model, project, tables)
    playbook = playbook_of(project, tables.available)
    run_before = store.latest_run(before=moment)
    earlier_model, earlier_features = model_before(run_before, model, models, project, tables)
    asked = tuple({feature.name: feature for feature in (*features, *earlier_features)}.values())
    # the run before is computed along, so that reasons can say what changed since
    earlier_dates = [] if run_before is None else [run_before.as_of]
    dates = [*(date for date in earlier_dates if date >= checked.span.start), moment]
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
    light, facts = TrafficLight.from_dict(model.policy["light"]), account_facts(tables).reindex(accounts)
    previous = store.previous_colours(moment)
    scores, notes = coloured(
        X,
        grey,
        facts,
        classifier=model.classifier,
        light=light,
        rules=project.decision.active_rules(),
        margin=project.decision.hysteresis_margin,
        previous=previous,
        overrides=active_overrides(store, at=now)["colour"],
    )
    before = (
        None if run_before is None else Before(run_before, previous, earlier[columns], earlier_model, earlier)
    )
    teller = Teller(project, model, light, playbook, features, X, facts, grey.isna().to_numpy())
    teller.tell(scores, before, tables, moment, progress)
    add_outlook(scores, model.classifier, X, churn=project.churn, as_of=moment)
    return scores, (*changed_settings(model, project), *notes)
