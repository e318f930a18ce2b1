"""Computed scores on their way into the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd


def _nothing() -> None:
    """Leave everything as it is."""


@dataclass(frozen=True)
class Computed:
    """The scores of a run before it is published.

    Attributes
    ----------
    frames : iterable of DataFrame
        Accounts with everything that the history keeps of them; may be made as they are read.
    mix : mapping of str to int
        Accounts by colour.
    notes : tuple of str
        What a reader should know.
    rest : DataFrame, optional
        Sums of the accounts that the history does not keep: see :meth:`churnrisk.history.HistoryStore.publish`.
    discard : callable
        Removes what was written beside the history; for a run that is not published after all.
    """

    frames: Iterable[pd.DataFrame]
    mix: Mapping[str, int]
    notes: tuple[str, ...]
    rest: pd.DataFrame | None = None
    discard: Callable[[], None] = field(default=_nothing)
