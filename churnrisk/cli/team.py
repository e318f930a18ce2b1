"""Commands of the team: actions, overrides, reviews and missed churners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import AsFormat, Author, DryRun, Output, ToFile, app, note, progress, project_of, say
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.records import AuditEntry
    from churnrisk.team import Action, LostAccount, MissedChurners, Reviewed, ReviewedOverride

_ACTION_COLUMNS = {
    "colour": "colour", "account": "account", "owner": "owner", "play": "play", "next_step": "next step",
    "why": "why", "due_at": "due",
}  # fmt: skip
_OVERRIDE_COLUMNS = {
    "override_id": "id", "account_id": "account", "colour": "colour", "state": "state", "author": "author",
    "reason": "reason", "created_at": "since", "expires_at": "until",
}  # fmt: skip
_OVERRIDE_OUTCOME_COLUMNS = {
    "override_id": "id", "account_id": "account", "author": "author", "created_at": "since",
    "colour": "person said", "model_colour": "model said", "outcome": "what happened",
    "person_right": "person right", "model_right": "model right",
}  # fmt: skip
_REVIEW_COLUMNS = {
    "review_id": "id", "at": "when", "author": "who", "via": "by", "account_id": "account", "field": "what",
    "before": "from", "after": "to", "state": "",
}  # fmt: skip
_REVIEW_OUTCOME_COLUMNS = {
    "review_id": "id", "account_id": "account", "author": "who", "at": "when", "disposition": "person said",
    "outcome": "what happened", "right": "person right",
}  # fmt: skip
_MOST_MISSED_SHOWN = 25
_MISSED_ORDER = ("red", "amber", "green", "grey", "not in the run", "no run")


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
    dry_run: DryRun = False,
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """Hand out the actions of the latest run, each account and play once per cooldown, for a CRM or mail tool."""
    from churnrisk.team import Action, ActionFilter, hand_out_actions

    out = Output(format_, output)
    query = ActionFilter(tuple(part.strip() for part in colour.split(",")), owner, new)

    def deliver(handed_out: tuple[Action, ...]) -> None:
        rows = [asdict(action) for action in handed_out]
        columns = _ACTION_COLUMNS
        if out.format == "table":
            for row, action in zip(rows, handed_out, strict=True):
                row["account"] = f"{action.name} ({action.account_id})" if action.name else action.account_id
        else:
            # A file without rows still has its heading.
            columns = {item.name: item.name for item in fields(Action)}
        out.rows(rows, f"{len(rows)} actions, most urgent first", columns)

    handed = hand_out_actions(
        project_of(context), now=datetime.now(), query=query, deliver=deliver, record=not dry_run
    )
    done = "would be handed out; nothing recorded" if dry_run else "handed out"
    waiting = f"; {handed.waiting:,} wait for a cooldown or a channel" if handed.waiting else ""
    say(f"{len(handed.actions):,} actions as of {handed.run.as_of:%Y-%m-%d} {done}{waiting}")


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
    author: Author = "unknown",
) -> None:
    """Set an account's colour by hand; it survives every scoring run until it ends."""
    from churnrisk.team import make_override

    project, now, end = project_of(context), datetime.now(), until.date()
    made = make_override(project, account, colour=colour, reason=reason, until=end, author=author, now=now)
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
    author: Author = "unknown",
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """List the colours that people set: who, why, until when, and who was right."""
    from churnrisk.team import finish_override, list_overrides, review_overrides

    project, now, out = project_of(context), datetime.now(), Output(format_, output)
    if end is not None:
        finish_override(project, end, author=author, now=now)
        say(f"override {end} has ended; the next `churnrisk score` goes without it")
        return
    if review:
        with progress() as report:
            reviewed = review_overrides(project, now=now, progress=report)
        rows = [asdict(one) for one in reviewed]
        out.rows(rows, f"{len(rows)} overrides and what happened", _OVERRIDE_OUTCOME_COLUMNS)
        say(_who_was_right(reviewed))
        return
    rows = [asdict(one) for one in list_overrides(project, now=now)]
    active = sum(row["state"] == "active" for row in rows)
    out.rows(rows, f"{len(rows)} overrides, {active} active", _OVERRIDE_COLUMNS)


def _who_was_right(reviewed: Sequence[ReviewedOverride]) -> str:
    judged = [one for one in reviewed if one.churned is not None]
    compared = [one for one in judged if one.model_right is not None]
    person = sum(bool(one.person_right) for one in judged)
    model = sum(bool(one.model_right) for one in compared)
    return (
        f"{len(judged)} of {len(reviewed)} overrides have an outcome: the person was right in {person} of "
        f"{len(judged)}, the model in {model} of {len(compared)}"
    )


