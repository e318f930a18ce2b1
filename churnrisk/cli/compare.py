"""The command compare: two model versions side by side."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import app
from churnrisk.cli.model import METRICS
from churnrisk.cli.show import (
    Format,
    FormatOption,
    OutputOption,
    choose_format,
    emit,
    progress,
    project_of,
    say,
    show_rows,
    table_text,
)

if TYPE_CHECKING:
    from churnrisk.tracking import VersionDetails
    from churnrisk.workflows.compare import Comparison

_RUN = "Alias, number of a version, or id of an MLflow run."


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
    if chosen is Format.JSON:
        emit(json.dumps(comparison_dict(found), default=str, ensure_ascii=False, indent=2) + "\n", output)
    elif chosen is Format.CSV:
        show_rows(metric_rows(found), title="", format_=chosen, output=output, columns={"metric": "metric"})
    else:
        emit(_text(found), output)
    for note in found.notes:
        say(f"note: {note}")


def metric_rows(found: Comparison) -> list[dict[str, Any]]:
    """Return one row per metric: both versions, the paired difference and the verdict, with intervals."""
    from churnrisk.workflows.compare import FIRST, verdict

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


def comparison_dict(found: Comparison) -> dict[str, Any]:
    """Return a comparison as programs get it."""
    return {
        "first": _version_dict(found.first),
        "second": _version_dict(found.second),
        "params": [asdict(pair) for pair in found.params],
        "data": [asdict(pair) for pair in found.data],
        "thresholds": [asdict(pair) for pair in found.thresholds],
        "features": {"added": found.added, "dropped": found.dropped, "redefined": found.redefined},
        "block": found.block,
        "metrics": metric_rows(found),
        "notes": found.notes,
    }


def _version_dict(one: VersionDetails) -> dict[str, Any]:
    info = one.info
    return {"version": info.version, "run_id": info.run_id, "created": info.created, "aliases": info.aliases}


def _name(one: VersionDetails) -> str:
    aliases = f" ({', '.join(one.info.aliases)})" if one.info.aliases else ""
    return f"version {one.info.version}{aliases}"


def _text(found: Comparison) -> str:
    names = {"first": _name(found.first), "second": _name(found.second)}
    pairs = [asdict(pair) for pair in (*found.params, *found.data, *found.thresholds)]
    features = {"added": found.added, "dropped": found.dropped, "computed differently": found.redefined}
    parts = [
        table_text(
            pairs,
            "What differs" if pairs else "Settings, data and colours are the same",
            {"name": "", **names},
        )
    ]
    parts += [f"features {what}: {', '.join(listed)}\n" for what, listed in features.items() if listed]
    if not any(features.values()):
        parts.append("both read the same features\n")
    if found.evaluation is not None:
        title = f"On the same {found.block} (difference: second minus first, paired by account)"
        columns = {"name": "", **names, "difference": "difference", "verdict": f"{names['second']} is"}
        parts.append("\n" + table_text(_shown(found), title, columns))
    return "".join(parts)


def _shown(found: Comparison) -> list[dict[str, Any]]:
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
        for row in metric_rows(found)
    ]
