"""Commands of every day: score, redlist, explain, report, monitor."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import (
    AsFormat,
    AsOf,
    Author,
    DryRun,
    Output,
    ToFile,
    app,
    note,
    progress,
    project_of,
    say,
)
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.monitoring import Promised, Promises
    from churnrisk.records import Move, Reason, RedList, RedListRow
    from churnrisk.team import AccountView, PastScore

_TABLE = (
    "place", "colour", "account", "owner", "annual_value", "days_to_renewal", "churn_probability", "reasons", "move",
    "next_step", "touched",
)  # fmt: skip
_BAR = "▁▂▃▄▅▆▇█"


@app.command(
    epilog="Example: `churnrisk score --as-of 2026-06-01`. A batch job needs no more than `churnrisk score`."
)
def score(
    context: typer.Context,
    as_of: AsOf = None,
    force: Annotated[bool, typer.Option("--force", help="Publish even if the colour mix jumps.")] = False,
    author: Author = "unknown",
    dry_run: DryRun = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also write the scores (.csv or .parquet)."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Score with this exported model, without a tracking server."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Read all events; ignore the cached roll-up.")
    ] = False,
    rules_only: Annotated[
        bool,
        typer.Option(
            "--rules-only", help="Too young for a model: colour by the rules alone, without probabilities."
        ),
    ] = False,
) -> None:
    """Score every account with the champion, or with an exported model, and publish the run."""
    from churnrisk.scoring import score as run_score

    write, bundled = None, None
    notes: tuple[str, ...] = ()
    if output:
        from churnrisk.scoring import require_ending, write_scores

        require_ending(output)
        write = partial(write_scores, path=output)
    project = project_of(context)
    if output and project.engine.name == "spark":
        raise UsageError(
            "Spark writes all scores to the folder that `scores` under [engine] names. Leave out --output."
        )
    if bundle:
        from churnrisk.training import read_bundle

        bundled, notes = read_bundle(bundle, project)
    with progress() as report:
        scored = run_score(
            project,
            as_of=as_of.date() if as_of else None,
            now=datetime.now(),
            dry_run=dry_run,
            forced_by=author if force else None,
            progress=report,
            models=bundled,
            cache=not no_cache,
            take=write,
            rules_only=rules_only,
        )
    note(*notes, *scored.notes)
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
    as_of: AsOf = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's accounts.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only your own accounts.")] = False,
    author: Annotated[
        str | None, typer.Option(envvar=["CHURNRISK_AUTHOR", "USER"], help="Who you are, for --mine.")
    ] = None,
    segment: Annotated[str | None, typer.Option(help="Only this segment.")] = None,
    colour: Annotated[
        str | None, typer.Option(help="Colours to list, separated by commas; default: red,amber.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            metavar="work|beyond|watch|handled",
            help="Only this run's work, red beyond the capacity, amber on watch, or what was handled before.",
        ),
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
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """List who to call first, why, and what to do next."""
    from churnrisk.files import csv_text
    from churnrisk.present import COLUMNS, AccountRow, flat, wording
    from churnrisk.records import RedListQuery
    from churnrisk.team import red_list

    if mine and not (owner or author):
        raise UsageError("--mine expects to know who you are. Give --author, or set CHURNRISK_AUTHOR.")
    out = Output(format_, output)
    parameters = {
        "colour": colour,
        "owner": owner or (author if mine else None),
        "segment": segment,
        "place": place,
        "newly_red": "1" if newly_red else None,
        "renews_within": renews_within,
        "reason": reason,
        "snoozed": snoozed,
        "q": search,
        "sort": sort,
    }
    project = project_of(context)
    found = red_list(
        project,
        as_of=as_of.date() if as_of else None,
        query=RedListQuery.from_query({k: str(v) for k, v in parameters.items() if v is not None}),
        now=datetime.now(),
        limit=limit or (25 if out.in_terminal else None),
    )
    if out.format == "csv":
        out.text(csv_text([COLUMNS, *(flat(row).values() for row in found.rows)]))
        return
    if out.format == "json":
        out.json([AccountRow.of(row).model_dump(mode="json") for row in found.rows])
        return
    if out.in_terminal:
        _show_totals(found)
    touched = any(row.state.touched_at for row in found.rows)
    there = {"touched": touched, "churn_probability": found.run.has_model}
    shown = [name for name in _TABLE if there.get(name, True)]
    columns = {name: "\n".join(name.replace("_", " ").rsplit(" ", 1)) for name in shown}
    within = wording.basis(found.run) or f"churn probability within {project.churn.horizon_days} days"
    title = f"{len(found.rows)} of {found.matching} accounts, worst first; {within}"
    rows = [_cells(row) for row in found.rows]
    out.rows(rows, title, columns, lambda row: "red" if " red " in row["colour"] else None)


@app.command(epilog="Example: `churnrisk explain A-00042`.")
def explain(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Account id.")],
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """Say why an account has its colour, and how it came there."""
    from churnrisk.team import account_view

    out = Output(format_, output)
    project = project_of(context)
    view = account_view(project, account, now=datetime.now())
    if out.format == "csv":
        out.rows([dict(past) for past in view.history], account, {})
        return
    if out.format == "json":
        out.json(_account_dict(view))
    else:
        out.text(_account_text(view, project.churn.horizon_days))


@app.command(epilog="Example: `churnrisk report --output monday.html`.")
def report(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write: .html or .xlsx.")
    ] = Path("report.html"),
    as_of: AsOf = None,
) -> None:
    """Write the red list as one HTML file or an xlsx workbook, for those without a terminal."""
    from churnrisk.team import write_report

    project, day = project_of(context), as_of.date() if as_of else None
    with progress() as show:
        write_report(project, output, as_of=day, now=datetime.now(), progress=show)
    say(f"wrote {output}")


@app.command(
    epilog="Example: `churnrisk monitor`; exit code 6 says that a promise of the model in use is withdrawn."
)
def monitor(context: typer.Context, format_: AsFormat = None, output: ToFile = None) -> None:
    """Say whether what green and red promise still holds, by every outcome known since."""
    from churnrisk.monitoring import monitor as watch

    out, found = Output(format_, output), watch(project_of(context))
    rows = [_watched(one, found) for one in found.colours]
    if out.format == "table":
        shown = {"colour": "colour", "promise": "promise", "state": "", "text": "evidence"}
        out.rows(
            rows, f"model version {rows[0]['model_version']}, latest run as of {rows[0]['as_of']}", shown
        )
    else:
        out.rows(rows, "", {})
    found.require_kept()


def _watched(one: Promised, found: Promises) -> dict[str, Any]:
    """Return how a colour's promise stands; ``rows`` holds an account once per window that does not overlap others."""
    from churnrisk.monitoring import IN_FORCE

    latest, evidence, gone = one.latest, one.evidence, one.withdrawn
    within = f" within {found.horizon_days} days" if found.horizon_days else ""
    return {
        "colour": str(one.colour),
        "as_of": f"{found.run.as_of:%Y-%m-%d}" if found.run else None,
        "model_version": found.run.model_version if found.run else None,
        "promise": f"{latest.promise}{within}" if latest and one.state == IN_FORCE else None,
        "horizon_days": found.horizon_days,
        "state": one.state,
        "windows": len(evidence.windows) if evidence else 0,
        "rows": evidence.rows if evidence else 0,
        "churned": evidence.churned if evidence else 0,
        "e_value": evidence.e_value if evidence else None,
        "withdrawn_at": gone[0].withdrawn_at if gone else None,
        "text": one.text,
    }


