"""Why a colour moved, and what would turn it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from churnrisk.records.light import Colour


@dataclass(frozen=True, slots=True)
class MovePart:
    """One part of a move between two runs, in log-odds of churn.

    ``kind`` is "behaviour" (one signal, or the others together where ``feature`` is None), "freshness" (late rows
    changed the snapshot of the previous run), "model" (a new model version), "model and data" (the two where they
    cannot be told apart), "undivided" (where the previous snapshot cannot be computed any more) or "remainder" (what
    the model's contributions leave unexplained). ``text`` follows a number: "no activity for 40 days (was 12 days)".
    """

    kind: str
    log_odds: float
    text: str
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Why an account's score or colour differs from the previous run, whose as-of date is ``since``.

    ``because`` names what changed the colour: "score", "policy" (thresholds or rules as such), "rule", "override",
    "hysteresis" or "eligibility"; None when the colour is the same. ``log_odds`` is the whole change, which the parts
    sum to; None when one of the runs has no probability. The parts begin with the largest signals.
    """

    since: datetime
    previous_colour: Colour
    because: str | None
    log_odds: float | None
    parts: tuple[MovePart, ...] = ()

    @property
    def text(self) -> str:
        """``+1.2 no activity for 40 days (was 12 days), -0.3 new model version``, without parts under 0.05."""
        shown = [part for part in self.parts if abs(part.log_odds) >= 0.05]
        ordered = sorted(shown, key=lambda part: -abs(part.log_odds))
        return ", ".join(f"{part.log_odds:+.1f} {part.text}" for part in ordered)


@dataclass(frozen=True, slots=True)
class ChangedSignal:
    """A signal that a what-if changes, with its value now and afterwards; None where unknown."""

    feature: str
    label: str
    now: float | None
    then: float | None


@dataclass(frozen=True, slots=True)
class Turnaround:
    """What-if: the smallest realistic change by which model and rules would give an account a better colour.

    It says what the next scoring would make of other signals, all else equal, not that they cause anything.
    ``colour`` is the one before hysteresis and overrides; None when no such change was found. ``levers`` name one or
    two levers (see :mod:`churnrisk.features.levers`), none when model and rules say the better colour already;
    ``steps`` are the same in words, ``probability`` the churn probability afterwards.
    """

    colour: Colour | None
    levers: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    probability: float | None = None
    changes: tuple[ChangedSignal, ...] = ()

    @property
    def text(self) -> str:
        """One sentence for people."""
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
