"""Check a project: the contract, and on demand the future-truncation law on its own data and features."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from churnrisk.features import Leak, find_leaks, select_features
from churnrisk.records import Violation
from churnrisk.snapshots import Horizon, build_panel, data_span, training_dates
from churnrisk.sources import open_engine, open_tables
from churnrisk.workflows.panel import Progress, check_tables, refuse
from churnrisk.workflows.project import Project


@dataclass(frozen=True)
class CheckReport:
    """What was found.

    Attributes
    ----------
    rows : dict of str to int
        Usable rows per table.
    violations : list of Violation
        Blocking ones first.
    span : Horizon or None
        What the data cover; None when the tables break the contract.
    leaks : list of Leak or None
        Features that saw the future; None when not asked for.
    """

    rows: dict[str, int]
    violations: list[Violation]
    span: Horizon | None
    leaks: list[Leak] | None


def check(project: Project, *, leaks: bool, now: datetime, progress: Progress) -> CheckReport:
    """Check the tables and, with ``leaks``, cut the data at the middle mature snapshot and compare.

    Raises
    ------
    UsageError, ContractError
        If the tables cannot be opened at all.
    """
    with open_engine(project.engine, base=project.data) as engine:
        progress("reading tables")
        tables = open_tables(engine, project.tables)
        progress("checking the contract")
        violations = check_tables(tables, now=now)
        rows = {name: int(engine.value(f"select count(*) from {name}")) for name in tables.available.tables}
        if any(violation.level == "error" for violation in violations):
            if leaks:
                refuse(violations)
            return CheckReport(rows, violations, None, None)
        span = data_span(tables, project.snapshots, now=now)
        if not leaks:
            return CheckReport(rows, violations, span, None)
        progress("cutting away the future")
        dates = (
            [span.end]
            if project.churn.definition == "labels"
            else training_dates(span, project.snapshots, project.churn)
        )
        build_panel(tables, project.churn, [dates[len(dates) // 2]], data_end=span.end)
        features = select_features(project.features, tables.available)
        found = find_leaks(tables, features, key_features=project.features.key_features)
        return CheckReport(rows, violations, span, found)
