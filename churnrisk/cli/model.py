"""Commands of the model's life: train, evaluate, models, promote, rollback, compare, reproduce, export."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import app
from churnrisk.cli.backtest import draw_backtest, evidence_cells, require_picture, show_backtest
from churnrisk.cli.compare import METRICS, show_comparison
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
from churnrisk.errors import ChurnRiskError, UsageError

if TYPE_CHECKING:
    from churnrisk.records import ColourEvidence
    from churnrisk.tracking import ModelVersionInfo
    from churnrisk.workflows.evaluate import EvaluationReport

_RUN = "Alias, number of a version, or id of an MLflow run."


@app.command(epilog="Example: `churnrisk --project acme train`.")
def train(context: typer.Context, format_: FormatOption = None, output: OutputOption = None) -> None:
    """Train on every mature snapshot; the new model becomes the candidate."""
    from churnrisk.workflows.evaluate import EvaluationReport
    from churnrisk.workflows.train import train as run_train

    with progress() as report:
        trained = run_train(project_of(context), now=datetime.now(), progress=report)
    version, measured = trained.version, (trained.evaluation, trained.evidence, trained.model_evidence)
    _show_report(EvaluationReport(f"version {version}", "the test block", *measured), format_, output)
    for note in trained.notes:
        say(f"note: {note}")
    classifier = trained.classifier
    say(f"version {version} ({classifier.chosen_}: {classifier.why_chosen_}) is the candidate")
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
    if backtest:
        _refuse_beside_backtest(model=model != "champion", folds=folds is not None)
        _run_backtest(context, plot, format_, output)
        return
    project, now = project_of(context), datetime.now()
    with progress() as report:
        if folds:
            found = evaluate_folds(project, folds=folds, now=now, progress=report)
        else:
            found = evaluate_model(project, version=model, now=now, progress=report)
    _show_report(found, format_, output)


def _refuse_beside_backtest(*, model: bool, folds: bool) -> None:
    if model or folds:
        raise UsageError(
            f"--backtest trains at every snapshot, found {'--model' if model else '--folds'} beside it. "
            "Give one of them."
        )


def _run_backtest(
    context: typer.Context, plot: Path | None, format_: Format | None, output: Path | None
) -> None:
    from churnrisk.workflows.backtest import backtest

    chosen = choose_format(format_, output)
    if plot:
        require_picture(plot)
    with progress() as report:
        found = backtest(project_of(context), now=datetime.now(), progress=report)
    show_backtest(found, chosen, output)
    if plot:
        draw_backtest(found, plot)


@app.command(epilog="Example: `churnrisk models --format json`.")
def models(context: typer.Context, format_: FormatOption = None, output: OutputOption = None) -> None:
    """List all model versions with their figures."""
    from churnrisk.workflows.promote import models as list_models

    rows = [_version_row(item) for item in list_models(project_of(context))]
    columns = {"version": "version", "aliases": "aliases", "created": "created", **METRICS,
               "recency_rule_auc": "recency AUC", "base_rate": "base rate"}  # fmt: skip
    show_rows(rows, title="Models", format_=format_, output=output, columns=columns)


def _version_row(item: ModelVersionInfo) -> dict[str, Any]:
    return {
        "version": item.version,
        "aliases": ", ".join(item.aliases),
        "created": item.created,
        **{name: item.metrics.get(name) for name in (*METRICS, "recency_rule_auc", "base_rate")},
        "run_id": item.run_id,
    }


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


@app.command(
    epilog="Example: `churnrisk compare champion candidate`, or `churnrisk compare 3 5 --format json`."
)
def compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help=_RUN)],
    second: Annotated[str, typer.Argument(help=_RUN)],
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Put two model versions side by side: settings, data, features, colours, and figures on the same rows."""
    from churnrisk.workflows.compare import compare as run_compare

    chosen = choose_format(format_, output)
    with progress() as report:
        found = run_compare(project_of(context), first, second, now=datetime.now(), progress=report)
    show_comparison(found, chosen, output)


@app.command(
    epilog="Example: `churnrisk reproduce champion`, or the number of a version or the id of its run."
)
def reproduce(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="champion, candidate, a version or a run.")] = "champion",
) -> None:
    """Train again as a version was trained, and compare every probability; nothing is registered."""
    from churnrisk.workflows.reproduce import reproduce as run_reproduce

    with progress() as report:
        found = run_reproduce(project_of(context), version, progress=report)
    for note in found.notes:
        say(f"note: {note}")
    if not found.identical:
        raise ChurnRiskError(
            f"expected version {found.version} again, found another model: its probabilities differ by up to "
            f"{found.largest_difference:.2g} on {found.rows:,} rows. "
            f"{'Install the versions named above.' if found.notes else 'Another processor may round otherwise.'}"
        )
    say(
        f"version {found.version} came out again, bit for bit: {found.rows:,} probabilities and its thresholds"
    )


@app.command(
    epilog="Example: `churnrisk export models/churn.joblib`, then `churnrisk score --bundle` it elsewhere."
)
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write, such as models/churn.joblib.")],
    version: Annotated[
        str, typer.Option("--version", help="champion, candidate or the number of a version.")
    ] = "champion",
) -> None:
    """Write a model as one file that scores without a tracking server."""
    from churnrisk.workflows.export import export as run_export

    with progress() as report:
        written = run_export(project_of(context), file, version=version, progress=report)
    for note in written.notes:
        say(f"note: {note}")
    say(f"wrote {written.path}: version {written.version}, {written.size:,} bytes, SHA-256 {written.digest}")
    say(f"next: churnrisk score --bundle {written.path}")


def _show_report(found: EvaluationReport, format_: Format | None, output: Path | None) -> None:
    """Show figures and evidence: two tables for people, one object as JSON, the figures as CSV."""
    if choose_format(format_, output) is Format.JSON:
        content = {
            "model": found.model,
            "block": found.block,
            "evaluation": found.evaluation.to_dict(),
            "evidence": [asdict(row) for row in found.evidence],
        }
        emit(json.dumps(content, ensure_ascii=False, indent=2) + "\n", output)
        return
    _show_figures(found, format_, output)
    if found.evidence and format_ is not Format.CSV and output is None:
        _show_evidence(found.evidence)


def _show_figures(report: EvaluationReport, format_: Format | None, output: Path | None) -> None:
    evaluation = report.evaluation
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
        f"{report.model} on {report.block}: {evaluation.rows:,} rows, {evaluation.accounts:,} accounts, "
        f"base rate {evaluation.base_rate:.1%}"
    )
    show_rows(rows, title=title, format_=format_, output=output, columns={"scorer": "", **METRICS})


def _show_evidence(evidence: tuple[ColourEvidence, ...]) -> None:
    rows = [
        evidence_cells(row)
        | {"promise": row.promise or "–", "kept": {True: "kept", False: "broken", None: "–"}[row.kept]}
        for row in evidence
    ]
    columns = {"colour": "colour", "accounts": "accounts", "rows": "rows", "churned": "churned",
               "rate": "churn rate",
               "bounds": "95 % bounds", "promise": "promise", "kept": ""}  # fmt: skip
    title = "What happened to the colours there (rate per account and snapshot)"
    show_rows(rows, title=title, format_=Format.TABLE, output=None, columns=columns)
