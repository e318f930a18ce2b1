"""Commands of the model's life: train, evaluate, models, promote, rollback."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from churnrisk.cli.app import app
from churnrisk.cli.backtest import refuse_beside_backtest, run_backtest
from churnrisk.cli.show import (
    AuthorOption,
    DryRunOption,
    Format,
    FormatOption,
    OutputOption,
    author_or_unknown,
    choose_format,
    emit,
    progress,
    project_of,
    say,
    show_rows,
)
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.model import Evaluation
    from churnrisk.records import ColourEvidence

METRICS = {
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
    measured = Measured(f"version {version.version}", "the test block", trained.evaluation, trained.evidence)
    show_measured(measured, format_, output)
    for note in trained.notes:
        say(f"note: {note}")
    say(
        f"version {version.version} ({trained.classifier.chosen_}: {trained.classifier.why_chosen_}) is the candidate"
    )
    say("next: churnrisk promote")


@app.command(
    epilog="Example: `churnrisk evaluate --model candidate`, `--folds 5` for a flat table, or "
    "`--backtest --plot promises.png`."
)
def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", help="champion, candidate or a version.")] = "champion",
    folds: Annotated[
        int | None, typer.Option(min=2, max=20, help="Folds of accounts, for flat tables.")
    ] = None,
    backtest: Annotated[
        bool,
        typer.Option("--backtest", help="What the colours promised at every snapshot, and what happened."),
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --backtest: also draw it (.png, .svg or .pdf).")
    ] = None,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Measure a model beside the base rate, the recency rule and the champion; or the colours through time."""
    from churnrisk.workflows.evaluate import evaluate_folds, evaluate_model

    if plot and not backtest:
        raise UsageError("--plot draws the backtest, found no --backtest. Add it.")
    project, now = project_of(context), datetime.now()
    if backtest:
        refuse_beside_backtest(model=model != "champion", folds=folds is not None)
        run_backtest(project, now, plot, format_, output)
        return
    with progress() as report:
        if folds:
            found = evaluate_folds(project, folds=folds, now=now, progress=report)
        else:
            found = evaluate_model(project, version=model, now=now, progress=report)
    show_measured(Measured(found.model, found.block, found.evaluation, found.evidence), format_, output)


@app.command(epilog="Example: `churnrisk models --format json`.")
def models(context: typer.Context, format_: FormatOption = None, output: OutputOption = None) -> None:
    """List all model versions with their figures."""
    from churnrisk.workflows.promote import models as list_models

    rows: list[dict[str, Any]] = [
        {
            "version": item.version,
            "aliases": ", ".join(item.aliases),
            "created": item.created,
            **{name: item.metrics.get(name) for name in METRICS},
            "recency_rule_auc": item.metrics.get("recency_rule_auc"),
            "base_rate": item.metrics.get("base_rate"),
            "run_id": item.run_id,
        }
        for item in list_models(project_of(context))
    ]
    columns = {"version": "version", "aliases": "aliases", "created": "created", **METRICS,
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


class Measured(NamedTuple):
    """What was measured of one model on one block."""

    model: str
    block: str
    evaluation: Evaluation
    evidence: tuple[ColourEvidence, ...]


def show_measured(measured: Measured, format_: Format | None, output: Path | None) -> None:
    """Show figures and evidence: two tables for people, one object as JSON, the figures as CSV."""
    if choose_format(format_, output) is Format.JSON:
        content = {
            "model": measured.model,
            "block": measured.block,
            "evaluation": measured.evaluation.to_dict(),
            "evidence": [asdict(row) for row in measured.evidence],
        }
        emit(json.dumps(content, ensure_ascii=False, indent=2) + "\n", output)
        return
    _show_figures(measured, format_, output)
    if format_ is not Format.CSV and output is None:
        _show_evidence(measured.evidence)


def _show_figures(measured: Measured, format_: Format | None, output: Path | None) -> None:
    evaluation = measured.evaluation
    for_programs = choose_format(format_, output) is Format.CSV
    rows: list[dict[str, Any]] = []
    for scorer, figures in evaluation.figures.items():
        row: dict[str, Any] = {"scorer": scorer}
        for name in METRICS:
            found = figures.get(name)
            if for_programs:
                low, value, high = (found.low, found.value, found.high) if found else (None, None, None)
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            elif found:
                row[name] = f"{found.value:.3f} ({found.low:.3f}–{found.high:.3f})"
        rows.append(row)
    title = (
        f"{measured.model} on {measured.block}: {evaluation.rows:,} rows, {evaluation.accounts:,} accounts, "
        f"base rate {evaluation.base_rate:.1%}"
    )
    show_rows(rows, title=title, format_=format_, output=output, columns={"scorer": "", **METRICS})


def _show_evidence(evidence: tuple[ColourEvidence, ...]) -> None:
    if not evidence:
        return
    rows = [
        {
            "colour": str(row.colour),
            "accounts": row.accounts,
            "rows": row.rows,
            "churned": row.churned,
            "rate": f"{row.churn_rate:.1%}" if row.accounts else "–",
            "bounds": f"{row.churn_low:.1%}–{row.churn_high:.1%}" if row.accounts else "–",
            "promise": row.promise or "–",
            "kept": {True: "kept", False: "broken", None: "–"}[row.kept],
        }
        for row in evidence
    ]
    columns = {"colour": "colour", "accounts": "accounts", "rows": "rows", "churned": "churned",
               "rate": "churn rate",
               "bounds": "95 % bounds", "promise": "promise", "kept": ""}  # fmt: skip
    title = "What happened to the colours there (rate per account and snapshot)"
    show_rows(rows, title=title, format_=Format.TABLE, output=None, columns=columns)
