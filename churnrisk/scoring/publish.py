"""Score the tables as they are: features, probability, reasons, colour, next step, published whole or not at all."""

from __future__ import annotations

from datetime import date, datetime, time
from functools import partial

from churnrisk.contract import TABLES, timestamp_literal
from churnrisk.errors import NoChampionError, UsageError
from churnrisk.records import Colour, Run
from churnrisk.scoring.batches import BATCH, Computed, RulesOnly
from churnrisk.scoring.local import Written, score_locally
from churnrisk.scoring.outcomes import RecordedOutcomes, record_outcomes
from churnrisk.scoring.prepare import ScoringTask, policy_of
from churnrisk.scoring.settled import ScoringResult, Take, settle
from churnrisk.scoring.sinks import after_publish
from churnrisk.settings import Project
from churnrisk.snapshots import scoring_date
from churnrisk.store import HistoryStore, NewRun, check_colour_jump, with_overrides
from churnrisk.tracking import CHAMPION, Models
from churnrisk.training import (
    Progress,
    champion_of,
    changed_settings,
    checked_tables,
    require_own_thresholds,
    tracking_of,
    until_a_model,
)


def score_anew(
    project: Project,
    *,
    as_of: date | None,
    now: datetime,
    dry_run: bool,
    forced_by: str | None,
    progress: Progress,
    models: Models | None,
    cache: bool,
    take: Take | None,
    batch: int | None,
    rules_only: bool,
    state: str | None,
) -> ScoringResult:
    """Read the tables and publish the run, if it is new; ``state`` is what the next run need not do again."""
    progress("loading the champion")
    source = RulesOnly(project) if rules_only else models or tracking_of(project)
    if rules_only:
        _require_no_model(project, models)
    try:
        model = source.load(CHAMPION)
    except NoChampionError as error:
        raise NoChampionError(
            f"{error}. Where the history is too short for one, `churnrisk score --rules-only` (in Python: "
            "rules_only=True) lists by the rules alone"
        ) from error
    require_own_thresholds(model)
    with (
        checked_tables(project, now=now, progress=progress, cached=cache) as checked,
        HistoryStore(project.store_url) as store,
    ):
        run = NewRun(
            as_of=scoring_date(checked.span, as_of),
            published_at=now,
            inputs_digest=with_overrides(store, checked.tables.digest, at=now),
            model_version=model.name,
            policy_version=policy_of(model, project),
            forced_by=forced_by,
        )
        young = (until_a_model(project, checked),) if rules_only else ()
        task = ScoringTask(project, checked, model, source, store, run, progress)
        published = store.find_run(run.run_key)
        if published is not None and not dry_run:
            recorded = record_outcomes(task, data_are_new=False)
            again = (*young, *changed_settings(model, project))
            _settle(task, state, published, again)
            return ScoringResult(published, False, (*again, *_withdrawn(recorded)))
        computed = _compute(task, trial=dry_run, batch=batch)
        if dry_run:
            _hand_on(computed, take)
            computed.discard()
            return ScoringResult(None, True, (*young, *computed.notes), computed.mix)
        progress("publishing")
        try:
            limit = project.decision.max_colour_jump
            guard = partial(_guard, limit) if forced_by is None else None
            publication = store.publish(run, computed.frames, guard=guard, rest=computed.rest)
        except BaseException:
            computed.discard()
            raise
        recorded = record_outcomes(task, data_are_new=True)
        _settle(task, state, publication.run, (*young, *changed_settings(model, project)))
        _hand_on(computed, take)
        withdrawn = recorded.withdrawn
        failed = after_publish(project, store, publication.run, withdrawn) if publication.is_new else ()
        notes = (*young, *computed.notes, *_withdrawn(recorded), *failed)
        return ScoringResult(publication.run, publication.is_new, notes, computed.mix)


def _settle(task: ScoringTask, state: str | None, run: Run, notes: tuple[str, ...]) -> None:
    """Note that a run is done, unless the tables will say more later the same day."""
    if state is not None and not _more_today(task):
        settle(task.project, task.store, state, run, notes, now=task.run.published_at)


def _more_today(task: ScoringTask) -> bool:
    """Whether a row is dated between now and the end of the day."""
    now, available = task.run.published_at, task.checked.tables.available
    later = f"between {timestamp_literal(now)} and {timestamp_literal(datetime.combine(now, time.max))}"
    return any(
        task.checked.tables.engine.value(f"select count(*) from {name} where {column.name} {later}")
        for name, table in TABLES.items()
        for column in table.columns
        if column.type == "timestamp" and available.has(f"{name}.{column.name}")
    )


def _withdrawn(recorded: RecordedOutcomes) -> tuple[str, ...]:
    return tuple(
        f"{one.colour} of model version {one.model_version}: {one.text}" for one in recorded.withdrawn
    )


def _compute(task: ScoringTask, *, trial: bool, batch: int | None) -> Computed:
    if task.project.engine.name == "spark":
        # pyspark is an optional dependency
        from churnrisk.scoring.spark import score_on_spark

        return score_on_spark(task, trial=trial)
    return score_locally(task, size=batch or BATCH)


def _hand_on(computed: Computed, take: Take | None) -> None:
    if take is not None and isinstance(computed.frames, Written):
        take(computed.frames.tables())


def _require_no_model(project: Project, models: Models | None) -> None:
    champion = None if models else champion_of(tracking_of(project))
    if models is not None or champion is not None:
        found = f"the champion, version {champion.version}" if champion else "an exported model"
        raise UsageError(
            f"a rules-only run is for a project without a model, found {found}. Leave --rules-only (in Python: "
            "rules_only) out; it applies the rules too."
        )
    if project.engine.name == "spark":
        raise UsageError(
            "a rules-only run is computed in this process, found Spark as [engine] name. Set it to duckdb."
        )


def _guard(limit: float, new: Run, earlier: Run) -> None:
    if new.has_model != earlier.has_model:
        return
    same_date = "the run of the same date that it would replace, " if earlier.as_of == new.as_of else ""
    since = f"{same_date}run {earlier.run_id} as of {earlier.as_of:%Y-%m-%d}"
    check_colour_jump(_mix(new), _mix(earlier), limit, since=since)


def _mix(run: Run) -> dict[str, int]:
    return {str(colour): getattr(run, colour) for colour in Colour}
