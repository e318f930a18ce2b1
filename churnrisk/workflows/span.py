"""How far a project's data reach."""

from __future__ import annotations

from datetime import datetime

from churnrisk.snapshots import data_span
from churnrisk.sources import open_engine, open_tables
from churnrisk.workflows.project import Project


def latest_date(project: Project, *, now: datetime) -> datetime:
    """Return the latest as-of date that the data allow."""
    with open_engine(project.engine, base=project.data) as engine:
        return data_span(open_tables(engine, project.tables), project.snapshots, now=now).end
