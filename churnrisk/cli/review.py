"""Commands that look back: review, reviews, missed."""

from __future__ import annotations

import json
from dataclasses import asdict
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
    emit,
    progress,
    project_of,
    say,
    show_rows,
)
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.records import AuditEntry
    from churnrisk.team import LostAccount, MissedChurners, Reviewed

_COLUMNS = {
    "review_id": "id",
    "at": "when",
    "author": "who",
    "via": "by",
    "account_id": "account",
    "field": "what",
    "before": "from",
    "after": "to",
    "state": "",
}
_JUDGED = {
    "review_id": "id",
    "account_id": "account",
    "author": "who",
    "at": "when",
    "disposition": "person said",
    "outcome": "what happened",
    "right": "person right",
}


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
    author: AuthorOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Record what you found out about accounts; no scoring run changes it, and it can be taken back."""
    from churnrisk.settings import open_store
    from churnrisk.team import reviews

    who, now = author_or_unknown(author), datetime.now()
    if undo and (accounts or as_ or note or assign is not None):
        raise UsageError("--undo takes a whole review back. Give it without accounts and without a change.")
    if not undo and not accounts:
        raise UsageError("a review expects at least one account id, found none. See `churnrisk redlist`.")
    with open_store(project_of(context)) as store:
        if undo:
            done = reviews.undo(store, author=who, via="cli", now=now, review_id=id_, dry_run=dry_run)
        else:
            change = reviews.Change(as_, None, until.date() if until else None, reason, note, assign)
            versions = dict.fromkeys(accounts or (), None)
            done = reviews.review(store, versions, change, author=who, via="cli", now=now, dry_run=dry_run)
    say(_summary(done, undo=undo))


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
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """List who changed what, when, from what to what, the newest first."""
    from churnrisk.settings import open_store
    from churnrisk.team import trail

    project = project_of(context)
    if outcomes:
        from churnrisk.team import judge_reviews

        with progress() as report:
            judged = judge_reviews(project, now=datetime.now(), progress=report)
        rows = [asdict(one) for one in judged if account in (None, one.account_id)]
        title = f"{len(rows)} reviews and what happened"
        show_rows(rows, title=title, format_=format_, output=output, columns=_JUDGED)
        return
    with open_store(project) as store:
        entries = trail(store, account_id=account, limit=limit)
    rows = [asdict(entry) | {"at": f"{entry.at:%Y-%m-%d %H:%M}", "state": _state(entry)} for entry in entries]
    title = f"{len(rows)} changed fields, the newest first"
    show_rows(rows, title=title, format_=format_, output=output, columns=_COLUMNS)


def _summary(done: Reviewed, *, undo: bool) -> str:
    which = next(iter(done.states)) if len(done.states) == 1 else f"{len(done.states)} accounts"
    if done.review_id is None:
        return f"dry run, nothing written; {which}: {done.what}"
    way_back = "" if undo else "; `churnrisk review --undo` takes it back"
    return f"review {done.review_id}, {which}: {done.what}{way_back}"


def _state(entry: AuditEntry) -> str:
    if entry.undoes is not None:
        return f"takes back {entry.undoes}"
    return "" if entry.undone_by is None else f"taken back by {entry.undone_by}"


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
    from churnrisk.team import MISSED, missed_churners

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
        typer.echo(_missed_summary(ledger))
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


def _missed_summary(ledger: MissedChurners) -> str:
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
