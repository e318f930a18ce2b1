"""The audit trail in words: entries of one change together, one line per field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from churnrisk.records import AuditEntry
from churnrisk.web.wording import DISPOSITIONS


@dataclass(frozen=True, slots=True)
class Change:
    """What one person did to one account at once."""

    review_id: int
    account_id: str
    at: datetime
    author: str
    via: str
    lines: tuple[str, ...]
    undoes: int | None
    undone_by: int | None


def changes(entries: Iterable[AuditEntry]) -> tuple[Change, ...]:
    """Return the entries, newest first, as one change per review and account."""
    return tuple(
        _change(tuple(group))
        for _, group in groupby(entries, lambda entry: (entry.review_id, entry.account_id))
    )


def line(entry: AuditEntry) -> str:
    """Return what one entry says."""
    before, after = _said(entry.field, entry.before), _said(entry.field, entry.after)
    if entry.field == "note":
        return f"Note: {after}" if after else "Note taken away"
    if entry.field == "snooze_reason":
        return f"Reason of the snooze: {after}" if after else "Reason of the snooze taken away"
    if entry.field == "touched":
        return "Looked at again, nothing new"
    name, given = _NAMES.get(entry.field, (entry.field.replace("_", " ").capitalize(), "set to"))
    if not after:
        return f"{name} taken away (was {before})"
    return f"{name} {given} {after}" + (f" (was {before})" if before else "")


_NAMES = {
    "disposition": ("Record", "is now"),
    "snoozed_until": ("Snooze", "until"),
    "assignee": ("Assignment", "to"),
    "override": ("Colour by hand:", "now"),
}


def _said(field: str, value: str | None) -> str:
    if value is None:
        return ""
    if field == "disposition":
        return DISPOSITIONS.get(value, value)
    return value.removesuffix(" 00:00:00").removesuffix("T00:00:00") if field == "snoozed_until" else value


def _change(entries: tuple[AuditEntry, ...]) -> Change:
    first = entries[0]
    lines = [line(entry) for entry in sorted(entries, key=lambda entry: entry.audit_id)]
    if first.undoes is not None:
        lines.insert(0, "Undone:")
    return Change(
        first.review_id,
        first.account_id,
        first.at,
        first.author,
        first.via,
        tuple(lines),
        first.undoes,
        first.undone_by,
    )
