"""Commands that start a project and look at its data: init, check, sample, demo, features."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import AsFormat, DryRun, Output, ToFile, app, note, progress, project_of, say
from churnrisk.errors import ContractError, UsageError

if TYPE_CHECKING:
    from churnrisk.sources import Question
    from churnrisk.training import CatalogueReport, FeatureWorth

#: File that marks the folder of a demo, which the next one may replace.
_MARK = ".churnrisk-demo"
_COLUMNS = {
    "level": "level", "table": "table", "column": "column", "rule": "what is wrong", "count": "rows",
    "examples": "such as", "fix": "what to do",
}  # fmt: skip
_SIGNAL_COLUMNS = {
    **{name: name for name in ("feature", "family", "meaning", "unit", "window", "direction", "there")},
    "moved": "drift",
    "worth": "AUC alone",
}
_ARROWS = {1: "↑", 0: "·", -1: "↓"}


@app.command(
    epilog="Example: `churnrisk init data/` writes data/churnrisk.toml; `churnrisk init data/ --yes --answer "
    "complaints.severity_order='1 is worst'` asks nothing."
)
def init(
    folder: Annotated[Path, typer.Argument(help="Folder that holds your tables.")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take the defaults.")] = False,
    answer: Annotated[
        list[str] | None, typer.Option("--answer", metavar="KEY=VALUE", help="Answer a question beforehand.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a churnrisk.toml that is there.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Look at a folder of files, ask where two fits are close, write churnrisk.toml and check it."""
    from churnrisk.training import start_project

    answers = dict(_answer(one) for one in answer or ())
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    started = start_project(
        folder,
        force=force,
        dry_run=dry_run,
        answers=answers,
        prompt=_prompt if asks else None,
        now=datetime.now(),
        progress=lambda _: None,
    )
    if dry_run:
        typer.echo(started.text, nl=False)
    for line in started.report:
        say(line)
    if not dry_run:
        say(f"wrote {started.path}")
    if started.waiting:
        say(f"no model yet{started.waiting}. Until then: churnrisk --project {folder} score --rules-only")
    if not started.is_ready:
        raise ContractError("left open:\n" + "\n".join(f"  {line}" for line in started.open))
    say(f"Look it over, then run: churnrisk --project {folder} check")