@app.command(
    epilog='Example: `churnrisk review A-00042 A-00051 --as contacted --note "call on Friday"`; `--as snoozed` needs '
    "`--until` and `--reason`; `churnrisk review --undo` takes your last one back."
)
def review(
    context: typer.Context,
    accounts: Annotated[list[str] | None, typer.Argument(help="Account ids.")] = None,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="WHAT", help="contacted, saved, false_alarm, churned, snoozed, or open for none."
        ),
    ] = None,
    note: Annotated[str | None, typer.Option(help="What there is to know.")] = None,
    assign: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who takes care of it; '' for nobody.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A snooze ends when this day begins.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is snoozed.")] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back your last review, or the one of --id.")
    ] = False,
    id_: Annotated[int | None, typer.Option("--id", metavar="ID", help="The review to take back.")] = None,
    author: Author = "unknown",
    dry_run: DryRun = False,
) -> None:
    """Record what you found out about accounts; no scoring run changes it, and it can be taken back."""
    from churnrisk.settings import open_store
    from churnrisk.team import reviews

    now = datetime.now()
    if undo and (accounts or as_ or note or assign is not None):
        raise UsageError("--undo takes a whole review back. Give it without accounts and without a change.")
    if not undo and not accounts:
        raise UsageError("a review expects at least one account id, found none. See `churnrisk redlist`.")
    with open_store(project_of(context)) as store:
        if undo:
            done = reviews.undo(store, author=author, via="cli", now=now, review_id=id_, dry_run=dry_run)
        else:
            change = reviews.Change(as_, None, until.date() if until else None, reason, note, assign)
            versions = dict.fromkeys(accounts or (), None)
            done = reviews.review(store, versions, change, author=author, via="cli", now=now, dry_run=dry_run)
    say(_review_summary(done, undo=undo))


@app.command(
    "reviews",
    epilog="Example: `churnrisk reviews A-00042`; `churnrisk reviews --outcomes` says who was right later.",
)
def list_reviews(
    context: typer.Context,
    account: Annotated[str | None, typer.Argument(help="Account id; default: all accounts.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many changes.")] = 100,
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="Hold saved and false alarm against what happened later.")
    ] = False,
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """List who changed what, when, from what to what, the newest first."""
    from churnrisk.settings import open_store
    from churnrisk.team import judge_reviews, trail

    project, out = project_of(context), Output(format_, output)
    if outcomes:
        with progress() as report:
            judged = judge_reviews(project, now=datetime.now(), progress=report)
        rows = [asdict(one) for one in judged if account in (None, one.account_id)]
        out.rows(rows, f"{len(rows)} reviews and what happened", _REVIEW_OUTCOME_COLUMNS)
        return
    with open_store(project) as store:
        entries = trail(store, account_id=account, limit=limit)
    rows = [asdict(entry) | {"at": f"{entry.at:%Y-%m-%d %H:%M}", "state": _state(entry)} for entry in entries]
    out.rows(rows, f"{len(rows)} changed fields, the newest first", _REVIEW_COLUMNS)


def _review_summary(done: Reviewed, *, undo: bool) -> str:
    which = next(iter(done.states)) if len(done.states) == 1 else f"{len(done.states)} accounts"
    if done.review_id is None:
        return f"dry run, nothing written; {which}: {done.what}"
    way_back = "" if undo else "; `churnrisk review --undo` takes it back"
    return f"review {done.review_id}, {which}: {done.what}{way_back}"


def _state(entry: AuditEntry) -> str:
    if entry.undoes is not None:
        return f"takes back {entry.undoes}"
    return "" if entry.undone_by is None else f"taken back by {entry.undone_by}"


@app.command(epilog="Example: `churnrisk missed --unseen --format csv --output missed.csv`.")
def missed(
    context: typer.Context,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="List only those who were never seen coming.")
    ] = False,
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """Show what was said of every lost account 30, 60 and 90 days before, and what the missed have in common."""
    from churnrisk.team import MISSED, missed_churners

    out = Output(format_, output)
    with progress() as report:
        ledger = missed_churners(project_of(context), now=datetime.now(), progress=report)
    lost = [one for one in ledger.accounts if not unseen or one.verdict == MISSED]
    note(*ledger.notes)
    if out.format == "json":
        out.json(asdict(ledger) | {"accounts": [asdict(one) for one in lost]})
        return
    if out.in_terminal:
        typer.echo(_missed_summary(ledger))
    shown = lost[:_MOST_MISSED_SHOWN] if out.in_terminal else lost
    columns = {
        "account_id": "account",
        "churned_at": "lost",
        "verdict": "verdict",
        **{f"colour_{lead}": f"{lead} days before" for lead in ledger.colours},
        "reasons": "why it was red or amber",
    }
    title = f"{len(shown)} of {len(lost)} lost accounts, the latest first"
    out.rows([_missed_row(one, short=out.format == "table") for one in shown], title, columns)


def _missed_row(lost: LostAccount, *, short: bool) -> dict[str, Any]:
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


def _missed_summary(ledger: MissedChurners) -> str:
    lines = []
    for days, counts in ledger.colours.items():
        lost = ", ".join(f"{counts[name]:,} {name}" for name in _MISSED_ORDER if name in counts)
        caught, flagged = ledger.caught[days], ledger.flagged[days]
        # to flag everybody catches everybody
        beside = ""
        if caught is not None and flagged is not None:
            of_all = f"{flagged:.0%} of all accounts in these runs"
            beside = f"; red or amber: {caught:.0%} of those with a colour, and {of_all}"
        lines.append(f"{days} days before: {lost or 'nobody was lost'}{beside}")
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
