"""Commands of every day: score, redlist, explain, report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import (
    AsOfOption,
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
from churnrisk.errors import ChurnRiskError, UsageError

if TYPE_CHECKING:
    from churnrisk.records import AccountState, Move, Reason, RedList, RedListRow, WhatIf
    from churnrisk.settings import Project
    from churnrisk.team import AccountView, Outlook

COLOUR_STYLES = {"red": "bold red", "amber": "yellow", "green": "green"}
_TABLE = (
    "colour",
    "account",
    "owner",
    "annual_value",
    "days_to_renewal",
    "churn_probability",
    "reasons",
    "move",
    "next_step",
    "touched",
)


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
    from churnrisk.scoring import require_ending, write_scores
    from churnrisk.scoring import score as run_score
    from churnrisk.training import read_bundle

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
    colour: Annotated[
        str | None, typer.Option(help="Colours to list, separated by commas; default: red,amber.")
    ] = None,
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
        str | None,
        typer.Option(metavar="hide|only|all", help="What to do with snoozed accounts; default: hide."),
    ] = None,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="Part of name or id.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="BY", help="loss, probability, renewal, days or name; default: loss."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many rows.")] = None,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """List who to call first, why, and what to do next."""
    from churnrisk.files import csv_text
    from churnrisk.present import COLUMNS, AccountRow, flat
    from churnrisk.records import RedListQuery
    from churnrisk.team import red_list

    if mine and not (owner or author):
        raise UsageError("--mine expects to know who you are. Give --author, or set CHURNRISK_AUTHOR.")
    chosen = choose_format(format_, output)
    in_terminal = chosen is Format.TABLE and output is None
    parameters = {
        "colour": colour,
        "owner": owner or (author if mine else None),
        "segment": segment,
        "newly_red": "1" if newly_red else None,
        "renews_within": renews_within,
        "reason": reason,
        "snoozed": snoozed,
        "q": search,
        "sort": sort,
    }
    found = red_list(
        project_of(context),
        as_of=as_of.date() if as_of else None,
        query=RedListQuery.from_query({k: str(v) for k, v in parameters.items() if v is not None}),
        now=datetime.now(),
        limit=limit or (25 if in_terminal else None),
    )
    if chosen is Format.CSV:
        emit(csv_text([COLUMNS, *(flat(row).values() for row in found.rows)]), output)
        return
    if in_terminal:
        show_totals(found)
    as_json = chosen is Format.JSON
    rows = [AccountRow.of(r).model_dump(mode="json") if as_json else _for_people(r) for r in found.rows]
    touched = any(row.state.touched_at for row in found.rows)
    show_rows(
        rows,
        title=f"{len(rows)} of {found.matching} accounts, worst first",
        format_=chosen,
        output=output,
        columns={
            name: "\n".join(name.replace("_", " ").rsplit(" ", 1))
            for name in _TABLE
            if name != "touched" or touched
        },
        styles=lambda row: "red" if " red " in row["colour"] else None,
    )


@app.command(epilog="Example: `churnrisk explain A-00042`.")
def explain(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Account id.")],
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Say why an account has its colour, and how it came there."""
    import json

    from churnrisk.team import account_view

    project, now = project_of(context), datetime.now()
    view = account_view(project, account, now=now)
    chosen = choose_format(format_, output)
    outlook = None if chosen is Format.CSV else outlook_or_none(project, view, now=now)
    if chosen is Format.CSV:
        history = [dict(past) for past in view.history]
        show_rows(history, title=account, format_=chosen, output=output, columns={})
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
    from churnrisk.team import write_report

    with progress() as show:
        write_report(
            project_of(context),
            output,
            as_of=as_of.date() if as_of else None,
            now=datetime.now(),
            progress=show,
        )
    say(f"wrote {output}")


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


def _for_people(row: RedListRow) -> dict[str, Any]:
    from churnrisk.present import wording

    rule = f"Rule: {row.rule}. " if row.rule else ""
    return {
        "colour": f"{wording.SHAPES[row.colour]} {row.colour} {row.arrow}",
        "account": f"{row.name} ({row.account_id})" if row.name else row.account_id,
        "owner": row.owner,
        "annual_value": row.annual_value,
        "days_to_renewal": row.days_to_renewal,
        "churn_probability": "–" if row.churn_probability is None else f"{row.churn_probability:.0%}",
        "reasons": rule + "; ".join(reason.text for reason in row.reasons[:2]),
        "move": wording.in_short(row.move),
        "next_step": row.next_step,
        "touched": f"{row.state.touched_what} ({row.state.touched_by})" if row.state.touched_at else "",
    }


_BAR = "▁▂▃▄▅▆▇█"


