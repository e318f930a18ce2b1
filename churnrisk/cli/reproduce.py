"""The command reproduce: a training repeated from its run."""

from __future__ import annotations

from typing import Annotated

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import progress, project_of, say
from churnrisk.errors import ChurnRiskError


@app.command(
    epilog="Example: `churnrisk reproduce champion`, or the number of a version or the id of its run."
)
def reproduce(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="champion, candidate, a version or a run.")] = "champion",
) -> None:
    """Train again as a version was trained, and compare every probability; nothing is registered."""
    from churnrisk.workflows.reproduce import reproduce as run_reproduce

    with progress() as report:
        found = run_reproduce(project_of(context), version, progress=report)
    for note in found.notes:
        say(f"note: {note}")
    if not found.identical:
        raise ChurnRiskError(
            f"expected version {found.version} again, found another model: its probabilities differ by up to "
            f"{found.largest_difference:.2g} on {found.rows:,} rows. "
            f"{'Install the versions named above.' if found.notes else 'Another processor may round otherwise.'}"
        )
    say(
        f"version {found.version} came out again, bit for bit: {found.rows:,} probabilities and its thresholds"
    )
