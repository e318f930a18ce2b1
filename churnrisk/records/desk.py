"""What the team has on record about accounts."""

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

    ``version`` grows with every change, undos included; a change names the version it was made on. ``disposition``
    is None once a snooze has ended. ``note`` is the latest; ``touched_*`` is the last change that was not undone.
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

    ``field``: "disposition", "snoozed_until", "snooze_reason", "assignee", "note" or "override". ``via``: "web",
    "api" or "cli". ``version``: of the account, after it. ``undoes`` and ``undone_by`` are reviews.
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
