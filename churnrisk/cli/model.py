"""Commands of the model's life: train, evaluate, models, promote, rollback."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import (
    AuthorOption,
    DryRunOption,
    FormatOption,
    OutputOption,
    author_or_unknown,
    progress,
    project_of,
    say,
    show_rows,
)

if TYPE_CHECKING:
    from churnrisk.model import Evaluation
    from churnrisk.records import ColourEvidence

_METRICS = {
    "auc": "AUC",
    "average_precision": "AP",
    "log_loss": "log loss",
    "brier": "Brier",
    "calibration_error": "calibration error",
    "lift_top_10": "lift at 10 %",
    "recall_at_capacity": "recall at capacity",
}


@app.command(epilog="Example: `churnrisk --project acme train`.")
def train(context: typer.Context, format_: FormatOption = None, output: OutputOption = None) -> None:
    """Train on every mature snapshot; the new model becomes the candidate."""
    from churnrisk.workflows.train import train as run_train

    project = project_of(context)
    with progress() as report:
        trained, version = run_train(project, now=datetime.now(), progress=report)
    show_figures(trained.evaluation, "On the test block", format_, output)
    show_evidence(trained.evidence, "What happened to the colours there", format_, output)
    for note in trained.notes:
        say(f"note: {note}")
    say(
        f"version {version.version} ({trained.classifier.chosen_}: {trained.classifier.why_chosen_}) is the candidate"
    )
    say("next: churnrisk promote")


@app.command(epilog="Example: `churnrisk evaluate --model candidate`, or `--folds 5` for a flat table.")
def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", help="champion, candidate or a version.")] = "champion",
    folds: Annotated[
        int | None, typer.Option(min=2, max=20, help="Folds of accounts, for flat tables.")
    ] = None,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Measure a model beside the base rate, the recency rule and the champion."""
    from churnrisk.workflows.evaluate import evaluate_folds, evaluate_model

    project, now = project_of(context), datetime.now()
    with progress() as report:
        if folds:
            found = evaluate_folds(project, folds=folds, now=now, progress=report)
        else:
            found = evaluate_model(project, version=model, now=now, progress=report)
    show_figures(found.evaluation, f"{found.model} on {found.block}", format_, output)
    show_evidence(found.evidence, "What happened to the colours", format_, output)


@app.command(epilog="Example: `churnrisk models --format json`.")
def models(context: typer.Context, format_: FormatOption = None, output: OutputOption = None) -> None:
    """List all model versions with their figures."""
    from churnrisk.workflows.promote import models as list_models

    rows: list[dict[str, Any]] = [
        {
            "version": item.version,
            "aliases": ", ".join(item.aliases),
            "created": item.created,
            **{name: item.metrics.get(name) for name in _METRICS},
            "recency_rule_auc": item.metrics.get("recency_rule_auc"),
            "base_rate": item.metrics.get("base_rate"),
            "run_id": item.run_id,
        }
        for item in list_models(project_of(context))
    ]
    columns = {"version": "version", "aliases": "aliases", "created": "created", **_METRICS,
               "recency_rule_auc": "recency AUC", "base_rate": "base rate"}  # fmt: skip
    show_rows(rows, title="Models", format_=format_, output=output, columns=columns)


@app.command(
    epilog="Example: `churnrisk promote` takes the candidate; `churnrisk promote 3` takes version 3."
)
def promote(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(help="Version; default: the candidate.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote even if it is clearly worse.")] = False,
    author: AuthorOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Make a version the champion, unless it is clearly worse than today's."""
    from churnrisk.workflows.promote import promote as run_promote

    with progress() as report:
        promotion = run_promote(
            project_of(context),
            version=version,
            author=author_or_unknown(author),
            force=force,
            dry_run=dry_run,
            now=datetime.now(),
            progress=report,
        )
    verb = "would become" if dry_run else "is"
    say(f"version {promotion.version.version} {verb} the champion: {promotion.why}")
    if promotion.replaced:
        say(f"it replaces version {promotion.replaced}; `churnrisk rollback` returns to it")


@app.command(epilog="Example: `churnrisk rollback --reason 'too many false alarms'`.")
def rollback(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the record.")],
    author: AuthorOption = None,
) -> None:
    """Return to the champion before the present one."""
    from churnrisk.workflows.promote import rollback as run_rollback

    version = run_rollback(
        project_of(context), author=author_or_unknown(author), reason=reason, now=datetime.now()
    )
    say(f"version {version.version} is the champion again")


def show_figures(evaluation: Evaluation, title: str, format_: Any, output: Any) -> None:
    """Show each scorer's figures with their intervals."""
    rows: list[dict[str, Any]] = []
    for scorer, figures in evaluation.figures.items():
        row: dict[str, Any] = {"scorer": scorer}
        for name, interval in figures.items():
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
            row[f"{name}_text"] = f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"
        rows.append(row)
    full = f"{title}: {evaluation.rows:,} rows, {evaluation.accounts:,} accounts, base rate {evaluation.base_rate:.1%}"
    columns = {"scorer": "", **{f"{name}_text": label for name, label in _METRICS.items()}}
    if format_ in (None, "table"):
        show_rows(rows, title=full, format_=format_, output=output, columns=columns)
        return
    plain = [{key: value for key, value in row.items() if not key.endswith("_text")} for row in rows]
    keys = list(dict.fromkeys(key for row in plain for key in row))
    complete = [{key: row.get(key) for key in keys} for row in plain]
    show_rows(complete, title=full, format_=format_, output=output, columns=columns)


def show_evidence(evidence: tuple[ColourEvidence, ...], title: str, format_: Any, output: Any) -> None:
    """Show what happened to the accounts of each colour; tables only."""
    if not evidence or format_ not in (None, "table") or output is not None:
        return
    rows = [
        {
            "colour": str(row.colour),
            "accounts": row.accounts,
            "churned": row.churned,
            "rate": f"{row.churn_rate:.1%}" if row.accounts else "–",
            "bounds": f"{row.churn_low:.1%}–{row.churn_high:.1%}" if row.accounts else "–",
            "promise": row.promise or "–",
            "kept": {True: "kept", False: "broken", None: "–"}[row.kept],
        }
        for row in evidence
    ]
    columns = {"colour": "colour", "accounts": "accounts", "churned": "churned", "rate": "churn rate",
               "bounds": "exact 95 % bounds", "promise": "promise", "kept": ""}  # fmt: skip
    show_rows(rows, title=title, format_=format_, output=output, columns=columns)
