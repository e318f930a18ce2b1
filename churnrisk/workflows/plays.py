"""The project's playbook, checked against its signals, and the play of each scored account."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pyarrow as pa

from churnrisk.contract import Available
from churnrisk.decision import Playbook, load_playbook
from churnrisk.features import CATALOGUE, select_features
from churnrisk.history.rows import first_families
from churnrisk.workflows.project import Project


def playbook_of(project: Project, available: Available | None = None) -> Playbook:
    """Return the project's playbook: its own, or the shipped one.

    Parameters
    ----------
    project : Project
        The project.
    available : Available, optional
        The tables' columns; with them every signal that a play names must exist.

    Raises
    ------
    UsageError
        If the playbook cannot be read, or a play names an unknown signal.
    """
    own = project.decision.playbook
    playbook = load_playbook(project.directory / own if own else None)
    if available is not None:
        # What the tables do not feed today is known all the same: such a play waits.
        known = (*CATALOGUE, *select_features(project.features, available))
        playbook.require_features([feature.name for feature in known])
    return playbook


def deadlines_of(project: Project) -> dict[str, int]:
    """Return how many days each play of the project leaves."""
    return {play.name: play.deadline_days for play in playbook_of(project).plays}


def add_next_steps(scores: pd.DataFrame, X: pd.DataFrame, playbook: Playbook, moment: datetime) -> None:
    """Put the columns ``play`` (None where only the fallback fits) and ``next_step`` on the scores.

    Parameters
    ----------
    scores : DataFrame
        One row per account: colour, reasons, stage, renewal_at.
    X : DataFrame of shape (accounts, signals)
        In the order of scores.
    playbook : Playbook
        See :func:`playbook_of`.
    moment : datetime
        The as-of date.
    """
    families = first_families(pa.array(scores["reasons"], pa.string(), from_pandas=True))
    rows = pd.DataFrame(
        {
            "colour": scores["colour"],
            "family": pd.Series(families.to_pylist(), index=scores.index, dtype=object),
            "stage": scores["stage"],
            "days_to_renewal": (pd.to_datetime(scores["renewal_at"]) - moment).dt.days,
        }
    )
    plays = playbook.choose(rows, X)
    scores["play"] = plays.to_numpy()
    scores["next_step"] = playbook.sentences(plays, rows["colour"]).to_numpy()
