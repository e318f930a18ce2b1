"""Commands of the model's life: train, evaluate, compare, models, promote, rollback, reproduce, export."""

from __future__ import annotations

import io
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import AsFormat, Author, DryRun, Output, ToFile, app, note, progress, project_of, say
from churnrisk.errors import ChurnRiskError, UsageError

if TYPE_CHECKING:
    from churnrisk.records import ColourEvidence
    from churnrisk.tracking import VersionDetails
    from churnrisk.training import Backtest, ColourAtSnapshot, Comparison, EvaluationReport

#: Metrics in the order shown, with their headings.
METRICS = {
    "auc": "AUC",
    "average_precision": "AP",
    "log_loss": "log loss",
    "brier": "Brier",
    "calibration_error": "calibration error",
    "lift_top_10": "lift at 10 %",
    "recall_at_capacity": "recall at capacity",
}
_EVIDENCE_COLUMNS = {
    "colour": "colour", "share": "of all rows", "rows": "rows", "accounts": "accounts", "churned": "rows churned",
    "rate": "churn rate", "bounds": "95 % bounds", "recall": "of all churned",
}  # fmt: skip
_UNIT = "(a row is an account at a snapshot; churn rate = rows churned / rows)"
_PICTURES = (".png", ".svg", ".pdf")
_RUN = "Alias, number of a version, or id of an MLflow run."


@app.command(epilog="Example: `churnrisk --project acme train`.")
def train(context: typer.Context, format_: AsFormat = None, output: ToFile = None) -> None:
    """Train on every mature snapshot; the new model becomes the candidate."""
    from churnrisk.training import EvaluationReport, within
    from churnrisk.training import train as run_train

    out, project = Output(format_, output), project_of(context)
    with progress() as report:
        trained = run_train(project, now=datetime.now(), progress=report)
    found = EvaluationReport(
        f"version {trained.version}",
        "the test block",
        within(project.churn),
        trained.evaluation,
        trained.evidence,
        trained.model_evidence,
        trained.rules,
        trained.light_verdict,
    )
    _show_report(found, out)
    note(*trained.notes)
    classifier = trained.classifier
    say(f"version {trained.version} ({classifier.chosen_}: {classifier.why_chosen_}) is the candidate")
    _show_verdict(found, out)
    say("next: churnrisk promote")


@app.command(
    epilog="Example: `churnrisk evaluate --model candidate`, `--folds 5` for a flat table, or "
    "`--backtest --plot promises.png`."
)
def evaluate(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="champion, candidate or a version; default: the champion if there is one."
        ),
    ] = None,
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
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """Measure a model beside the base rate, the recency rule and the champion; or the colours through time."""
    from churnrisk.training import evaluate_folds, evaluate_model

    out = Output(format_, output)
    if backtest:
        _backtest(context, model=model, folds=folds, plot=plot, out=out)
        return
    if plot:
        raise UsageError("--plot draws the backtest, found no --backtest. Add it.")
    project, now = project_of(context), datetime.now()
    with progress() as report:
        if folds:
            found = evaluate_folds(project, folds=folds, now=now, progress=report)
        else:
            found = evaluate_model(project, version=model, now=now, progress=report)
    _show_report(found, out)
    _show_verdict(found, out)


def _backtest(
    context: typer.Context, *, model: str | None, folds: int | None, plot: Path | None, out: Output
) -> None:
    from churnrisk.training import backtest

    if model is not None or folds is not None:
        other = "--folds" if model is None else "--model"
        raise UsageError(f"--backtest trains at every snapshot, found {other} beside it. Give one of them.")
    if plot and plot.suffix not in _PICTURES:
        raise UsageError(
            f"--plot expects a file ending in {', '.join(_PICTURES)}, found {plot.name}. Rename it."
        )
    with progress() as report:
        found = backtest(project_of(context), now=datetime.now(), progress=report)
    if out.format == "json":
        out.json(found.to_dict())
    else:
        _show_backtest(found, out)
    if plot:
        _draw_backtest(found, plot)


