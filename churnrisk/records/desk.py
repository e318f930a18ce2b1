"""What the team has on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Disposition(StrEnum):
    """What the team has found out about an account."""

    CONTACTED = "contacted"
    SAVED = "saved"
    FALSE_ALARM = "false_alarm"
    CHURNED = "churned"
    SNOOZED = "snoozed"


@dataclass(frozen=True, slots=True)
class DeskState:
    """What the team has on record for one account; no scoring run changes it.

    Attributes
    ----------
    version : int
        Grows with every change, undos included; 0 for an account that nobody has touched. A change names
        the version it was made on.
    disposition : Disposition or None
        None also when a snooze has ended by itself; ``snoozed_until`` then lies in the past.
    note : str or None
        The latest one; all of them are in the audit trail.
    touched_at, touched_by, touched_what : datetime, str and str, or None
        The last change that has not been undone, in words such as "contacted" or "snoozed until 2026-12-01".
    """

    version: int = 0
    disposition: Disposition | None = None
    snoozed_until: datetime | None = None
    snooze_reason: str | None = None
    assignee: str | None = None
    note: str | None = None
    touched_at: datetime | None = None
    touched_by: str | None = None
    touched_what: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One field of one account that a person changed; entries of one change share their ``review_id``.

    Attributes
    ----------
    field : str
        "disposition", "snoozed_until", "snooze_reason", "assignee", "note" or "override".
    before, after : str or None
        As people read them; None for nothing.
    via : str
        "web", "api" or "cli".
    version : int
        The account's version after it.
    undoes, undone_by : int or None
        The review that this one takes back, and the one that took this back.
    """

    audit_id: int
    review_id: int
    at: datetime
    author: str
    via: str
    account_id: str
    field: str
    before: str | None
    after: str | None
    version: int
    undoes: int | None = None
    undone_by: int | None = None