def account_text(view: AccountView, outlook: Outlook | None) -> str:
    """Return the account as text for people."""
    latest = view.latest
    title = f"{view.row.name} ({view.row.account_id})" if view.row.name else view.row.account_id
    lines = [f"{title}: {latest.colour}, decided by {_decided(view)}"]
    if latest.churn_probability is not None:
        lines.append(f"  churn probability {latest.churn_probability:.1%} as of {latest.as_of:%Y-%m-%d}")
    lines += [f"  {outlook.text}"] if outlook else []
    facts = [
        f"owner {view.row.owner}" if view.row.owner else "",
        f"segment {view.row.segment}" if view.row.segment else "",
        f"worth {view.row.annual_value:,.0f} a year" if view.row.annual_value is not None else "",
        f"renews {view.row.renewal_at:%Y-%m-%d}" if view.row.renewal_at else "",
        f"stage {view.stage}" if view.stage else "",
    ]
    lines.append("  " + ", ".join(fact for fact in facts if fact))
    lines += [f"  {_touched(view.state)}"] if view.state.touched_at else []
    lines += ["", f"Do first: {view.row.next_step}"] if view.row.next_step else []
    if view.row.reasons:
        lines += ["", "Why:", *(f"  {_reason(reason)}" for reason in view.row.reasons)]
    lines += ["", *turnaround_lines(view.row.turnaround)] if view.row.turnaround else []
    lines += ["", *moved_lines(view.row.move, view.latest.colour)] if view.row.move else []
    lines += ["", "History:", *_history(view)]
    return "\n".join(lines) + "\n"


def outlook_or_none(project: Project, view: AccountView, *, now: datetime) -> Outlook | None:
    """Return the time to churn; where model or tables cannot tell, say why on stderr."""
    from churnrisk.team import time_to_churn_of

    try:
        with progress() as report:
            return time_to_churn_of(project, view, now=now, progress=report)
    except ChurnRiskError as error:
        say(f"note: no time to churn: {error}")
        return None


def account_dict(view: AccountView, outlook: Outlook | None) -> dict[str, Any]:
    """Return the account as JSON: the shape of the API, with the run and the time to churn."""
    from pydantic_core import to_jsonable_python

    from churnrisk.team import FullAccount

    more: dict[str, Any] = {"run": asdict(view.run)}
    more["outlook"] = asdict(outlook) | {"text": outlook.text} if outlook else None
    more = to_jsonable_python(more)
    return FullAccount.of_view(view).model_dump(mode="json") | more


def turnaround_lines(turnaround: WhatIf) -> list[str]:
    """Return the smallest change that would turn the account, with the signals that it is about."""
    changes = [
        f"  {change.label}: {_value(change.now)} now, {_value(change.then)} then"
        for change in turnaround.changes
    ]
    return ["What would turn it:", f"  {turnaround.text}", *changes]


def moved_lines(move: Move, colour: str) -> list[str]:
    """Return why an account moved: what changed the colour, and the parts that sum to the change."""
    from churnrisk.present import wording

    lines = []
    if move.because:
        lines.append(
            f"Why the colour changed since {move.since:%Y-%m-%d}: {move.previous_colour} to {colour}, "
            f"by {wording.CAUSES[move.because]}"
        )
    if move.log_odds is not None:
        lines.append(f"Why the score moved since {move.since:%Y-%m-%d}: {move.log_odds:+.2f} log-odds")
        lines += [f"  {part.log_odds:+.2f} {part.text}" for part in move.parts if abs(part.log_odds) >= 0.005]
    return lines


def _touched(state: AccountState) -> str:
    note = f'; note: "{state.note}"' if state.note else ""
    return f"{state.touched_what} by {state.touched_by} on {state.touched_at:%Y-%m-%d}{note}"


def _decided(view: AccountView) -> str:
    latest = view.latest
    return f"{latest.decided_by} ({latest.rule})" if latest.rule else latest.decided_by


def _reason(reason: Reason) -> str:
    compared = not reason.comparison or "(usually " in reason.text
    usual = "" if compared else f"; {reason.comparison}"
    before = "" if reason.previous is None else f"; at the last run: {_value(reason.previous)}"
    return f"{reason.text} ({reason.contribution:+.2f} log-odds{usual}{before})"


def _value(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.4g}"


def _history(view: AccountView) -> list[str]:
    return [
        f"  {past.as_of:%Y-%m-%d}  {past.colour:6} {_bar(past.churn_probability)} "
        f"{'' if past.churn_probability is None else f'{past.churn_probability:.1%}'}"
        for past in view.history[-12:]
    ]


def _bar(probability: float | None) -> str:
    return " " if probability is None else _BAR[min(7, int(probability * 8))]
