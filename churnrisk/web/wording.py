"""Numbers, dates and states in the words of the pages; what reports also say comes from there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from churnrisk.records import Reason
from churnrisk.report.wording import (
    ARROWS,
    SHAPES,
    UNKNOWN,
    count,
    days,
    decided,
    money,
    moved,
    percent,
    probability_change,
    renewal,
)

__all__ = [
    "ARROWS",
    "BADGES",
    "BIG_BADGES",
    "CAUSES",
    "DISPOSITIONS",
    "FAMILIES",
    "SHAPES",
    "UNKNOWN",
    "accounts",
    "amount",
    "change",
    "count",
    "day",
    "days",
    "decided",
    "family",
    "in_colour",
    "moment",
    "money",
    "moved",
    "percent",
    "plural",
    "probability_change",
    "quantity",
    "renewal",
    "signed",
    "step",
    "usual",
]

DISPOSITIONS = {
    "contacted": "Contacted",
    "saved": "Saved",
    "false_alarm": "False alarm",
    "churned": "Churned",
    "snoozed": "Snoozed",
}
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


def _badges(classes: str) -> dict[str, Markup]:
    """Return each colour as word and shape; drawn once, since lists show hundreds of them."""
    mark = Markup('<span class="{} {}"><span aria-hidden="true">{}</span>{}</span>')
    return {str(colour): mark.format(classes, colour, shape, colour) for colour, shape in SHAPES.items()}


BADGES, BIG_BADGES = _badges("badge"), _badges("badge big")
# Of "Call the customer (account owner, phone, within 2 days)."
_STEP = re.compile(r"(?P<action>.+?)\.? \((?P<how>[^()]+)\)\.?")
#: What changed a colour.
CAUSES = {
    "score": "the score changed",
    "policy": "thresholds or rules are new",
    "rule": "a rule decided",
    "override": "a person decided",
    "hysteresis": "the model had to be sure first",
    "eligibility": "one of the two runs had no score for it",
}


def day(moment: datetime | None) -> str:
    """Return a date as ISO writes it."""
    return UNKNOWN if moment is None else moment.isoformat()[:10]


def moment(instant: datetime | None) -> str:
    """Return a date with its time to the minute."""
    return UNKNOWN if instant is None else f"{instant:%Y-%m-%d %H:%M}"


def amount(value: float | None) -> str:
    """Return money in whole units with thousands separators."""
    return money(value, "")


def accounts(number: int) -> str:
    """Return a number of accounts with its unit."""
    return plural(number, "account")


def in_colour(number: int) -> str:
    """Return for how long an account has had its colour."""
    return "since this run" if number == 0 else f"for {days(number)}"


@dataclass(frozen=True, slots=True)
class Step:
    """A next step: what to do, and who does it how and by when."""

    action: str
    how: str


def step(sentence: str) -> Step:
    """Return the parts of a next step; one that the project words differently is all action."""
    found = _STEP.fullmatch(sentence)
    return Step(sentence, "") if found is None else Step(f"{found['action']}.", found["how"])


def plural(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def family(name: str) -> str:
    """Return a family of signals for people."""
    return FAMILIES.get(name, name.replace("_", " ").capitalize())


def signed(number: float) -> str:
    """Return a number of log-odds with its sign."""
    return f"{number:+.2f}"


def change(now: float, before: float | None) -> str:
    """Return a change in whole units with a shape; words where there is none."""
    if before is None:
        return "nothing to compare with yet"
    step = now - before
    if round(step) == 0:
        return "no change"
    return f"{'▲ +' if step > 0 else '▼ −'}{abs(step):,.0f}"  # noqa: RUF001 - a true minus lines up with +


def quantity(value: float | str | None) -> str:
    """Return the value of a signal, short."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"


def usual(reason: Reason) -> str:
    """Return the range in which the middle 80 % of retained accounts lie."""
    if reason.usual_low is None or reason.usual_high is None:
        return UNKNOWN
    low, high = quantity(reason.usual_low), quantity(reason.usual_high)
    return low if low == high else f"{low} to {high}"
