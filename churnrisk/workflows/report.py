"""The red list as a static HTML page or a workbook, with what the colours promised and kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from churnrisk import report
from churnrisk.errors import NoChampionError, UsageError
from churnrisk.history import RedListQuery
from churnrisk.records import Colour, ColourEvidence, Interval, RedList
from churnrisk.workflows.panel import Progress
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import tracking_of
from churnrisk.workflows.worklist import red_list

_LABELS = {
    "auc": ("AUC", True),
    "average_precision": ("Average precision", True),
    "lift_top_10": ("Lift in the top 10 %", True),
    "recall_at_capacity": ("Recall at capacity", True),
    "log_loss": ("Log loss", False),
    "brier": ("Brier score", False),
    "calibration_error": ("Calibration error", False),
}


def write_report(
    project: Project, path: Path, *, as_of: date | None, now: datetime, progress: Progress
) -> RedList:
    """Write the red list of a published run to ``.html`` or ``.xlsx``."""
    if path.suffix not in (".html", ".xlsx"):
        raise UsageError(f"{path.name} has no supported file extension. Use .html or .xlsx.")
    progress("reading the history")
    found = red_list(project, as_of=as_of, query=RedListQuery(), now=now)
    if path.suffix == ".xlsx":
        progress("writing the workbook")
        report.write_workbook(path, found, company=project.name)
        return found
    progress("reading what the colours promised")
    documents = _documents(project, found.run.model_version)
    progress("writing the page")
    report.write_report(
        path,
        found,
        company=project.name,
        evidence=_evidence(documents.get("evidence.json", [])),
        metrics=_figures(documents.get("evaluation.json", {})),
    )
    return found


def _documents(project: Project, version: str) -> dict[str, Any]:
    try:
        return tracking_of(project).stored(version).documents
    except (NoChampionError, UsageError):
        # scored with a bundle: the list needs no registry, and the page leaves out what only that knows
        return {}


def _evidence(stored: Sequence[dict[str, Any]]) -> tuple[ColourEvidence, ...]:
    return tuple(
        ColourEvidence(**{**row, "colour": Colour(row["colour"]), "churn_rate": _number(row["churn_rate"])})
        for row in stored
    )


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _figures(stored: dict[str, Any]) -> list[report.Figure]:
    scorers = stored.get("figures", {})
    return [
        report.Figure(
            label,
            {scorer: _interval(figures.get(name)) for scorer, figures in scorers.items()},
            higher_is_better=higher,
        )
        for name, (label, higher) in _LABELS.items()
    ]


def _interval(stored: dict[str, Any] | None) -> Interval | None:
    return None if stored is None else Interval(**{name: _number(value) for name, value in stored.items()})
