"""The command features: the catalogue in use, or the query behind it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import AsFormat, Output, ToFile, app, progress, project_of, say
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.training import CatalogueReport, FeatureWorth

_COLUMNS = {
    "feature": "feature",
    "family": "family",
    "meaning": "meaning",
    "unit": "unit",
    "window": "window",
    "direction": "direction",
    "there": "there",
    "moved": "drift",
    "worth": "AUC alone",
}
_ARROWS = {1: "↑", 0: "·", -1: "↓"}


@app.command(
    epilog="Example: `churnrisk features`, `churnrisk features --format csv --output features.csv`, or "
    "`churnrisk features --sql`."
)
def features(
    context: typer.Context,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the query that computes them, with a comment per step.")
    ] = False,
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """List the signals in use: meaning, coverage, drift, and what each is worth alone."""
    from churnrisk.training import catalogue_report, feature_query

    if sql and format_:
        raise UsageError("--sql prints a script, found --format beside it. Leave one of the two out.")
    project, now = project_of(context), datetime.now()
    out = Output("table" if sql else format_, output)
    with progress() as report:
        if sql:
            script = feature_query(project, now=now, progress=report)
        else:
            found = catalogue_report(project, now=now, progress=report)
    if sql:
        out.text(script)
    else:
        _show(found, out)


def _show(found: CatalogueReport, out: Output) -> None:
    for_people = out.format == "table"
    rows = [row.to_dict() | (_cells(row) if for_people else {}) for row in found.rows]
    title = (
        f"{len(rows)} signals, worth most first: {found.eligible:,} rows at {found.snapshots} snapshots, "
        f"{found.labelled:,} with a known outcome"
    )
    out.rows(rows, title, _COLUMNS)
    if for_people:
        say(
            "direction: what a higher value can do to the churn probability (↑ raise it, ↓ lower it, · either); "
            f"drift: population stability from {found.oldest:%Y-%m-%d} to {found.latest:%Y-%m-%d}, large from 0.25"
        )


def _cells(row: FeatureWorth) -> dict[str, Any]:
    shown = {True: "↑", False: "↓", None: ""}[row.higher_is_riskier]
    auc = row.auc
    return {
        "window": f"{row.window_days} days" if row.window_days else "–",
        "direction": _ARROWS[row.feature.monotone] + (f" (the data say {shown})" if row.contradicts else ""),
        "there": f"{row.coverage:.0%}",
        "moved": "–" if row.drift is None else f"{row.drift:.2f} {row.drift_size}".rstrip(),
        "worth": f"{shown} {auc.value:.3f} ({auc.low:.3f}–{auc.high:.3f})".strip() if auc else "–",
    }
