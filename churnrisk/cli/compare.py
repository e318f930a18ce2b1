"""How two model versions are shown side by side."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnrisk.cli.show import Format, emit, say, show_rows, table_text

if TYPE_CHECKING:
    from churnrisk.tracking import VersionDetails
    from churnrisk.workflows.compare import Comparison

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


def show_comparison(found: Comparison, chosen: Format, output: Path | None) -> None:
    """Show tables for people, one object as JSON, the metrics as CSV."""
    if chosen is Format.JSON:
        emit(json.dumps(_as_dict(found), default=str, ensure_ascii=False, indent=2) + "\n", output)
    elif chosen is Format.CSV:
        show_rows(_metric_rows(found), title="", format_=chosen, output=output, columns={"metric": "metric"})
    else:
        emit(_text(found), output)
    for note in found.notes:
        say(f"note: {note}")


def _metric_rows(found: Comparison) -> list[dict[str, Any]]:
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


def _as_dict(found: Comparison) -> dict[str, Any]:
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
        for row in _metric_rows(found)
    ]