@app.command(epilog="Example: `churnrisk models --format json`.")
def models(context: typer.Context, format_: AsFormat = None, output: ToFile = None) -> None:
    """List all model versions with their figures."""
    from churnrisk.training import models as list_models

    figures = {
        **METRICS,
        "recency_rule_auc": "recency AUC",
        "base_rate": "base rate",
        "light_efficiency": "light efficiency",
    }
    rows = []
    for item in list_models(project_of(context)):
        known = {"version": item.version, "aliases": ", ".join(item.aliases), "created": item.created}
        metrics = {name: item.metrics.get(name) for name in figures}
        rows.append({**known, **metrics, "run_id": item.run_id})
    columns = {"version": "version", "aliases": "aliases", "created": "created", **figures}
    Output(format_, output).rows(rows, "Models", columns)


@app.command(
    epilog="Example: `churnrisk promote` takes the candidate; `churnrisk promote 3` takes version 3."
)
def promote(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(help="Version; default: the candidate.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote even if it is clearly worse.")] = False,
    author: Author = "unknown",
    dry_run: DryRun = False,
) -> None:
    """Make a version the champion, unless it is clearly worse than today's."""
    from churnrisk.training import promote as run_promote

    project, now = project_of(context), datetime.now()
    with progress() as report:
        promotion = run_promote(
            project, version=version, author=author, force=force, dry_run=dry_run, now=now, progress=report
        )
    verb = "would become" if dry_run else "is"
    say(f"version {promotion.version.version} {verb} the champion: {promotion.why}")
    if promotion.replaced:
        say(f"it replaces version {promotion.replaced}; `churnrisk rollback` returns to it")


@app.command(epilog="Example: `churnrisk rollback --reason 'too many false alarms'`.")
def rollback(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the record.")],
    author: Author = "unknown",
) -> None:
    """Return to the champion before the present one."""
    from churnrisk.training import rollback as run_rollback

    version = run_rollback(project_of(context), author=author, reason=reason, now=datetime.now())
    say(f"version {version.version} is the champion again")


@app.command(
    epilog="Example: `churnrisk compare champion candidate`, or `churnrisk compare 3 5 --format json`."
)
def compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help=_RUN)],
    second: Annotated[str, typer.Argument(help=_RUN)],
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """Put two model versions side by side: settings, data, features, colours, and figures on the same rows."""
    from churnrisk.training import compare as run_compare

    out = Output(format_, output)
    with progress() as report:
        found = run_compare(project_of(context), first, second, now=datetime.now(), progress=report)
    if out.format == "json":
        out.json(_comparison_dict(found))
    elif out.format == "csv":
        out.rows(_metric_rows(found), "", {"metric": "metric"})
    else:
        out.text(_comparison_text(found, out))
    note(*found.notes)


@app.command(
    epilog="Example: `churnrisk reproduce champion`, or the number of a version or the id of its run."
)
def reproduce(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="champion, candidate, a version or a run.")] = "champion",
) -> None:
    """Train again as a version was trained, and compare every probability; nothing is registered."""
    from churnrisk.training import reproduce as run_reproduce

    with progress() as report:
        found = run_reproduce(project_of(context), version, progress=report)
    note(*found.notes)
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
    from churnrisk.training import export as run_export

    with progress() as report:
        written = run_export(project_of(context), file, version=version, progress=report)
    note(*written.notes)
    say(f"wrote {written.path}: version {written.version}, {written.size:,} bytes, SHA-256 {written.digest}")
    say(f"next: churnrisk score --bundle {written.path}")


def _show_report(found: EvaluationReport, out: Output) -> None:
    """Show figures and evidence: two tables for people, one object as JSON, the figures as CSV."""
    evaluation = found.evaluation
    if out.format == "json":
        out.json(found.to_dict())
        return
    rows: list[dict[str, Any]] = []
    for scorer, figures in evaluation.figures.items():
        row: dict[str, Any] = {"scorer": scorer}
        for name in METRICS:
            figure = figures.get(name)
            if out.format == "csv":
                low, value, high = (figure.low, figure.value, figure.high) if figure else (None, None, None)
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            elif figure:
                row[name] = f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"
        rows.append(row)
    title = (
        f"{found.model} on {found.block}: {evaluation.rows:,} rows, {evaluation.accounts:,} accounts, "
        f"base rate {evaluation.base_rate:.1%}"
    )
    out.rows(rows, title, {"scorer": "", **METRICS})
    if found.evidence and out.in_terminal:
        kept = {True: "kept", False: "broken", None: "–"}
        rows = [
            _evidence_cells(row) | {"promise": row.promise or "–", "kept": kept[row.kept]}
            for row in found.evidence
        ]
        title = f"What happened to the colours there {found.within} {_UNIT}"
        out.rows(rows, title, {**_EVIDENCE_COLUMNS, "promise": "promise", "kept": ""})


