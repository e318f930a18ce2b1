"""Check a project: the contract and, on demand, that no feature changes when the future is cut away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from churnrisk.features import Leak, find_leaks, select_features
from churnrisk.records import Violation
from churnrisk.snapshots import Horizon, build_panel, data_span, training_dates
from churnrisk.workflows.panel import Progress, opened_tables, refuse
from churnrisk.workflows.project import Project


@dataclass(frozen=True)
class CheckReport:
    """Usable rows per table, violations (blocking ones first), the data range and leaks.

    ``span`` is None if the tables break the contract, ``leaks`` is None if not asked for.
    """

    rows: dict[str, int]
    violations: list[Violation]
    span: Horizon | None
    leaks: list[Leak] | None


def check(project: Project, *, leaks: bool, now: datetime, progress: Progress) -> CheckReport:
    """Check the tables and, with ``leaks``, cut the data at the middle mature snapshot and compare."""
    with opened_tables(project, now=now, progress=progress) as (tables, violations):
        names = tables.available.tables
        rows = {name: int(tables.engine.value(f"select count(*) from {name}")) for name in names}
        if leaks:
            refuse(violations)
        if any(violation.level == "error" for violation in violations):
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
