"""Due dates: by when the next step of an account should be done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta

from churnrisk.history.load import OpenWork

#: Days from the beginning of a colour until something should have been done, where no play says otherwise.
DEADLINE_DAYS: Mapping[str, int] = {"red": 2, "amber": 7}


def due_date(
    colour: str,
    play: str | None,
    colour_since: datetime,
    handed_due_at: datetime | None,
    deadlines: Mapping[str, int],
) -> datetime | None:
    """Return by when something is due: by the action handed out for this colour, else by the play or the colour.

    ``deadlines`` are the days that each play leaves; None for a colour that needs nothing.
    """
    if handed_due_at is not None:
        return handed_due_at
    if colour not in DEADLINE_DAYS:
        return None
    return colour_since + timedelta(days=deadlines.get(play or "", DEADLINE_DAYS[colour]))


def is_overdue(work: OpenWork, deadlines: Mapping[str, int], now: datetime) -> bool:
    """Whether open work should have been done; what is due on a day is overdue from the next day on."""
    due = due_date(work.colour, work.play, work.colour_since, work.handed_due_at, deadlines)
    return due is not None and due < day_of(now)


def day_of(now: datetime) -> datetime:
    """Return the beginning of a day."""
    return datetime.combine(now.date(), time())
