"""Promote a candidate to champion: by a paired comparison on the same test block."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from churnrisk.errors import GuardError, NoChampionError
from churnrisk.records import Interval
from churnrisk.tracking import CANDIDATE, ModelVersionInfo
from churnrisk.workflows.panel import Progress
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import CHAMPION, tracking_of


@dataclass(frozen=True)
class Promotion:
    """What was decided and why."""

    version: ModelVersionInfo
    replaced: int | None
    why: str


def promote(
    project: Project,
    *,
    version: str | None,
    author: str,
    force: bool,
    dry_run: bool,
    now: datetime,
    progress: Progress,
) -> Promotion:
    """Make a version (default: the candidate) the champion, unless it is clearly worse than today's.

    The comparison is the paired account-level bootstrap of log loss that training stored with the candidate.

    Raises
    ------
    NoChampionError
        If nothing has been trained.
    GuardError
        If the candidate is worse beyond its interval, and ``force`` is not given.
    """
    tracking = tracking_of(project)
    progress("reading the registry")
    versions = {item.version: item for item in tracking.versions()}
    current = next((item.version for item in versions.values() if CHAMPION in item.aliases), None)
    candidate = tracking.load(version or CANDIDATE)
    if current == candidate.version:
        return Promotion(versions[current], None, "it is the champion already")
    difference = _difference(candidate.documents)
    why = _verdict(difference, has_champion=current is not None)
    if difference is not None and current is not None and difference.low > 0 and not force:
        raise GuardError(
            f"version {candidate.version} is worse than the champion, version {current}: its log loss is higher by "
            f"{difference.value:.4f} ({difference.low:.4f} to {difference.high:.4f}). The champion stays. "
            "Use --force to promote it all the same."
        )
    decision = {"author": author, "at": now.isoformat(timespec="seconds"), "why": why, "forced": force}
    if dry_run:
        return Promotion(versions[candidate.version], current, why)
    return Promotion(tracking.promote(candidate.version, decision=decision), current, why)


def rollback(project: Project, *, author: str, reason: str, now: datetime) -> ModelVersionInfo:
    """Return to the champion before the present one.

    Raises
    ------
    NoChampionError
        If there is none.
    """
    return tracking_of(project).rollback(
        reason={"author": author, "at": now.isoformat(timespec="seconds"), "reason": reason}
    )


def models(project: Project) -> list[ModelVersionInfo]:
    """Return all versions, newest first.

    Raises
    ------
    NoChampionError
        If nothing has been trained.
    """
    found = tracking_of(project).versions()
    if not found:
        raise NoChampionError("no model has been trained yet. Run `churnrisk train`.")
    return found


def _difference(documents: dict[str, object]) -> Interval | None:
    evaluation = documents.get("evaluation.json")
    if not isinstance(evaluation, dict):
        return None
    stored = evaluation.get("differences", {}).get(CHAMPION, {}).get("log_loss")
    return Interval(**stored) if stored else None


def _verdict(difference: Interval | None, *, has_champion: bool) -> str:
    if not has_champion:
        return "the first champion"
    if difference is None:
        return "not compared: the champion was not measured beside it"
    words = "better" if difference.high < 0 else "worse" if difference.low > 0 else "no worse"
    return (
        f"{words} than the champion on its test block: log loss {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f})"
    )
