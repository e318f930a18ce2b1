"""Score one as-of date, unless the run that was scored last says that nothing has changed since."""

from __future__ import annotations

from datetime import date, datetime

from churnrisk.scoring.settled import ScoringResult, Take, settled, state_of
from churnrisk.settings import Project
from churnrisk.tracking import Models
from churnrisk.training import Progress


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
    batch: int | None = None,
    rules_only: bool = False,
) -> ScoringResult:
    """Score every account at one as-of date (default: the latest) with the champion and publish the run.

    ``rules_only`` is for a company too young for a model: the rules alone colour, and no account has a probability.
    ``take`` is given the scores of a new or dry run as Arrow tables; not on Spark, which writes them itself.
    ``forced_by`` is who overrides the guard on the colour mix.
    """
    state = None
    if cache and project.engine.cache and models is None and not dry_run:
        progress("looking for changes")
        state = state_of(project, now=now, request=(as_of, rules_only))
        if state is not None and (done := settled(project, state, now=now)) is not None:
            return done
    # scikit-learn and skops take seconds to import
    from churnrisk.scoring.publish import score_anew

    return score_anew(
        project,
        as_of=as_of,
        now=now,
        dry_run=dry_run,
        forced_by=forced_by,
        progress=progress,
        models=models,
        cache=cache,
        take=take,
        batch=batch,
        rules_only=rules_only,
        state=state,
    )
