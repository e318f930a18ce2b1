"""Words of the pages: what only they say, or say otherwise than reports (churnrisk.present.wording)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from churnrisk.present import FAMILIES, SHAPES, UNKNOWN
from churnrisk.records import Reason

# Of "Call the customer (account owner, phone, within 2 days)."
_STEP = re.compile(r"(?P<action>.+?)\.? \((?P<how>[^()]+)\)\.?")


def _badges(classes: str) -> dict[str, Markup]:
    """Return each colour as word and shape, rendered once, since lists show hundreds of them."""
    mark = Markup('<span class="{} {}"><span aria-hidden="true">{}</span>{}</span>')
    return {str(colour): mark.format(classes, colour, shape, colour) for colour, shape in SHAPES.items()}


BADGES, BIG_BADGES = _badges("badge"), _badges("badge big")


@dataclass(frozen=True, slots=True)
class Step:
    """A next step: what to do, and who does it, how and by when."""

    action: str
    how: str


def step(sentence: str) -> Step:
    """Split a next step; one that does not follow the playbook's form is all action."""
    found = _STEP.fullmatch(sentence)
    return Step(sentence, "") if found is None else Step(f"{found['action']}.", found["how"])


def day(moment: datetime | None) -> str:
    """Return an ISO date."""
    return UNKNOWN if moment is None else moment.isoformat()[:10]


def moment(instant: datetime | None) -> str:
    """Return an ISO date with the time to the minute."""
    return UNKNOWN if instant is None else f"{instant:%Y-%m-%d %H:%M}"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def family(name: str) -> str:
    """Return the display name of a family of signals."""
    return FAMILIES.get(name, name.replace("_", " ").capitalize())


def change(now: float, before: float | None) -> str:
    """Return a change in whole units with an arrow."""
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
