"""Commands that start a project and check it: init, check, sample, demo."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import (
    DryRunOption,
    Format,
    FormatOption,
    OutputOption,
    progress,
    project_of,
    say,
    show_rows,
)
from churnrisk.errors import ContractError


@app.command(epilog="Example: `churnrisk init data/` writes data/churnrisk.toml.")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder that holds your tables.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace a churnrisk.toml that is there.")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Look at a folder of files, guess what they are, and write churnrisk.toml."""
    from churnrisk.workflows.init import start_project

    text, started = start_project(folder, force=force, dry_run=dry_run)
    if dry_run:
        typer.echo(text, nl=False)
        return
    for table, path in started.tables.items():
        say(f"{table:14} {path}")
    for question in started.open_questions:
        say(f"left open: {question}")
    say(f"wrote {started.path}")
    say(f"Look it over, then run: churnrisk --project {folder} check")


@app.command(epilog="Example: `churnrisk check --leaks --format json`.")
def check(
    context: typer.Context,
    leaks: Annotated[
        bool, typer.Option("--leaks", help="Cut away the future and see whether any feature changes.")
    ] = False,
    format_: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Check the tables against the contract: every violation with its mend."""
    from dataclasses import asdict

    from churnrisk.workflows.check import check as run_check

    with progress() as report:
        found = run_check(project_of(context), leaks=leaks, now=datetime.now(), progress=report)
    rows = [asdict(violation) for violation in found.violations]
    for row in rows:
        row["examples"] = ", ".join(row["examples"])
    columns = {"level": "level", "table": "table", "column": "column", "rule": "what is wrong", "count": "rows",
               "examples": "such as", "mend": "what to do"}  # fmt: skip
    if rows or format_ is Format.JSON:
        show_rows(
            rows, title="Contract", format_=format_, output=output, columns=columns, styles=_level_style
        )
    errors = sum(row["level"] == "error" for row in rows)
    say(", ".join(f"{name} {count:,} rows" for name, count in found.rows.items()))
    if found.span:
        say(f"the data cover {found.span.start:%Y-%m-%d} to {found.span.end:%Y-%m-%d}")
    if found.leaks is not None:
        for leak in found.leaks:
            say(f"leak: {leak.feature} changes for {leak.accounts} accounts, such as {leak.example}")
        say(
            "no feature sees the future"
            if not found.leaks
            else "a feature that sees the future must be mended"
        )
    if errors:
        raise ContractError(
            f"{errors} violation{'s' if errors > 1 else ''} of the contract must be mended first."
        )
    if found.leaks:
        raise ContractError(
            f"{len(found.leaks)} features see the future. Mend or exclude them under [features]."
        )
    say(f"the tables keep the contract{f', with {len(rows)} warnings' if rows else ''}")


def _level_style(row: dict[str, object]) -> str | None:
    return "red" if row["level"] == "error" else None


@app.command(epilog="Example: `churnrisk sample --accounts 5000 --months 24 --seed 1 build/world`.")
def sample(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; made if it is not there.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
    accounts: Annotated[int, typer.Option(min=50, help="How many accounts.")] = 2000,
    months: Annotated[int, typer.Option(min=6, help="How many months of 30 days.")] = 18,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Make a world of customers with known causes of churn: raw tables, settings and the truth."""
    from churnrisk.workflows.init import make_sample

    with progress() as report:
        written = make_sample(
            folder, seed=seed, accounts=accounts, months=months, force=force, progress=report
        )
    say(written)
    say(f"next: churnrisk --project {folder} train")


@app.command(epilog="Example: `churnrisk demo --dir build/demo`.")
def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Folder to work in; made anew.")] = Path(
        "churnrisk-demo"
    ),
    source: Annotated[
        Path | None, typer.Option("--sample", help="Folder of a sample world; default: make one.")
    ] = None,
) -> None:
    """Run it all on the sample: check, train, promote, score, red list, report."""
    from churnrisk.cli.demo import run_demo

    run_demo(directory, source)