def _show_verdict(found: EvaluationReport, out: Output) -> None:
    """Show whether the light helps and what would help most: below the tables, else as messages."""
    show = print if out.in_terminal else say
    for number, line in enumerate(found.light_lines):
        show(f"  would help: {line}" if number else line)


def _evidence_cells(row: ColourEvidence) -> dict[str, Any]:
    return {
        "colour": str(row.colour),
        "share": f"{row.share:.0%}",
        "rows": row.rows,
        "accounts": row.accounts,
        "churned": row.churned_rows,
        **_rate_cells(row, "rate"),
        "recall": f"{row.recall:.0%}",
    }


def _rate_cells(row: ColourEvidence | ColourAtSnapshot, name: str) -> dict[str, str]:
    if not row.accounts:
        return {name: "–", "bounds": "–"}
    return {name: f"{row.churn_rate:.1%}", "bounds": f"{row.churn_low:.1%}–{row.churn_high:.1%}"}


def _show_backtest(found: Backtest, out: Output) -> None:
    """Show tables for people, the colours at each snapshot as CSV."""
    as_cells = _snapshot_cells if out.format == "table" else _snapshot_figures
    columns = {"as_of": "as of", "colour": "colour", "accounts": "accounts", "share": "share", "churned": "churned",
               "churn_rate": "churn rate", "bounds": "95 % bounds", "recall": "of all churned", "promise": "promised",
               "outcome": "final", "model_outcome": "model's own"}  # fmt: skip
    title = (
        f"Trained at each of {len(found.snapshots)} snapshots on what was known then; "
        f"one kind of model only: {found.candidate} ({found.why_candidate}); churn {found.within}"
    )
    out.rows([as_cells(row) for row in found.rows], title, columns)
    if out.in_terminal:
        kinds = (
            ("final", found.evidence),
            ("without hysteresis", found.evidence_without_hysteresis),
            ("without rules and hysteresis", found.evidence_without_rules),
        )
        rows = [{"kind": kind, **_evidence_cells(row)} for kind, evidence in kinds for row in evidence]
        title = f"All snapshots together, churn {found.within} {_UNIT}"
        out.rows(rows, title, {"kind": "", **_EVIDENCE_COLUMNS})
        print("\n".join(["", *_backtest_summary(found)]))
    for date, why in found.skipped:
        note(f"{date:%Y-%m-%d} is left out: {why}")


def _snapshot_figures(row: ColourAtSnapshot) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in asdict(row).items()}


def _snapshot_cells(row: ColourAtSnapshot) -> dict[str, Any]:
    limits = (("at most", row.at_most), ("at least", row.at_least))
    return {
        "as_of": row.as_of,
        "colour": str(row.colour),
        "accounts": row.accounts,
        "share": f"{row.share:.0%}",
        "churned": row.churned,
        **_rate_cells(row, "churn_rate"),
        "recall": _share(None if row.recall != row.recall else row.recall),
        "promise": " and ".join(f"{words} {limit:.1%}" for words, limit in limits if limit is not None)
        or "–",
        "outcome": row.outcome or "–",
        "model_outcome": row.model_outcome or "–",
    }


