"""What each colour promised and what happened since, from what ``churnrisk score`` has stored.

``promises`` gives the page: one :class:`Promised` per colour with its runs, the latest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from churnrisk.history import HistoryStore
from churnrisk.history.outcomes import ColourOutcome, read_outcomes
from churnrisk.records import Colour, Run

__all__ = [
    "OPEN",
    "KEPT",
    "BROKEN",
    "UNCLEAR",
    "NO_PROMISE",
    "Promised",
    "RunOfColour",
    "Promises",
    "promises",
]

#: The verdicts on a colour of a run.
OPEN, KEPT, BROKEN, UNCLEAR, NO_PROMISE = "open", "kept", "broken", "unclear", "no promise"
_JUDGED = (Colour.GREEN, Colour.AMBER, Colour.RED)


@dataclass(frozen=True, slots=True)
class RunOfColour:
    """One colour at one run: what was promised, and what came of it.

    Attributes
    ----------
    verdict : str
        :data:`OPEN` until the outcomes are known, then :data:`KEPT`, :data:`BROKEN`, :data:`UNCLEAR` (the counts
        miss the promise by no more than chance can explain) or :data:`NO_PROMISE`.
    in_hindsight : bool
        True when the run was published after its outcomes had happened: it shows what the model would have said,
        and the model may have learned from these very outcomes.
    """

    as_of: datetime
    model_version: str
    outcome: ColourOutcome
    verdict: str
    in_hindsight: bool = False


@dataclass(frozen=True, slots=True)
class Promised:
    """One colour: its promise at the latest run, the test of the model behind it, and every run since.

    Attributes
    ----------
    latest : ColourOutcome or None
        With the promise and the test; None before the first run that stored them.
    runs : tuple of RunOfColour
        The latest as-of date first.
    known, churned : int
        Accounts with an outcome, and churned ones, added up over the runs: an account counts once a run.
    """

    colour: Colour
    latest: ColourOutcome | None
    runs: tuple[RunOfColour, ...]
    known: int
    churned: int

    def count(self, verdict: str) -> int:
        """Return how many runs have a verdict."""
        return sum(one.verdict == verdict for one in self.runs)

    @property
    def rate(self) -> float | None:
        """Churn rate over all runs with outcomes; None before the first."""
        return self.churned / self.known if self.known else None


@dataclass(frozen=True, slots=True)
class Promises:
    """The colours, and the churners that were missed.

    Attributes
    ----------
    run : Run or None
        The latest run.
    colours : tuple of Promised
        Green, amber and red.
    missed : tuple of (datetime, int)
        As-of date and accounts that were green then and churned, the latest first, of runs with outcomes.
    next_known_at : datetime or None
        When the next run's outcomes will be known.
    """

    run: Run | None
    colours: tuple[Promised, ...]
    missed: tuple[tuple[datetime, int], ...]
    next_known_at: datetime | None


def promises(store: HistoryStore) -> Promises:
    """Return what the colours promised and kept; it reads the history only."""
    with store.database.reading() as connection:
        found = read_outcomes(connection)
    green = [(run, one) for run, outcomes in found for one in outcomes if one.colour == Colour.GREEN]
    open_dates = [one.known_at for _, outcomes in found for one in outcomes if one.known is None]
    return Promises(
        run=found[0][0] if found else None,
        colours=tuple(_promised(colour, found) for colour in _JUDGED),
        missed=tuple((run.as_of, one.churned) for run, one in green if one.churned is not None),
        next_known_at=min(open_dates, default=None),
    )


def _promised(colour: Colour, found: Sequence[tuple[Run, tuple[ColourOutcome, ...]]]) -> Promised:
    runs = tuple(
        RunOfColour(
            run.as_of, run.model_version, one, verdict_of(one), in_hindsight=run.published_at >= one.known_at
        )
        for run, outcomes in found
        for one in outcomes
        if one.colour == colour
    )
    known = [one.outcome for one in runs if one.outcome.known]
    return Promised(
        colour,
        runs[0].outcome if runs else None,
        runs,
        known=sum(one.known or 0 for one in known),
        churned=sum(one.churned or 0 for one in known),
    )


def verdict_of(outcome: ColourOutcome) -> str:
    """Return the verdict on a colour of a run."""
    if outcome.known is None:
        return OPEN
    if not outcome.promise:
        return NO_PROMISE
    return {True: KEPT, False: BROKEN, None: UNCLEAR}[outcome.kept]
