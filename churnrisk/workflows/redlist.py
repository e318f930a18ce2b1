"""The red list of a project, for a command or a report that opens the history for itself."""

from __future__ import annotations

from datetime import date, datetime

from churnrisk.history import HistoryStore
from churnrisk.records import RedList
from churnrisk.workflows.project import Project
from churnrisk.workflows.worklist import WorklistFilter, find_run, worklist

__all__ = ["WorklistFilter", "find_run", "red_list"]


def red_list(
    project: Project,
    *,
    as_of: date | None,
    wanted: WorklistFilter,
    now: datetime,
    limit: int | None = None,
) -> RedList:
    """Return the red list of a published run: its totals and, at most ``limit`` of them, its rows.

    Raises
    ------
    UsageError
        If nothing has been published (for that date).
    """
    with HistoryStore(project.store_url) as store:
        return worklist(store, as_of=as_of, wanted=wanted, now=now, per_page=limit)
