"""Commands of every day: score, redlist, explain, report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import (
    AsOfOption,
    AuthorOption,
    DryRunOption,
    Format,
    FormatOption,
    OutputOption,
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
    from churnrisk.records import RedList, RedListRow

COLOUR_STYLES = {"red": "bold red", "amber": "yellow", "green": "green"}
_COLUMNS = {
    "light": "",
    "account": "account",
    "owner": "owner",
    "annual_value": "value a year",
    "days_to_renewal": "days to renewal",
    "probability": "churn",
    "why": "why",
    "moved": "why it moved",
    "next_step": "next step",
    "touched": "last touch",
}
_SHAPES = {"red": "▲", "amber": "◆", "green": "●", "grey": "○"}


@app.command(
    epilog="Example: `churnrisk score --as-of 2026-06-01`. A batch job needs no more than `churnrisk score`."
)
def score(
    context: typer.Context,
    as_of: AsOfOption = None,
    force: Annotated[bool, typer.Option("--force", help="Publish even if the colour mix jumps.")] = False,
    author: AuthorOption = None,
    dry_run: DryRunOption = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also write the scores (.csv or .parquet)."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Score with this exported model, without a tracking server."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Read all events, without the roll-up kept by earlier runs.")
    ] = False,
) -> None:
    """Score every account with the champion, or with an exported model, and publish the run."""
    from churnrisk.workflows.export import read_bundle
    from churnrisk.workflows.score import score as run_score
    from churnrisk.workflows.score_file import require_ending, write_scores

    if output:
        require_ending(output)
    project = project_of(context)
    if output and project.engine.name == "spark":
        raise UsageError(
            "Spark writes all scores to the folder that `scores` under [engine] names. Leave out --output."
        )
    bundled, notes = read_bundle(bundle, project) if bundle else (None, ())
    with progress() as report:
        scored = run_score(
            project,
            as_of=as_of.date() if as_of else None,
            now=datetime.now(),
            dry_run=dry_run,
            forced_by=author_or_unknown(author) if force else None,
            progress=report,
            models=bundled,
            cache=not no_cache,
            take=partial(write_scores, path=output) if output else None,
        )
    for note in (*notes, *scored.notes):
        say(f"note: {note}")
    run = scored.run
    if run is not None and not scored.is_new:
        say(f"run {run.run_id} as of {run.as_of:%Y-%m-%d} is published already; nothing to do")
        return
    if output:
        say(f"wrote {output}")
    if run is None:
        say("dry run, nothing published: " + ", ".join(f"{n:,} {colour}" for colour, n in scored.mix.items()))
        return
    say(
        f"published run {run.run_id} as of {run.as_of:%Y-%m-%d}: {run.accounts:,} accounts, {run.red:,} red, "
        f"{run.amber:,} amber, {run.green:,} green, {run.grey:,} grey"
    )


@app.command(
    epilog="Example: `churnrisk redlist --mine --renews-within 60`, or "
    "`churnrisk redlist --newly-red --format csv --output monday.csv`."
)
def redlist(
    context: typer.Context,
    as_of: AsOfOption = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's accounts.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only your own accounts.")] = False,
    author: Annotated[
        str | None, typer.Option(envvar=["CHURNRISK_AUTHOR", "USER"], help="Who you are, for --mine.")
    ] = None,
    segment: Annotated[str | None, typer.Option(help="Only this segment.")] = None,
    colour: Annotated[str, typer.Option(help="Colours to list, separated by commas.")] = "red,amber",
    newly_red: Annotated[
        bool, typer.Option("--newly-red", help="Only accounts red since the last run.")
    ] = False,
    renews_within: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Only contracts that renew within so many days.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="FAMILY", help="Only this family of the first reason, such as recency."),
    ] = None,
    snoozed: Annotated[
        str, typer.Option(metavar="hide|only|all", help="What becomes of snoozed accounts.")
    ] = "hide",
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="Part of name or id.")] = None,
    sort: Annotated[
        str, typer.Option(metavar="BY", help="loss, probability, renewal, days or name.")
    ] = "loss",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many rows.")] = None,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """List who to call first, why, and what to do next."""
    from churnrisk.workflows.redlist import WorklistFilter, red_list

    if mine and not (owner or author):
        raise UsageError("--mine expects to know who you are. Give --author, or set CHURNRISK_AUTHOR.")
    chosen = choose_format(format_, output)
    for_people = chosen is Format.TABLE
    wanted = WorklistFilter(
        colours=tuple(part.strip() for part in colour.split(",")),
        owner=owner or (author if mine else None),
        segment=segment,
        newly_red=newly_red,
        renews_within_days=renews_within,
        family=reason,
        snoozed=snoozed,  # type: ignore[arg-type]  # the filter checks it
        search=search,
        sort=sort,  # type: ignore[arg-type]
    )
    found = red_list(
        project_of(context),
        as_of=as_of.date() if as_of else None,
        wanted=wanted,
        now=datetime.now(),
        limit=limit or (25 if for_people and output is None else None),
    )
    rows = [redlist_dict(row) for row in found.rows]
    if for_people and output is None:
        show_totals(found)
    people = [row | _for_people(row) for row in rows] if for_people else rows
    touched = any(row["touched"] for row in rows)
    columns = {key: heading for key, heading in _COLUMNS.items() if key != "touched" or touched}
    title = f"{len(rows)} of {found.matching} accounts, worst first"
    show_rows(people, title=title, format_=chosen, output=output, columns=columns, styles=_style)


@app.command(epilog="Example: `churnrisk explain A-00042`.")
def explain(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Account id.")],
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Say why an account has its colour, and how it came there."""
    import json

    from churnrisk.cli.explain import account_dict, account_text, outlook_or_none
    from churnrisk.workflows.account import account_view

    project, now = project_of(context), datetime.now()
    view = account_view(project, account, now=now)
    chosen = choose_format(format_, output)
    outlook = None if chosen is Format.CSV else outlook_or_none(project, view, now=now)
    if chosen is Format.CSV:
        show_rows(
            account_dict(view, outlook)["history"], title=account, format_=chosen, output=output, columns={}
        )
    elif chosen is Format.JSON:
        emit(
            json.dumps(account_dict(view, outlook), default=str, ensure_ascii=False, indent=2) + "\n", output
        )
    else:
        emit(account_text(view, outlook), output)


