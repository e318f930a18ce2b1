"""The words of terminal, reports and pages for numbers, dates, colours, causes and deciders."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TypeGuard

from churnrisk.records import (
    NO_MODEL_YET,
    Colour,
    DecidedBy,
    Disposition,
    Interval,
    Move,
    Place,
    Places,
    RedListRow,
    Run,
)

UNKNOWN = "–"

SHAPES = {Colour.RED: "▲", Colour.AMBER: "◆", Colour.GREEN: "●", Colour.GREY: "○"}
ARROWS = {
    "↑": "riskier than at the last run",
    "↓": "safer than at the last run",
    "→": "as before",
    "•": "new",
}
DECIDERS = {
    DecidedBy.MODEL: "by the model",
    DecidedBy.RULE: "by a rule",
    DecidedBy.OVERRIDE: "by a person",
    DecidedBy.HYSTERESIS: "kept until the model is sure",
    DecidedBy.ELIGIBILITY: "not enough data",
}
KEPT = {None: "no promise", True: "kept", False: "not kept"}
#: What changed a colour, to follow "by".
CAUSES = {
    "score": "the score",
    "policy": "new thresholds or rules",
    "rule": "a rule",
    "override": "a person",
    "hysteresis": "hysteresis, which had held it back until now",
    "eligibility": "eligibility: one of the two runs had no score",
}
PLACES = {
    Place.WORK: "Work of this run",
    Place.BEYOND: "Red beyond capacity",
    Place.WATCH: "Amber on watch",
    Place.HANDLED: "Handled before this run",
}
DISPOSITIONS: dict[str, str] = {str(one): one.replace("_", " ").capitalize() for one in Disposition}
#: Families of signals.
FAMILIES = {
    "recency": "Activity",
    "breadth": "Use of features",
    "complaints": "Complaints",
    "satisfaction": "Satisfaction",
    "value": "Value and contract",
    "relationship": "Relationship",
    "attributes": "Attributes",
    "own": "Own signals",
}


def is_known(number: float | None) -> TypeGuard[float]:
    """Whether there is a finite number."""
    return number is not None and math.isfinite(number)


def count(number: float | None) -> str:
    """Return a figure with thousands separators; decimals only where they say something."""
    if not is_known(number):
        return UNKNOWN
    if abs(number) >= 100 or float(number).is_integer():
        return f"{number:,.0f}"
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def money(amount: float | None) -> str:
    """Return an amount rounded to whole units, with thousands separators."""
    if not is_known(amount):
        return UNKNOWN
    return f"{round(amount):,}"


def percent(share: float | None) -> str:
    """Return a share as a percentage: whole ones from 10 on, one decimal below."""
    if not is_known(share):
        return UNKNOWN
    digits = 0 if abs(share) >= 0.0995 or share == 0 else 1
    return f"{share * 100:.{digits}f} %"


def day(moment: datetime | None) -> str:
    """Return a date as people write it."""
    return UNKNOWN if moment is None else f"{moment.day} {moment:%b %Y}"


def days(number: int) -> str:
    """Return a number of days with its unit."""
    return "1 day" if number == 1 else f"{number:,} days"


def since(number: int) -> str:
    """Return how long an account has had its colour."""
    return "since this run" if number <= 0 else f"for {days(number)}"


def touched(row: RedListRow) -> str:
    """Return the last touch by the team; empty without one."""
    state = row.state
    if state.touched_at is None:
        return ""
    return f"{state.touched_what} by {state.touched_by} on {day(state.touched_at)}"


def renewal(row: RedListRow) -> str:
    """Return when the contract renews, as seen from the run."""
    left = row.days_to_renewal
    if left is None:
        return UNKNOWN
    if left < 0:
        return f"{days(-left)} ago"
    return "today" if left == 0 else f"in {days(left)}"


def probability_change(row: RedListRow) -> str:
    """Return the change since the last run in percentage points; empty when unknown."""
    if not is_known(row.previous_probability) or not is_known(row.churn_probability):
        return ""
    points = round((row.churn_probability - row.previous_probability) * 100)
    if points == 0:
        return "unchanged"
    return f"{points:+d} {'point' if abs(points) == 1 else 'points'}"


def place(row: RedListRow) -> str:
    """Return whether an account is work of this run, and which; empty for one without a place."""
    if row.rank:
        return f"work {row.rank}"
    return "beyond capacity" if row.place == Place.BEYOND else row.place or ""


def cut(places: Places) -> str:
    """Return what the team's capacity makes of red and amber accounts."""
    red = places.work + places.beyond
    said = f"{red:,} red, {places.beyond:,} of them beyond the team's capacity of {places.capacity:,}"
    if red > places.capacity:
        said = f"{red:,} red, capacity {places.capacity:,}: {places.beyond:,} red beyond capacity"
    if not places.beyond:
        are = "account is" if places.work == 1 else "accounts are"
        said = f"{places.work:,} {are} this run's work (capacity {places.capacity:,})"
    said += f", {places.watch:,} {'' if places.beyond else 'more '}amber on watch"
    return said + (f", {places.handled:,} handled before this run" if places.handled else "")


def basis(run: Run) -> str:
    """Return what a run without probabilities rests on; empty for one with a model."""
    return "" if run.has_model else f"by the rules only, {NO_MODEL_YET}"


def decided(decided_by: str, rule: str | None) -> str:
    """Return what had the last word on the colour."""
    if decided_by == DecidedBy.RULE and rule:
        return f"by the rule {rule.replace('_', ' ')}"
    return NO_MODEL_YET if rule == NO_MODEL_YET else DECIDERS[DecidedBy(decided_by)]


def moved(row: RedListRow) -> str:
    """Return why the account moved since the last run; empty where there is nothing to say."""
    move = row.move
    if move is None or not (move.text or move.because):
        return ""
    by = f", colour by {CAUSES[move.because]}" if move.because else ""
    return f"Why it moved since {day(move.since)}{by}: {move.text or 'no change in score'}"


def in_short(move: Move | None) -> str:
    """Return the part that moved the account most, or what else changed its colour."""
    if move is None:
        return ""
    named = [part for part in move.parts if part.text != "other signals"]
    if move.because not in (None, "score", "policy") or not named:
        return move.because or ""
    part = max(named, key=lambda part: abs(part.log_odds))
    return f"{part.log_odds:+.1f} {part.text}"


def figure(value: Interval | float | None) -> str:
    """Return a model figure, with its 95 % interval where there is one."""
    if isinstance(value, Interval) and is_known(value.value):
        return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
    return f"{value:.3f}" if not isinstance(value, Interval) and is_known(value) else UNKNOWN
