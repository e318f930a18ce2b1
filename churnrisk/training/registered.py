"""The model versions of a project: the champion, all of them, and the way back."""

from __future__ import annotations

from datetime import datetime

from churnrisk.errors import NoChampionError
from churnrisk.settings import Project
from churnrisk.tracking import CHAMPION, LoadedModel, ModelVersionInfo, Tracking


def tracking_of(project: Project) -> Tracking:
    """Return the registry of a project."""
    return Tracking(project.tracking_uri, project.directory, project.experiment)


def champion_of(tracking: Tracking) -> LoadedModel | None:
    """Return the champion; None before the first promotion."""
    try:
        return tracking.load(CHAMPION)
    except NoChampionError:
        return None


def models(project: Project) -> list[ModelVersionInfo]:
    """Return all versions, newest first; a NoChampionError before the first training."""
    found = tracking_of(project).versions()
    if not found:
        raise NoChampionError("no model has been trained yet. Run `churnrisk train`.")
    return found


def rollback(project: Project, *, author: str, reason: str, now: datetime) -> ModelVersionInfo:
    """Return to the previous champion."""
    return tracking_of(project).rollback(
        reason={"author": author, "at": now.isoformat(timespec="seconds"), "reason": reason}
    )
