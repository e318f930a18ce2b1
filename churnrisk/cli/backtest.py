"""`churnrisk evaluate --backtest`: what the colours promised at every snapshot, and what happened."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnrisk.cli.show import Format, emit, say, show_rows
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.records import ColourEvidence
    from churnrisk.workflows.backtest import Backtest, ColourAtSnapshot

_SUFFIXES = (".png", ".svg", ".pdf")


def require_picture(plot: Path) -> None:
    """Refuse a file name that names no picture."""
    if plot.suffix not in _SUFFIXES:
        raise UsageError(
            f"--plot expects a file ending in {', '.join(_SUFFIXES)}, found {plot.name}. Rename it."
        )


def show_backtest(found: Backtest, chosen: Format, output: Path | None) -> None:
    """Show tables for people, one object as JSON, the colours at each snapshot as CSV."""
    if chosen is Format.JSON:
        emit(json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n", output)
    else:
        _show(found, chosen, output)


def _show(found: Backtest, chosen: Format, output: Path | None) -> None:
    for_people = chosen is Format.TABLE
    rows = [_words(row) if for_people else _figures(row) for row in found.rows]
    columns = {"as_of": "as of", "colour": "colour", "accounts": "accounts", "share": "share", "churned": "churned",
               "churn_rate": "churn rate", "bounds": "95 % bounds", "promise": "promised", "outcome": "final",
               "model_outcome": "model's own"}  # fmt: skip
    title = (
        f"Trained at each of {len(found.snapshots)} snapshots on what was known then; "
        f"one kind of model only: {found.candidate} ({found.why_candidate})"
    )
    show_rows(rows, title=title, format_=chosen, output=output, columns=columns)
    if for_people and output is None:
        _show_evidence(found)
        print("\n".join(["", *_summary(found)]))
    for date, why in found.skipped:
        say(f"note: {date:%Y-%m-%d} is left out: {why}")


def _figures(row: ColourAtSnapshot) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in asdict(row).items()}


def _words(row: ColourAtSnapshot) -> dict[str, Any]:
    limits = (("at most", row.at_most), ("at least", row.at_least))
    return {
        "as_of": row.as_of,
        "colour": str(row.colour),
        "accounts": row.accounts,
        "share": f"{row.share:.0%}",
        "churned": row.churned,
        **_rate_cells(row, "churn_rate"),
        "promise": " and ".join(f"{words} {limit:.1%}" for words, limit in limits if limit is not None)
        or "–",
        "outcome": row.outcome or "–",
        "model_outcome": row.model_outcome or "–",
    }


def _show_evidence(found: Backtest) -> None:
    kinds = (
        ("final", found.evidence),
        ("without hysteresis", found.evidence_without_hysteresis),
        ("without rules and hysteresis", found.evidence_without_rules),
    )
    rows = [{"kind": kind, **evidence_cells(row)} for kind, evidence in kinds for row in evidence]
    columns = {"kind": "", "colour": "colour", "accounts": "accounts", "rows": "rows", "churned": "churned",
               "rate": "churn rate", "bounds": "95 % bounds"}  # fmt: skip
    title = "All snapshots together (rate per account and snapshot)"
    show_rows(rows, title=title, format_=Format.TABLE, output=None, columns=columns)


def evidence_cells(row: ColourEvidence) -> dict[str, Any]:
    """Return what happened to a colour, as the cells of a table."""
    return {
        "colour": str(row.colour),
        "accounts": row.accounts,
        "rows": row.rows,
        "churned": row.churned,
        **_rate_cells(row, "rate"),
    }


def _rate_cells(row: ColourEvidence | ColourAtSnapshot, name: str) -> dict[str, str]:
    if not row.accounts:
        return {name: "–", "bounds": "–"}
    return {name: f"{row.churn_rate:.1%}", "bounds": f"{row.churn_low:.1%}–{row.churn_high:.1%}"}


def _summary(found: Backtest) -> list[str]:
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
    for name, words in (("flap_rate", "colours that change and are back at the next snapshot"),
                        ("recall", "churners that were red or amber")):  # fmt: skip
        lines.append(
            f"{words}: {_share(summary[name])}, without hysteresis {_share(summary[f'{name}_without_hysteresis'])}"
        )
    return lines


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def draw_backtest(found: Backtest, target: Path) -> None:
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
