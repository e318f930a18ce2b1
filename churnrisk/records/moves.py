"""Why a colour moved, and what would move it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from churnrisk.records.light import Colour


@dataclass(frozen=True, slots=True)
class MovePart:
    """One part of why a score moved between two runs.

    Attributes
    ----------
    kind : str
        "behaviour" (one signal, or the others together when ``feature`` is None), "freshness" (rows that came
        late changed the snapshot of the run before), "model" (a new model version), "model and data" (the two
        where they cannot be told apart), "undivided" (where the snapshot of the run before cannot be computed
        any more), "remainder" (what the model's contributions leave unexplained).
    log_odds : float
        What it added to the log-odds of churn.
    text : str
        In words, to follow a number: "no activity for 40 days (was 12 days)".
    feature : str or None
        The signal.
    """

    kind: str
    log_odds: float
    text: str
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Why an account's score or colour is another one than at the run before.

    Attributes
    ----------
    since : datetime
        As-of date of the run before.
    previous_colour : Colour
        The colour it had there.
    because : str or None
        What changed the colour: "score", "policy" (thresholds or rules as such), "rule", "override",
        "hysteresis" or "eligibility"; None when the colour is the same.
    log_odds : float or None
        The change in log-odds, which the parts sum to; None when one of the runs has no probability.
    parts : tuple of MovePart
        Largest signals first, then everything that is no behaviour.
    """

    since: datetime
    previous_colour: Colour
    because: str | None
    log_odds: float | None
    parts: tuple[MovePart, ...] = ()

    @property
    def text(self) -> str:
        """``+1.2 no activity for 40 days (was 12 days), -0.3 new model version``; parts under 0.05 left out."""
        shown = [part for part in self.parts if abs(part.log_odds) >= 0.05]
        ordered = sorted(shown, key=lambda part: -abs(part.log_odds))
        return ", ".join(f"{part.log_odds:+.1f} {part.text}" for part in ordered)


@dataclass(frozen=True, slots=True)
class ChangedSignal:
    """A signal that a turnaround is about, with its value now and afterwards; None when there is none."""

    feature: str
    label: str
    now: float | None
    then: float | None


@dataclass(frozen=True, slots=True)
class Turnaround:
    """The smallest realistic change by which the model and the rules would give an account a better colour.

    It says what the next scoring would make of other signals, all else as it is; not that they cause anything.

    Attributes
    ----------
    colour : Colour or None
        What the account would become, before hysteresis and overrides; None when no such change was found.
    levers : tuple of str
        Names of one or two levers (see :mod:`churnrisk.features.levers`); none when the model and the rules
        say the better colour already.
    steps : tuple of str
        The same in words: "resolve the open complaint".
    probability : float or None
        The churn probability afterwards.
    changes : tuple of ChangedSignal
    """

    colour: Colour | None
    levers: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    probability: float | None = None
    changes: tuple[ChangedSignal, ...] = ()

    @property
    def text(self) -> str:
        """One sentence for people, which promises no cause."""
        if self.colour is None:
            return "No single or double step within the team's reach would give a better colour at the next scoring."
        if not self.steps:
            return f"No further step: model and rules say {self.colour} already; the colour follows unless it is held."
        steps = " and ".join(self.steps)
        after = "" if self.probability is None else f" (churn {self.probability:.1%})"
        return (
            f"{steps[:1].upper()}{steps[1:]}: by the model and the rules, the next scoring would then say "
            f"{self.colour}{after}, all else equal. No promise of cause."
        )
