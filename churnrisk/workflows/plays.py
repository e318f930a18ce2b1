"""The project's playbook, and the play of each scored account."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from churnrisk.contract import Available
from churnrisk.decision import Playbook, load_playbook
from churnrisk.features import CATALOGUE, select_features
from churnrisk.workflows.project import Project


def playbook_of(project: Project, available: Available | None = None) -> Playbook:
    """Return the project's playbook, its own or the shipped one.

    With ``available``, the columns of the tables, every signal that a play names must exist.

    Raises
    ------
    UsageError
        If the playbook cannot be read, or a play names an unknown signal.
    """
    own = project.decision.playbook
    playbook = load_playbook(project.directory / own if own else None)
    if available is not None:
        # A play may name a signal that today's tables do not feed: it waits.
        known = (*CATALOGUE, *select_features(project.features, available))
        playbook.require_features([feature.name for feature in known])
    return playbook


def deadlines_of(project: Project) -> dict[str, int]:
    """Return the deadline of each play of the project, in days."""
    return {play.name: play.deadline_days for play in playbook_of(project).plays}


def add_next_steps(scores: pd.DataFrame, X: pd.DataFrame, playbook: Playbook, moment: datetime) -> None:
    """Add ``play`` (None where only the fallback fits) and ``next_step`` to the scores.

    ``X`` has the features of the same rows, ``moment`` is the as-of date.
    """
    rows = pd.DataFrame(
        {
            "colour": scores["colour"],
            "family": scores["family"],
            "stage": scores["stage"],
            "days_to_renewal": (pd.to_datetime(scores["renewal_at"]) - moment).dt.days,
        }
    )
    plays = playbook.choose(rows, X)
    scores["play"] = plays.to_numpy()
    scores["next_step"] = playbook.sentences(plays, rows["colour"]).to_numpy()
