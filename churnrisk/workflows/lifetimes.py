"""How long a project's accounts stayed customers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.snapshots import lifetimes
from churnrisk.workflows.panel import Progress, checked_tables
from churnrisk.workflows.project import Project

if TYPE_CHECKING:
    import pandas as pd


def project_lifetimes(project: Project, *, now: datetime, progress: Progress) -> pd.DataFrame:
    """Return one life per account of a project; see :func:`churnrisk.snapshots.lifetimes`.

    Raises
    ------
    ContractError
        If the tables break the contract.
    """
    with checked_tables(project, now=now, progress=progress) as checked:
        progress("reading when accounts were lost")
        return lifetimes(checked.tables, project.churn, data_end=checked.span.end)
