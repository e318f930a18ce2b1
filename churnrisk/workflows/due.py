"""By when the next step of an account should be done: the rule that its page and the team lead's page share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time

from churnrisk.records import Disposition, RedListRow

#: Days from the beginning of a colour until something should have been done, where no play says otherwise.
DEADLINE_DAYS: Mapping[str, int] = {"red": 2, "amber": 7}


def day_of(now: datetime) -> datetime:
    """Return the beginning of a day: what is due on a day is overdue from the next one on."""
    return datetime.combine(now.date(), time())


def is_overdue(row: RedListRow, due_at: datetime | None, *, began: datetime, now: datetime) -> bool:
    """Whether the next step should have been done, and nobody has touched the account since its colour began.

    An account that is snoozed or gone is nobody's work. :func:`churnrisk.history.load.open_work` counts by this rule.
    """
    if due_at is None or row.colour not in DEADLINE_DAYS:
        return False
    if row.desk.disposition in (Disposition.SNOOZED, Disposition.CHURNED):
        return False
    touched_at = row.desk.touched_at
    return (touched_at is None or touched_at < began) and due_at < day_of(now)