def _backtest_summary(found: Backtest) -> list[str]:
    summary = found.to_dict()["summary"]
    lines = []
    for colour, counts in summary["promises"].items():
        if any(counts.values()):
            last = summary["promises_last_5"][colour]["broken"]
            lines.append(
                f"{colour}: {counts['kept']} kept, {counts['broken']} broken, {counts['unclear']} unclear "
                f"(missed by no more than chance); {last} broken in the last five; "
                f"the model's own, before rules and hysteresis: {summary['promises_of_model'][colour]['broken']} broken"
            )
    shares = ", ".join(f"{share:.0%} {colour}" for colour, share in summary["shares"].items())
    lines.append(f"shares on average: {shares}")
    own = _share(summary["median_efficiency_of_model"])
    lines.append(
        f"efficiency (share of the probability's information that the colours keep): median of the snapshots "
        f"{_share(summary['median_efficiency'])}, of the model's own colours {own}"
    )
    for name, words in (("flap_rate", "colours that change and are back at the next snapshot"),
                        ("recall", f"churners that were red or amber, where {summary['flagged']:.0%} of all accounts "
                                   "were")):  # fmt: skip
        lines.append(
            f"{words}: {_share(summary[name])}, without hysteresis {_share(summary[f'{name}_without_hysteresis'])}"
        )
    return lines


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _draw_backtest(found: Backtest, target: Path) -> None:
    """Write the picture of a backtest: promises above, shares below."""
    import pandas as pd
    from matplotlib.figure import Figure

    from churnrisk.files import write_whole
    from churnrisk.plots import plot_promises, plot_shares

    history = pd.DataFrame([asdict(row) for row in found.rows])
    figure = Figure(figsize=(9, 8), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    plot_promises(history, ax=upper)
    plot_shares(history, ax=lower)
    picture = io.BytesIO()
    figure.savefig(picture, format=target.suffix[1:])
    write_whole(target, picture.getvalue())
    say(f"wrote {target}")


def _comparison_dict(found: Comparison) -> dict[str, Any]:
    return {
        "first": _version_dict(found.first),
        "second": _version_dict(found.second),
        "params": [asdict(pair) for pair in found.params],
        "data": [asdict(pair) for pair in found.data],
        "thresholds": [asdict(pair) for pair in found.thresholds],
        "features": {"added": found.added, "dropped": found.dropped, "redefined": found.redefined},
        "block": found.block,
        "metrics": _metric_rows(found),
        "notes": found.notes,
    }


def _version_dict(one: VersionDetails) -> dict[str, Any]:
    info = one.info
    return {"version": info.version, "run_id": info.run_id, "created": info.created, "aliases": info.aliases}


def _name(one: VersionDetails) -> str:
    aliases = f" ({', '.join(one.info.aliases)})" if one.info.aliases else ""
    return f"version {one.info.version}{aliases}"


def _comparison_text(found: Comparison, out: Output) -> str:
    names = {"first": _name(found.first), "second": _name(found.second)}
    pairs = [asdict(pair) for pair in (*found.params, *found.data, *found.thresholds)]
    features = {"added": found.added, "dropped": found.dropped, "computed differently": found.redefined}
    title = "What differs" if pairs else "Settings, data and colours are the same"
    parts = [out.table(pairs, title, {"name": "", **names})]
    parts += [f"features {what}: {', '.join(listed)}\n" for what, listed in features.items() if listed]
    if not any(features.values()):
        parts.append("both read the same features\n")
    if found.evaluation is not None:
        title = f"On the same {found.block} (difference: second minus first, paired by account)"
        columns = {"name": "", **names, "difference": "difference", "verdict": f"{names['second']} is"}
        parts.append("\n" + out.table(_metric_cells(found), title, columns))
    return "".join(parts)


def _metric_cells(found: Comparison) -> list[dict[str, Any]]:
    def interval(row: dict[str, Any], what: str, form: str) -> str:
        low, high = row[f"{what}_low"], row[f"{what}_high"]
        return f"{row[what]:{form}} ({low:{form}} to {high:{form}})"

    return [
        {
            "name": METRICS[row["metric"]],
            "first": interval(row, "first", ".3f"),
            "second": interval(row, "second", ".3f"),
            "difference": interval(row, "difference", "+.4f"),
            "verdict": row["verdict"],
        }
        for row in _metric_rows(found)
    ]


def _metric_rows(found: Comparison) -> list[dict[str, Any]]:
    """Return one row per metric: both versions, the paired difference and the verdict, with intervals."""
    from churnrisk.training import FIRST, verdict

    if found.evaluation is None:
        return []
    rows = []
    for name in METRICS:
        one, other = (found.evaluation.figures[scorer].get(name) for scorer in (FIRST, "model"))
        difference = found.evaluation.differences[FIRST].get(name)
        if one is None or other is None or difference is None:
            continue
        row: dict[str, Any] = {"metric": name}
        for what, interval in (("first", one), ("second", other), ("difference", difference)):
            row |= {what: interval.value, f"{what}_low": interval.low, f"{what}_high": interval.high}
        rows.append(row | {"verdict": verdict(name, difference)})
    return rows
