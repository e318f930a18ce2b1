"""Commands of the team: actions, override, overrides."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import (
    AuthorOption,
    DryRunOption,
    Format,
    FormatOption,
    OutputOption,
    app,
    author_or_unknown,
    choose_format,
    progress,
    project_of,
    say,
    show_rows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from churnrisk.team import Action, ReviewedOverride

_ACTION_COLUMNS = {
    "colour": "colour",
    "account": "account",
    "owner": "owner",
    "play": "play",
    "next_step": "next step",
    "why": "why",
    "due_at": "due",
}
_OVERRIDE_COLUMNS = {
    "override_id": "id",
    "account_id": "account",
    "colour": "colour",
    "state": "state",
    "author": "author",
    "reason": "reason",
    "created_at": "since",
    "expires_at": "until",
}
_REVIEW_COLUMNS = {
    "override_id": "id",
    "account_id": "account",
    "author": "author",
    "created_at": "since",
    "colour": "person said",
    "model_colour": "model said",
    "outcome": "what happened",
    "person_right": "person right",
    "model_right": "model right",
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
    from churnrisk.team import Action, ActionFilter, hand_out_actions

    chosen = choose_format(format_, output)
    wanted = ActionFilter(tuple(part.strip() for part in colour.split(",")), owner, new)

    def deliver(handed_out: tuple[Action, ...]) -> None:
        rows = [_action_row(action, chosen) for action in handed_out]
        title = f"{len(rows)} actions, most urgent first"
        # a file without rows still has its heading
        columns = (
            _ACTION_COLUMNS if chosen is Format.TABLE else {item.name: item.name for item in fields(Action)}
        )
        show_rows(rows, title=title, format_=chosen, output=output, columns=columns)

    handed = hand_out_actions(
        project_of(context), now=datetime.now(), query=wanted, deliver=deliver, record=not dry_run
    )
    done = "would be handed out; nothing recorded" if dry_run else "handed out"
    waiting = f"; {handed.waiting:,} wait for a cooldown or a channel" if handed.waiting else ""
    say(f"{len(handed.actions):,} actions as of {handed.run.as_of:%Y-%m-%d} {done}{waiting}")


def _action_row(action: Action, format_: Format) -> dict[str, Any]:
    """Return an action as a row, with a column more in tables."""
    row = asdict(action)
    if format_ is Format.TABLE:
        row["account"] = f"{action.name} ({action.account_id})" if action.name else action.account_id
    return row


@app.command(
    epilog='Example: `churnrisk override A-00042 --colour green --reason "renewed by phone" --until 2027-03-01`.'
)
def override(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Account id.")],
    colour: Annotated[str, typer.Option(help="green, amber or red.")],
    reason: Annotated[str, typer.Option(help="Why you know better; kept in the record.")],
    until: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="It ends by itself when this day begins.")
    ],
    author: AuthorOption = None,
) -> None:
    """Set an account's colour by hand; it survives every scoring run until it ends."""
    from churnrisk.team import make_override

    made = make_override(
        project_of(context),
        account,
        colour=colour,
        reason=reason,
        until=until.date(),
        author=author_or_unknown(author),
        now=datetime.now(),
    )
    say(
        f"override {made.override_id}: {made.name or account} is {made.colour} instead of {made.colour_before} "
        f"from the next `churnrisk score` on, until {made.expires_at:%Y-%m-%d}"
    )


@app.command(epilog="Example: `churnrisk overrides --review`; `churnrisk overrides --end 7` ends one early.")
def overrides(
    context: typer.Context,
    end: Annotated[int | None, typer.Option(metavar="ID", help="End this override now.")] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Compare each one with what happened later.")
    ] = False,
    author: AuthorOption = None,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """List the colours that people set: who, why, until when, and who was right."""
    from churnrisk.team import finish_override, list_overrides, review_overrides

    project, now = project_of(context), datetime.now()
    if end is not None:
        finish_override(project, end, author=author_or_unknown(author), now=now)
        say(f"override {end} has ended; the next `churnrisk score` goes without it")
        return
    if review:
        with progress() as report:
            reviewed = review_overrides(project, now=now, progress=report)
        rows = [asdict(one) for one in reviewed]
        show_rows(
            rows,
            title=f"{len(rows)} overrides and what happened",
            format_=format_,
            output=output,
            columns=_REVIEW_COLUMNS,
        )
        say(_who_was_right(reviewed))
        return
    rows = [asdict(one) for one in list_overrides(project, now=now)]
    active = sum(row["state"] == "active" for row in rows)
    show_rows(
        rows,
        title=f"{len(rows)} overrides, {active} active",
        format_=format_,
        output=output,
        columns=_OVERRIDE_COLUMNS,
    )


def _who_was_right(reviewed: Sequence[ReviewedOverride]) -> str:
    judged = [one for one in reviewed if one.churned is not None]
    compared = [one for one in judged if one.model_right is not None]
    person = sum(bool(one.person_right) for one in judged)
    model = sum(bool(one.model_right) for one in compared)
    return (
        f"{len(judged)} of {len(reviewed)} overrides have an outcome: the person was right in {person} of "
        f"{len(judged)}, the model in {model} of {len(compared)}"
    )
