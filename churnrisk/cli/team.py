"""Commands of the team: actions, override, overrides, missed."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import (
    DryRunOption,
    Format,
    FormatOption,
    OutputOption,
    choose_format,
    project_of,
    say,
    show_rows,
)

if TYPE_CHECKING:
    from churnrisk.workflows.actions import Action

_ACTION_COLUMNS = {
    "colour": "colour",
    "account": "account",
    "owner": "owner",
    "play": "play",
    "next_step": "next step",
    "why": "why",
    "due_at": "due",
}


@app.command(
    epilog="Example: `churnrisk actions --new --format csv --output crm.csv`; `--dry-run` shows them without "
    "recording that they were handed out."
)
def actions(
    context: typer.Context,
    new: Annotated[
        bool, typer.Option("--new", help="Only accounts whose colour got worse since the last run.")
    ] = False,
    owner: Annotated[str | None, typer.Option(help="Only this owner's accounts.")] = None,
    colour: Annotated[
        str, typer.Option(help="Colours to act on, separated by commas.")
    ] = "red,amber,green,grey",
    dry_run: DryRunOption = False,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Hand out the actions of the latest run, each account and play once per cooldown, for a CRM or mail tool."""
    from churnrisk.workflows.actions import Action, ActionFilter, hand_out_actions

    chosen = choose_format(format_, output)
    wanted = ActionFilter(tuple(part.strip() for part in colour.split(",")), owner, new)

    def deliver(made: tuple[Action, ...]) -> None:
        rows = [action_dict(action, chosen) for action in made]
        title = f"{len(rows)} actions, most urgent first"
        # a file without rows still has its heading
        columns = (
            _ACTION_COLUMNS if chosen is Format.TABLE else {item.name: item.name for item in fields(Action)}
        )
        show_rows(rows, title=title, format_=chosen, output=output, columns=columns)

    handed = hand_out_actions(
        project_of(context), now=datetime.now(), wanted=wanted, deliver=deliver, record=not dry_run
    )
    done = "would be handed out; nothing recorded" if dry_run else "handed out"
    waiting = f"; {handed.waiting:,} wait for a cooldown or a channel" if handed.waiting else ""
    say(f"{len(handed.actions):,} actions as of {handed.run.as_of:%Y-%m-%d} {done}{waiting}")


def action_dict(action: Action, format_: Format) -> dict[str, Any]:
    """Return an action as programs get it, with one column more for people."""
    row = asdict(action)
    if format_ is Format.TABLE:
        row["account"] = f"{action.name} ({action.account_id})" if action.name else action.account_id
    return row
