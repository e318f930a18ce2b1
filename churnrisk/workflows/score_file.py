"""Write scores beside the history, for those who read files."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from churnrisk.errors import UsageError
from churnrisk.files import write_whole
from churnrisk.workflows.project import Project

if TYPE_CHECKING:
    import pandas as pd


def require_ending(path: Path) -> None:
    """Refuse a file whose ending names no format, before any work is done.

    Raises
    ------
    UsageError
        If the ending is neither .csv nor .parquet.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(f"the ending of {path.name} names no format. Use .csv or .parquet.")


def write_scores(scores: pd.DataFrame, path: Path) -> None:
    """Write the scores whole, as CSV or Parquet by the file's ending."""
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        scores.to_parquet(buffer, index=False)
    else:
        scores.to_csv(buffer, index=False)
    write_whole(path, buffer.getvalue())


def scores_path(project: Project, as_of: datetime, run_key: str, *, trial: bool = False) -> str:
    """Return the folder to which Spark writes all scores of a run as Parquet; that of a trial is nobody else's."""
    base = project.engine.scores or str(project.directory / "scores")
    base = base if "://" in base else str(project.directory / Path(base).expanduser())
    # readers of a lake pass by what begins with an underscore
    run = f"_trial-{uuid4().hex}" if trial else f"run={run_key[:16]}"
    return f"{base}/as_of={as_of:%Y-%m-%d}/{run}"
