"""Commands `review` and `reviews`: record what people found out about accounts, and list who changed what."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import (
    AuthorOption,
    DryRunOption,
    FormatOption,
    OutputOption,
    author_or_unknown,
    progress,
    project_of,
    say,
    show_rows,
)
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.records import AuditEntry
    from churnrisk.workflows.reviews import Reviewed

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
    from churnrisk.workflows import reviews
    from churnrisk.workflows.project import open_store

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
    from churnrisk.workflows.project import open_store
    from churnrisk.workflows.reviews import trail

    project = project_of(context)
    if outcomes:
        from churnrisk.workflows.review_outcomes import judge_reviews

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
    which = next(iter(done.desks)) if len(done.desks) == 1 else f"{len(done.desks)} accounts"
    if done.review_id is None:
        return f"dry run, nothing written; {which}: {done.what}"
    way_back = "" if undo else "; `churnrisk review --undo` takes it back"
    return f"review {done.review_id}, {which}: {done.what}{way_back}"


def _state(entry: AuditEntry) -> str:
    if entry.undoes is not None:
        return f"takes back {entry.undoes}"
    return "" if entry.undone_by is None else f"taken back by {entry.undone_by}"
