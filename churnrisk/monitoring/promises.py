"""What each colour promised and what happened since, from the outcomes in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from churnrisk.records import Colour, Run
from churnrisk.store import ColourOutcome, HistoryStore, read_outcomes

#: The verdicts on a colour of a run.
OPEN, KEPT, BROKEN, UNCLEAR, NO_PROMISE = "open", "kept", "broken", "unclear", "no promise"
_JUDGED = (Colour.GREEN, Colour.AMBER, Colour.RED)


@dataclass(frozen=True, slots=True)
class RunOfColour:
    """One colour at one run.

    The verdict is :data:`OPEN` until the outcomes are known, and :data:`UNCLEAR` where the counts miss the promise by
    no more than chance can explain. ``in_hindsight``: the run was published after its outcomes had happened, so the
    model may have learned from them.
    """

    as_of: datetime
    model_version: str
    outcome: ColourOutcome
    verdict: str
    in_hindsight: bool = False


@dataclass(frozen=True, slots=True)
class Promised:
    """One colour: promise and test at the latest run, and every run, the latest first.

    ``known`` and ``churned`` add up accounts over the runs; an account counts once per run.
    """

    colour: Colour
    latest: ColourOutcome | None
    runs: tuple[RunOfColour, ...]
    known: int
    churned: int

    def count(self, verdict: str) -> int:
        """Return the number of runs with a verdict."""
        return sum(one.verdict == verdict for one in self.runs)

    @property
    def rate(self) -> float | None:
        """Churn rate over all runs with outcomes; None before the first."""
        return self.churned / self.known if self.known else None


@dataclass(frozen=True, slots=True)
class Promises:
    """Green, amber and red, and the churners that were green, by as-of date of matured runs, the latest first.

    ``next_known_at`` is when the next run's outcomes will be known.
    """

    run: Run | None
    colours: tuple[Promised, ...]
    missed: tuple[tuple[datetime, int], ...]
    next_known_at: datetime | None


def promises(store: HistoryStore) -> Promises:
    """Return what the colours promised and what became of it."""
    with store.database.reading() as connection:
        runs = read_outcomes(connection)
    pairs = [(run, one) for run, outcomes in runs for one in outcomes]
    green = [(run, one) for run, one in pairs if one.colour == Colour.GREEN]
    return Promises(
        run=runs[0][0] if runs else None,
        colours=tuple(_promised(colour, pairs) for colour in _JUDGED),
        missed=tuple((run.as_of, one.churned) for run, one in green if one.churned is not None),
        next_known_at=min((one.known_at for _, one in pairs if one.known is None), default=None),
    )


def _promised(colour: Colour, pairs: Sequence[tuple[Run, ColourOutcome]]) -> Promised:
    runs = tuple(
        RunOfColour(run.as_of, run.model_version, one, verdict_of(one), run.published_at >= one.known_at)
        for run, one in pairs
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
