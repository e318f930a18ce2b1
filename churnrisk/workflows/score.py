"""Score one as-of date: features, probability, reasons, colour, next step, published whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from churnrisk.history import HistoryStore, NewRun, check_colour_jump, with_overrides
from churnrisk.records import Run
from churnrisk.snapshots import scoring_date
from churnrisk.tracking import CHAMPION, LoadedModel, Models
from churnrisk.workflows.computed import Computed
from churnrisk.workflows.outcomes import record_outcomes
from churnrisk.workflows.panel import CheckedTables, Progress, checked_tables
from churnrisk.workflows.probe import changed_settings, require_own_thresholds
from churnrisk.workflows.project import Project
from churnrisk.workflows.streamed import BATCH, Written, streamed_scores
from churnrisk.workflows.told import policy_of
from churnrisk.workflows.train import tracking_of

if TYPE_CHECKING:
    import pyarrow as pa

Take = Callable[[Iterator["pa.Table"]], object]


@dataclass(frozen=True)
class Scored:
    """The outcome of a scoring run.

    Attributes
    ----------
    run : Run or None
        The published run; None after a dry run.
    is_new : bool
        False when the same run had been published before: then nothing was written.
    notes : tuple of str
        What a reader should know.
    mix : mapping of str to int
        Accounts by colour; empty when nothing was computed.
    scores : DataFrame
        One row per account, where the library has collected them.
    """

    run: Run | None
    is_new: bool
    notes: tuple[str, ...]
    mix: Mapping[str, int] = field(default_factory=dict)
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)


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
    take: Take | None = None,
    batch: int = BATCH,
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
    take : callable, optional
        Is given the scores of a new or dry run, one Arrow table of accounts after the other, with when each is
        likely to be lost; not on Spark, which writes them itself.
    batch : int
        Accounts that are scored at once.

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
            return Scored(found, False, changed_settings(model, project))
        made = _computed(
            project, checked, model, source, store, run, progress,
            trial=dry_run, outlook=take is not None, batch=batch,
        )  # fmt: skip
        if dry_run:
            _hand_on(made, take)
            made.discard()
            return Scored(None, True, made.notes, made.mix)
        progress("publishing")
        try:
            publication = store.publish(run, made.frames, guard=_guard(project, forced_by), rest=made.rest)
        except BaseException:
            made.discard()
            raise
        record_outcomes(project, store, checked, model, models=source, progress=progress, data_are_new=True)
        _hand_on(made, take)
        return Scored(publication.run, publication.is_new, made.notes, made.mix)


def _hand_on(made: Computed, take: Take | None) -> None:
    if take is not None and isinstance(made.frames, Written):
        take(made.frames.tables())


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
    outlook: bool,
    batch: int,
) -> Computed:
    if project.engine.name == "spark":
        # pyspark is for those who ask for it
        from churnrisk.workflows.score_spark import spark_scores

        return spark_scores(project, checked, model, models, store, run, progress, trial=trial)
    return streamed_scores(project, checked, model, models, store, run, progress, outlook=outlook, size=batch)


def _guard(project: Project, forced_by: str | None) -> Any:
    def check(new: Run, before: Run | None) -> None:
        if before is not None and forced_by is None:
            check_colour_jump(_mix(new), _mix(before), project.decision.max_colour_jump)

    return check


def _mix(run: Run) -> dict[str, int]:
    return {"red": run.red, "amber": run.amber, "green": run.green, "grey": run.grey}