@app.command(epilog="Example: `churnrisk report --output monday.html`.")
def report(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write: .html or .xlsx.")
    ] = Path("report.html"),
    as_of: AsOfOption = None,
) -> None:
    """Write the red list as one HTML file or an xlsx workbook, for those without a terminal."""
    from churnrisk.workflows.report import write_report

    with progress() as show:
        write_report(
            project_of(context),
            output,
            as_of=as_of.date() if as_of else None,
            now=datetime.now(),
            progress=show,
        )
    say(f"wrote {output}")


def redlist_dict(row: RedListRow) -> dict[str, Any]:
    """Return a row as programs get it."""
    from churnrisk.cli.explain import turnaround_dict

    return {
        "account_id": row.account_id,
        "name": row.name,
        "owner": row.owner,
        "segment": row.segment,
        "colour": str(row.colour),
        "arrow": row.arrow,
        "previous_colour": str(row.previous_colour) if row.previous_colour else None,
        "decided_by": str(row.decided_by),
        "rule": row.rule,
        "probability": row.churn_probability,
        "previous_probability": row.previous_probability,
        "annual_value": row.annual_value,
        "expected_loss": row.expected_loss,
        "renewal_at": row.renewal_at,
        "days_to_renewal": row.days_to_renewal,
        "days_in_colour": row.days_in_colour,
        "reasons": [reason.text for reason in row.reasons],
        "next_step": row.next_step,
        "moved": asdict(row.moved) if row.moved else None,
        "disposition": row.desk.disposition,
        "snoozed_until": row.desk.snoozed_until,
        "assignee": row.desk.assignee,
        "touched": row.desk.touched_what,
        "touched_by": row.desk.touched_by,
        "touched_at": row.desk.touched_at,
        "turnaround": turnaround_dict(row.turnaround),
    }


def show_totals(found: RedList) -> None:
    """Print the totals over the list."""
    parts = []
    for total in found.totals:
        change = "" if total.previous is None else f" ({total.value - total.previous:+,.0f})"
        parts.append(f"{total.label.lower()} {total.value:,.0f}{change}")
    since = f", changes since {found.previous_run.as_of:%Y-%m-%d}" if found.previous_run else ""
    hidden = {"snoozed": found.snoozed, "churned": found.churned}
    kept_off = ", ".join(f"{count:,} {state}" for state, count in hidden.items() if count)
    kept_off = f" ({kept_off} not listed)" if kept_off else ""
    typer.echo(f"As of {found.run.as_of:%Y-%m-%d}{since}: " + ", ".join(parts) + kept_off + "\n")


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    rule = f"Rule: {row['rule']}. " if row["rule"] else ""
    return {
        "light": f"{_SHAPES[row['colour']]} {row['colour']} {row['arrow']}",
        "account": f"{row['name']} ({row['account_id']})" if row["name"] else row["account_id"],
        "probability": f"{row['probability']:.0%}" if row["probability"] is not None else "–",
        "why": rule + "; ".join(row["reasons"][:2]),
        "moved": _largest(row["moved"]),
        "touched": f"{row['touched']} ({row['touched_by']})" if row["touched"] else "",
    }


def _largest(move: dict[str, Any] | None) -> str:
    """Return the part that moved the account most, or what else changed its colour."""
    if move is None:
        return ""
    named = [part for part in move["parts"] if part["text"] != "other signals"]
    if move["because"] not in (None, "score", "policy") or not named:
        return move["because"] or ""
    part = max(named, key=lambda part: abs(part["log_odds"]))
    return f"{part['log_odds']:+.1f} {part['text']}"


def _style(row: dict[str, Any]) -> str | None:
    return "red" if row["colour"] == "red" else None