def _answer(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not value.strip():
        raise UsageError(
            f"--answer {text!r}: expected KEY=VALUE, like complaints.severity_order='1 is worst'."
        )
    return key.strip(), value.strip()


def _prompt(question: Question) -> str | None:
    """Ask on the terminal; an empty answer takes the default, or leaves it open."""
    choices = f" ({', '.join(question.choices)})" if question.choices else ""
    answer: str = typer.prompt(f"{question.text}{choices}", default=question.default or "", err=True)
    return answer.strip() or question.default


@app.command(epilog="Example: `churnrisk connectors`, `churnrisk connectors stripe_dashboard`.")
def connectors(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show this one: its files and settings, as TOML.")
    ] = None,
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """List the products whose exports `init` knows, with those of connectors/ in the project folder."""
    from churnrisk.sources import connectors as known

    directory, _ = context.obj
    there, out = known(directory), Output(format_, output)
    if name is None:
        shown = list if out.format == "json" else ", ".join
        rows = [
            {"name": one.name, "title": one.title, "files": shown(one.files), "tables": shown(one.tables)}
            for one in there.values()
        ]
        out.rows(rows, f"{len(rows)} connectors", {key: key for key in ("name", "title", "files", "tables")})
    elif name not in there:
        raise UsageError(f"expected a connector, found {name!r}. There is {', '.join(there)}.")
    elif out.format == "json":
        out.json(asdict(there[name]) | {"path": f"{name}.toml"})
    else:
        out.text(there[name].path.read_text("utf-8"))


@app.command(epilog="Example: `churnrisk check --leaks --format json`.")
def check(
    context: typer.Context,
    leaks: Annotated[
        bool,
        typer.Option(
            "--leaks",
            help="Cut away the future and see whether any feature changes, or tells the outcome alone.",
        ),
    ] = False,
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """Check the tables against the contract: every violation with its fix."""
    from churnrisk.training import check as run_check

    out = Output(format_, output)
    with progress() as report:
        found = run_check(project_of(context), leaks=leaks, now=datetime.now(), progress=report)
    rows = [asdict(one) | {"examples": ", ".join(one.examples)} for one in found.violations]
    if rows or out.format == "json":
        out.rows(rows, "Contract", _COLUMNS, lambda row: "red" if row["level"] == "error" else None)
    for name, count in found.rows.items():
        reach = found.reach.get(name)
        covered = f", {reach.first} to {reach.last}" if reach else ""
        without = f", {left:,} left out by where" if (left := found.left_out.get(name)) else ""
        say(f"{name}: {count:,} rows{covered}{without}")
    if found.span:
        say(f"the data cover {found.span.start:%Y-%m-%d} to {found.span.end:%Y-%m-%d}")
    for leak in found.leaks or ():
        say(f"leak: {leak.text}")
    if found.leaks == []:
        say(f"no feature sees the future at {', '.join(f'{date:%Y-%m-%d}' for date in found.leak_dates)}")
    note(*(suspect.text for suspect in found.suspects))
    errors = sum(one.level == "error" for one in found.violations)
    if errors:
        raise ContractError(
            f"{errors} violation{'s' if errors > 1 else ''} of the contract must be fixed first."
        )
    if found.leaks:
        raise ContractError(
            f"{len(found.leaks)} features see the future or change by themselves. Fix or exclude them under [features]."
        )
    say(f"the tables meet the contract{f', with {len(rows)} warnings' if rows else ''}")


@app.command(epilog="Example: `churnrisk sample --accounts 5000 --months 24 --seed 1 build/world`.")
def sample(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; made if it is not there.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
    accounts: Annotated[int, typer.Option(min=50, help="How many accounts.")] = 2000,
    months: Annotated[int, typer.Option(min=6, help="How many months of 30 days.")] = 18,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Make a world of customers with known causes of churn: raw tables, settings and the truth."""
    from churnrisk.training import make_sample

    with progress() as report:
        written = make_sample(
            folder, seed=seed, accounts=accounts, months=months, force=force, progress=report
        )
    say(written)
    say(f"next: churnrisk --project {folder} train")


@app.command(epilog="Example: `churnrisk demo --dir build/demo`.")
def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder to work in; an earlier demo is replaced.")
    ] = Path("churnrisk-demo"),
    source: Annotated[
        Path | None, typer.Option("--sample", help="Folder of a sample world; default: make one.")
    ] = None,
) -> None:
    """Run it all on the sample: check, train, promote, score, red list, report."""
    from churnrisk.settings import load_project
    from churnrisk.training import latest_date

    _empty(directory)
    shown = os.path.relpath(directory)
    if source is None:
        _run("sample", shown, "--force")
    else:
        shutil.copytree(source, directory, dirs_exist_ok=True)
    (directory / _MARK).touch()
    month_ago = latest_date(load_project(directory), now=datetime.now()) - timedelta(days=30)
    here = ("--project", shown)
    _run(*here, "check", "--leaks")
    _run(*here, "train")
    _run(*here, "promote", "--author", "demo")
    # a month ago first, so that the list of today has arrows
    _run(*here, "score", "--as-of", f"{month_ago:%Y-%m-%d}")
    _run(*here, "score")
    _run(*here, "redlist", "--limit", "10")
    _run(*here, "report", "--output", f"{shown}/report.html")
    say(f"\nOpen {shown}/report.html in a browser, or work with the list there:")
    say(f"  churnrisk --project {shown} user add {_me()} --role admin   (asks for a password)")
    say(f"  churnrisk --project {shown} serve --open")
    say(f"Why one account: churnrisk --project {shown} explain ACCOUNT")
    say("On your own data: churnrisk init FOLDER_WITH_YOUR_TABLES")


def _run(*arguments: str) -> None:
    say(f"\n$ churnrisk {shlex.join(arguments)}")
    app(list(arguments), standalone_mode=False)


def _me() -> str:
    """Return a sign-in name for the person who runs the demo."""
    try:
        name = getpass.getuser().lower()
    except (KeyError, OSError):  # no name for this user, as in some containers
        return "me"
    return name if re.fullmatch(r"[a-z][a-z0-9_-]{1,30}", name) and name != "root" else "me"


def _empty(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()) and not (directory / _MARK).exists():
        raise UsageError(f"{directory} is not empty and no earlier demo. Choose another folder with --dir.")
    if directory.is_dir():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)


@app.command(
    epilog="Example: `churnrisk features`, `churnrisk features --format csv --output features.csv`, or "
    "`churnrisk features --sql`."
)
def features(
    context: typer.Context,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the query that computes them, with a comment per step.")
    ] = False,
    format_: AsFormat = None,
    output: ToFile = None,
) -> None:
    """List the signals in use: meaning, coverage, drift, and what each is worth alone."""
    from churnrisk.training import catalogue_report, feature_query

    if sql and format_:
        raise UsageError("--sql prints a script, found --format beside it. Leave one of the two out.")
    project, now = project_of(context), datetime.now()
    out = Output("table" if sql else format_, output)
    with progress() as report:
        if sql:
            script = feature_query(project, now=now, progress=report)
        else:
            found = catalogue_report(project, now=now, progress=report)
    if sql:
        out.text(script)
    else:
        _show_signals(found, out)
        note(*(suspect.text for suspect in found.suspects))


def _show_signals(found: CatalogueReport, out: Output) -> None:
    for_people = out.format == "table"
    rows = [row.to_dict() | (_cells(row) if for_people else {}) for row in found.rows]
    title = (
        f"{len(rows)} signals, worth most first: {found.eligible:,} rows at {found.snapshots} snapshots, "
        f"{found.labelled:,} with a known outcome"
    )
    out.rows(rows, title, _SIGNAL_COLUMNS)
    if for_people:
        say(
            "direction: what a higher value can do to the churn probability (↑ raise it, ↓ lower it, · either); "
            f"drift: population stability from {found.oldest:%Y-%m-%d} to {found.latest:%Y-%m-%d}, large from 0.25"
        )


def _cells(row: FeatureWorth) -> dict[str, Any]:
    shown = {True: "↑", False: "↓", None: ""}[row.higher_is_riskier]
    auc = row.auc
    return {
        "window": f"{row.window_days} days" if row.window_days else "–",
        "direction": _ARROWS[row.feature.monotone] + (f" (the data say {shown})" if row.contradicts else ""),
        "there": f"{row.coverage:.0%}",
        "moved": "–" if row.drift is None else f"{row.drift:.2f} {row.drift_size}".rstrip(),
        "worth": (f"{shown} {auc.value:.3f} ({auc.low:.3f}–{auc.high:.3f})".strip() if auc else "–")
        + (" left out" if row.left_out else ""),
    }