def _show_totals(found: RedList) -> None:
    """Print the totals over the list, and where it is cut."""
    from churnrisk.present import wording

    parts = []
    for total in found.totals:
        change = "" if total.previous is None else f" ({total.value - total.previous:+,.0f})"
        parts.append(f"{total.label.lower()} {total.value:,.0f}{change}")
    since = f", changes since {found.previous_run.as_of:%Y-%m-%d}" if found.previous_run else ""
    states = {"snoozed": found.snoozed, "churned": found.churned}
    hidden = ", ".join(f"{count:,} {state}" for state, count in states.items() if count)
    hidden = f" ({hidden} not listed)" if hidden else ""
    cut = f"\n{wording.cut(found.places)}" if found.places else ""
    typer.echo(f"As of {found.run.as_of:%Y-%m-%d}{since}: {', '.join(parts)}{hidden}{cut}\n")


def _cells(row: RedListRow) -> dict[str, Any]:
    from churnrisk.present import wording

    rule = f"Rule: {row.rule}. " if row.rule else ""
    return {
        "place": wording.place(row),
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


def _account_text(view: AccountView, horizon_days: int) -> str:
    """Return the account as text for people."""
    latest = view.latest
    title = f"{view.row.name} ({view.row.account_id})" if view.row.name else view.row.account_id
    rule = f" ({latest.rule})" if latest.rule else ""
    lines = [f"{title}: {latest.colour}, decided by {latest.decided_by}{rule}"]
    if latest.churn_probability is not None:
        within = f"within {horizon_days} days, as of {latest.as_of:%Y-%m-%d}"
        lines.append(f"  churn probability {latest.churn_probability:.1%} {within}")
    lines += [f"  {view.outlook.text}"] if view.outlook else []
    lines += [f"  {note}" for note in view.light_notes]
    facts = [
        f"owner {view.row.owner}" if view.row.owner else "",
        f"segment {view.row.segment}" if view.row.segment else "",
        f"worth {view.row.annual_value:,.0f} a year" if view.row.annual_value is not None else "",
        f"renews {view.row.renewal_at:%Y-%m-%d}" if view.row.renewal_at else "",
        f"stage {view.stage}" if view.stage else "",
    ]
    lines.append("  " + ", ".join(fact for fact in facts if fact))
    if (desk := view.state).touched_at:
        quoted = f'; note: "{desk.note}"' if desk.note else ""
        lines.append(f"  {desk.touched_what} by {desk.touched_by} on {desk.touched_at:%Y-%m-%d}{quoted}")
    lines += ["", f"Do first: {view.row.next_step}"] if view.row.next_step else []
    if view.row.reasons:
        lines += ["", "Why:", *(f"  {_reason(reason)}" for reason in view.row.reasons)]
    if what_if := view.row.turnaround:
        lines += ["", "What would turn it:", f"  {what_if.text}"]
        lines += [f"  {one.label}: {_value(one.now)} now, {_value(one.then)} then" for one in what_if.changes]
    lines += ["", *_moved_lines(view.row.move, view.latest.colour)] if view.row.move else []
    lines += ["", f"History: colour, churn within {horizon_days} days", *map(_past_line, view.history[-12:])]
    return "\n".join(lines) + "\n"


def _account_dict(view: AccountView) -> dict[str, Any]:
    """Return the account as JSON: the shape of the API, with the run and the time to churn."""
    from pydantic_core import to_jsonable_python

    from churnrisk.team import FullAccount

    outlook = view.outlook
    to_churn = asdict(outlook) | {"text": outlook.text} if outlook else None
    more: dict[str, Any] = to_jsonable_python({"run": asdict(view.run), "outlook": to_churn})
    return FullAccount.of_view(view).model_dump(mode="json") | more


def _moved_lines(move: Move, colour: str) -> list[str]:
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


def _reason(reason: Reason) -> str:
    compared = not reason.comparison or "(usually " in reason.text
    usual = "" if compared else f"; {reason.comparison}"
    before = "" if reason.previous is None else f"; at the last run: {_value(reason.previous)}"
    weight = "" if reason.contribution is None else f"{reason.contribution:+.2f} log-odds"
    more = f"{weight}{usual}{before}".removeprefix("; ")
    return f"{reason.text} ({more})" if more else reason.text


def _value(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.4g}"


def _past_line(past: PastScore) -> str:
    bar, share = " ", ""
    if (probability := past.churn_probability) is not None:
        bar, share = _BAR[min(7, int(probability * 8))], f"{probability:.1%}"
    return f"  {past.as_of:%Y-%m-%d}  {past.colour:6} {bar} {share}"
