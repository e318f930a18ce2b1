"""Make a sample world: raw tables with realistic defects, settings that map them, and the truth."""

from __future__ import annotations

from pathlib import Path

from churnrisk.errors import UsageError
from churnrisk.sample import make_world, write_world
from churnrisk.workflows.panel import Progress


def make_sample(
    folder: Path, *, seed: int, accounts: int, months: int, force: bool, progress: Progress
) -> str:
    """Write a sample world and say in a sentence what it is.

    Raises
    ------
    UsageError
        If the folder holds something and ``force`` is not given.
    """
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} is not empty. Choose another folder, or use --force to write into it.")
    progress(f"making a world of {accounts:,} accounts and {months} months")
    world = make_world(seed=seed, accounts=accounts, months=months)
    progress("writing its tables")
    write_world(world, folder)
    return (
        f"wrote {len(world.accounts):,} accounts, {len(world.events):,} events and "
        f"{len(world.complaints):,} complaints to {folder}; the true churn probabilities are in truth.parquet"
    )
