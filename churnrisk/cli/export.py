"""The command export: a model as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import progress, project_of, say


@app.command(
    epilog="Example: `churnrisk export models/churn.joblib`, then `churnrisk score --bundle` it elsewhere."
)
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write, such as models/churn.joblib.")],
    version: Annotated[
        str, typer.Option("--version", help="champion, candidate or the number of a version.")
    ] = "champion",
) -> None:
    """Write a model as one file that scores without a tracking server."""
    from churnrisk.workflows.export import export as run_export

    with progress() as report:
        written = run_export(project_of(context), file, version=version, progress=report)
    for note in written.notes:
        say(f"note: {note}")
    say(f"wrote {written.path}: version {written.version}, {written.size:,} bytes, SHA-256 {written.digest}")
    say(f"next: churnrisk score --bundle {written.path}")
