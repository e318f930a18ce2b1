"""The model card: what a model was made of, how well it does, and what its colours promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.records import Interval

if TYPE_CHECKING:
    from churnrisk.workflows.panel import TrainingPanel
    from churnrisk.workflows.project import Project
    from churnrisk.workflows.trained import Trained


def model_card(trained: Trained, panel: TrainingPanel, project: Project) -> str:
    """Return the model card as Markdown."""
    churn = project.churn
    dates = panel.X.index.get_level_values("as_of")
    sections = [
        f"# Churn model of {project.name}",
        f"Churn means `{churn.definition}` within {churn.horizon_days} days"
        f"{f' after a gap of {churn.gap_days}' if churn.gap_days else ''}.",
        f"Candidate in use: **{trained.classifier.chosen_}** ({trained.classifier.why_chosen_}). "
        f"Reasons are {'exact' if trained.classifier.exact_ else 'approximated'}.",
        f"Panel: {len(panel.X):,} rows, {dates.nunique()} snapshots from {dates.min():%Y-%m-%d} to "
        f"{dates.max():%Y-%m-%d}, {len(panel.features)} features, inputs {panel.digest}.",
        "## On the test block",
        _figures(trained),
        "## What happened to the colours there",
        _evidence(trained),
    ]
    if trained.notes:
        sections += ["## To know", "\n".join(f"- {note}" for note in trained.notes)]
    if panel.violations:
        warnings = [f"- {v.table}.{v.column}: {v.rule} ({v.count:,} rows)" for v in panel.violations]
        sections += ["## Warnings of the contract", "\n".join(warnings)]
    return "\n\n".join(sections) + "\n"


def _figures(trained: Trained) -> str:
    evaluation = trained.evaluation
    metrics = list(evaluation.figures["model"])
    head = f"| | {' | '.join(metrics)} |\n|---|{'---|' * len(metrics)}"
    rows = [
        f"| {scorer} | {' | '.join(_interval(figures.get(name)) for name in metrics)} |"
        for scorer, figures in evaluation.figures.items()
    ]
    note = f"{evaluation.rows:,} rows, {evaluation.churned:,} churned; 95 % intervals by accounts."
    return "\n".join([head, *rows, "", note])


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def _evidence(trained: Trained) -> str:
    rows = [
        f"| {row.colour} | {row.accounts:,} | {row.rows:,} | {row.churned:,} | {row.churn_rate:.1%} | "
        f"{row.churn_low:.1%}–{row.churn_high:.1%} | {row.promise or '–'} |"
        if row.accounts
        else f"| {row.colour} | 0 | 0 | 0 | – | – | {row.promise or '–'} |"
        for row in trained.evidence
    ]
    head = (
        "| colour | accounts | rows | churned | rate per account and snapshot | 95 % bounds | promise |\n"
        "|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *rows])
