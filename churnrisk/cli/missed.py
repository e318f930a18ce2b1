"""The command `missed`: which of the lost accounts were seen coming."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import app
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
)

if TYPE_CHECKING:
    from churnrisk.workflows.missed import Ledger, LostAccount

_SHOWN = 25
_ORDER = ("red", "amber", "green", "grey", "not in the run", "no run")


@app.command(epilog="Example: `churnrisk missed --unseen --format csv --output missed.csv`.")
def missed(
    context: typer.Context,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="List only those who were never seen coming.")
    ] = False,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Show what was said of every lost account 30, 60 and 90 days before, and what the missed have in common."""
    from churnrisk.workflows.missed import MISSED, missed_churners

    chosen = choose_format(format_, output)
    with progress() as report:
        ledger = missed_churners(project_of(context), now=datetime.now(), progress=report)
    lost = [one for one in ledger.accounts if not unseen or one.verdict == MISSED]
    for note in ledger.notes:
        say(f"note: {note}")
    if chosen is Format.JSON:
        found = asdict(ledger) | {"accounts": [asdict(one) for one in lost]}
        emit(json.dumps(found, default=str, ensure_ascii=False, indent=2) + "\n", output)
        return
    for_people = chosen is Format.TABLE and output is None
    if for_people:
        typer.echo(_summary(ledger))
    rows = [_row(one, short=chosen is Format.TABLE) for one in lost]
    shown = rows[:_SHOWN] if for_people else rows
    columns = {
        "account_id": "account",
        "churned_at": "lost",
        "verdict": "verdict",
        **{f"colour_{lead}": f"{lead} days before" for lead in ledger.colours},
        "reasons": "why it was red or amber",
    }
    title = f"{len(shown)} of {len(rows)} lost accounts, the latest first"
    show_rows(shown, title=title, format_=chosen, output=output, columns=columns)


def _row(lost: LostAccount, *, short: bool) -> dict[str, Any]:
    row = {name: getattr(lost, name) for name in lost.__slots__ if name != "before"}
    for lead, score in lost.before.items():
        chance = "" if score is None or score.probability is None else f" {score.probability:.0%}"
        row[f"colour_{lead}"] = None if score is None else score.colour + (chance if short else "")
        if not short:
            row[f"as_of_{lead}"] = None if score is None else score.as_of
            row[f"probability_{lead}"] = None if score is None else score.probability
            row[f"reasons_{lead}"] = None if score is None else list(score.reasons)
    if short:
        known = [score.reasons for score in lost.before.values() if score and score.reasons]
        row["reasons"] = "; ".join(known[0][:2]) if known else None
    return row


def _summary(ledger: Ledger) -> str:
    lines = [
        f"{days} days before: "
        + (", ".join(f"{counts[name]:,} {name}" for name in _ORDER if name in counts) or "nobody was lost")
        for days, counts in ledger.colours.items()
    ]
    total = sum(ledger.verdicts.values())
    verdicts = ", ".join(f"{count:,} {name}" for name, count in ledger.verdicts.items()) or "none"
    lines.append(
        f"Of {total:,} lost accounts near a run: {verdicts}. {ledger.out_of_reach:,} lie too far from any."
    )
    if ledger.common:
        lines.append(f"The never seen coming against the {ledger.green:,} green accounts of these runs:")
        lines += [
            f"  {shared.what} {shared.value}: {shared.missed:,} of them ({shared.missed_share:.0%}) against "
            f"{shared.green_share:.0%}, {shared.ratio:.1f} times as many"
            for shared in ledger.common
        ]
    return "\n".join(lines) + "\n"
