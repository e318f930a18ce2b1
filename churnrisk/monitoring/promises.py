"""What each colour promised and what happened since, from the outcomes in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from churnrisk.errors import BrokenPromiseError, UsageError
from churnrisk.lights import ALPHA, Promise, PromiseEvidence, separate
from churnrisk.records import Colour, Run
from churnrisk.scoring import label_window, weigh_promises
from churnrisk.settings import Project, open_store
from churnrisk.store import ColourOutcome, HistoryStore, Withdrawal, read_outcomes, read_withdrawals

#: The verdicts on a colour of a run.
OPEN, KEPT, BROKEN, UNCLEAR, NO_PROMISE = "open", "kept", "broken", "unclear", "no promise"
#: Whether a colour promises anything today.
IN_FORCE, WITHDRAWN = "in force", "withdrawn"
_JUDGED = (Colour.GREEN, Colour.AMBER, Colour.RED)
_Pairs = Sequence[tuple[Run, ColourOutcome]]


@dataclass(frozen=True, slots=True)
class RunOfColour:
    """One colour at one run; the verdict is :data:`OPEN` until the outcomes are known.

    ``in_hindsight``: published after its outcomes had happened, so the model may have learned from them.
    """

    as_of: datetime
    model_version: str
    outcome: ColourOutcome
    verdict: str
    in_hindsight: bool = False


@dataclass(frozen=True, slots=True)
class Promised:
    """One colour: promise and test at the latest run, and every run, the latest first.

    ``known`` and ``churned`` add up accounts over ``windows`` label windows that do not overlap; an account counts
    once per window. ``evidence`` is that against the promise in force, None without one; ``withdrawn`` are promises
    that the latest run's model version no longer makes, the latest first.
    """

    colour: Colour
    latest: ColourOutcome | None
    runs: tuple[RunOfColour, ...]
    known: int
    churned: int
    windows: int = 0
    evidence: PromiseEvidence | None = None
    withdrawn: tuple[Withdrawal, ...] = ()

    def count(self, verdict: str) -> int:
        """Return the number of runs with a verdict."""
        return sum(one.verdict == verdict for one in self.runs)

    @property
    def rate(self) -> float | None:
        """Churn rate over the windows with outcomes; None before the first."""
        return self.churned / self.known if self.known else None

    @property
    def state(self) -> str:
        """Whether the colour promises anything today: in force, withdrawn, or no promise."""
        gone = {one.promise for one in self.withdrawn}
        if self.latest is not None and self.latest.promise and self.latest.limits not in gone:
            return IN_FORCE
        return WITHDRAWN if gone else NO_PROMISE

    @property
    def text(self) -> str:
        """What is promised today, how it stands, and what was withdrawn since when and why."""
        gone = [f"{one.text}." for one in self.withdrawn]
        if self.state == IN_FORCE:
            return " ".join([self._standing(), *(f"A stricter promise is {one}" for one in gone)])
        if gone:
            return f"No promise: {' '.join(gone)}"
        return "No promise, so there is nothing to watch."

    def _standing(self) -> str:
        found = self.evidence
        if found is None or not found.windows:
            waiting = [run.outcome.known_at for run in self.runs if self._counts_later(run)]
            if not waiting:
                return "Not judged yet: every run was published after its outcomes had happened."
            return f"Not judged yet: the first outcomes will be known on {min(waiting):%Y-%m-%d}."
        windows = f"{len(found.windows)} separate {'window' if len(found.windows) == 1 else 'windows'}"
        return (
            f"Not contradicted: in {windows} of {found.windows[-1].horizon_days} days since "
            f"{found.windows[0].as_of:%Y-%m-%d} {found.churned:,} of {found.rows:,} churned "
            f"({found.churned / found.rows:.2%}; e-value {found.e_value:,.2f}, withdrawn from {1 / ALPHA:,.0f} on)."
        )

    def _counts_later(self, run: RunOfColour) -> bool:
        is_evidence = run.verdict == OPEN and not run.in_hindsight
        return self.latest is not None and is_evidence and run.outcome.limits == self.latest.limits


@dataclass(frozen=True, slots=True)
class Promises:
    """Green, amber and red, and the churners that were green, by as-of date of matured runs, the latest first.

    ``horizon_days`` is that of the latest run, None for runs of earlier versions.
    """

    run: Run | None
    colours: tuple[Promised, ...]
    missed: tuple[tuple[datetime, int], ...]
    next_known_at: datetime | None
    horizon_days: int | None = None

    def require_kept(self) -> None:
        """Raise BrokenPromiseError if a promise of the latest run's model version is withdrawn."""
        broken = [f"{one.colour}: {gone.text}" for one in self.colours for gone in one.withdrawn]
        if broken:
            raise BrokenPromiseError(
                f"expected the promises of model version {self.run.model_version if self.run else '?'} to hold, found "
                f"{'; '.join(broken)}. Train again on newer data: `churnrisk train`, then `churnrisk promote`."
            )


def monitor(project: Project) -> Promises:
    """Return what the colours promised and what became of it; UsageError before the first run."""
    with open_store(project) as store:
        found = promises(store)
    if found.run is None:
        raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
    return found


def promises(store: HistoryStore) -> Promises:
    """Return what the colours promised and what became of it."""
    with store.database.reading() as connection:
        runs = read_outcomes(connection)
        evidence = weigh_promises(read_outcomes(connection, replaced=True))
        withdrawn = read_withdrawals(connection)
    pairs = [(run, one) for run, outcomes in runs for one in outcomes]
    green = [(run, one) for run, one in pairs if one.colour == Colour.GREEN]
    latest = runs[0][0] if runs else None
    of_model = [one for one in withdrawn if latest and one.model_version == latest.model_version]
    return Promises(
        run=latest,
        colours=tuple(_promised(colour, pairs, evidence, of_model) for colour in _JUDGED),
        missed=tuple((run.as_of, one.churned) for run, one in green if one.churned is not None),
        next_known_at=min((one.known_at for _, one in pairs if one.known is None), default=None),
        horizon_days=pairs[0][1].horizon_days if pairs else None,
    )


def _promised(
    colour: Colour,
    pairs: _Pairs,
    evidence: Mapping[tuple[str, Promise], PromiseEvidence],
    withdrawn: Sequence[Withdrawal],
) -> Promised:
    runs = tuple(
        RunOfColour(run.as_of, run.model_version, one, verdict_of(one), run.published_at >= one.known_at)
        for run, one in pairs
        if one.colour == colour
    )
    windows = separate(label_window(one.as_of, one.outcome) for one in runs if one.outcome.known)
    return Promised(
        colour,
        runs[0].outcome if runs else None,
        runs,
        known=sum(one.accounts for one in windows),
        churned=sum(one.churned for one in windows),
        windows=len(windows),
        evidence=evidence.get((runs[0].model_version, runs[0].outcome.limits)) if runs else None,
        withdrawn=tuple(one for one in withdrawn if one.colour == colour),
    )


def verdict_of(outcome: ColourOutcome) -> str:
    """Return the verdict on a colour of a run."""
    if outcome.known is None:
        return OPEN
    if not outcome.promise:
        return NO_PROMISE
    return {True: KEPT, False: BROKEN, None: UNCLEAR}[outcome.kept]
