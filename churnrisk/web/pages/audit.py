"""The audit trail in words, and its page: who changed what, from what, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from churnrisk.auth import all_users
from churnrisk.errors import NotFoundError, UsageError
from churnrisk.present import DISPOSITIONS
from churnrisk.records import AuditEntry
from churnrisk.team import trail
from churnrisk.web.dependencies import LARGEST_ID
from churnrisk.web.rendering import page
from churnrisk.web.security.session import Admin

router = APIRouter()
ENTRIES_PER_PAGE = 100
_FIELDS = {
    "disposition": ("Record", "is now"),
    "snoozed_until": ("Snooze", "until"),
    "assignee": ("Assignment", "to"),
    "override": ("Colour by hand:", "now"),
}


@router.get("/audit")
def show(request: Request, user: Admin, account: str = "", author: str = "", before: str = "") -> Response:
    """Show the changes of people, a page at a time."""
    store = request.app.state.store
    try:
        entries = trail(
            store,
            account_id=account.strip() or None,
            author=author or None,
            scope=user.scope,
            before=_entry_id(before),
            limit=ENTRIES_PER_PAGE,
        )
    except NotFoundError:
        entries = ()
    query = {name: value for name, value in (("account", account), ("author", author)) if value}
    is_full = len(entries) == ENTRIES_PER_PAGE
    context = {
        "trail": changes(entries),
        "older": "/audit?" + urlencode(query | {"before": entries[-1].audit_id}) if is_full else None,
        "account": account,
        "author": author,
        "authors": sorted({person.name for person in all_users(store)} | ({author} if author else set())),
    }
    return page(request, "audit.html", context)


def _entry_id(given: str) -> int | None:
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and int(given[:11]) <= LARGEST_ID):
        raise UsageError(
            f"before expects the number of an entry, found {given[:20]!r}. Go back to the newest."
        )
    return int(given)


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """What one person did to one account at once, field by field; ``entry`` is one of its entries."""

    entry: AuditEntry
    lines: tuple[str, ...]


def changes(entries: Iterable[AuditEntry]) -> tuple[ChangeLine, ...]:
    """Group entries, the newest first, into one change per review and account."""
    changed = []
    for _, group in groupby(entries, lambda entry: (entry.review_id, entry.account_id)):
        first, *rest = group
        lines = [entry_text(entry) for entry in sorted([first, *rest], key=lambda entry: entry.audit_id)]
        changed.append(ChangeLine(first, tuple(lines if first.undoes is None else ["Undone:", *lines])))
    return tuple(changed)


def signed_text(entry: AuditEntry) -> str:
    """Return what one entry says, with who and when."""
    return f"{entry.author}, {entry.at:%Y-%m-%d %H:%M}: {entry_text(entry)}"


def entry_text(entry: AuditEntry) -> str:
    """Return what one entry says."""
    before, after = _value(entry.field, entry.before), _value(entry.field, entry.after)
    if entry.field == "note":
        return f"Note: {after}" if after else "Note taken away"
    if entry.field == "snooze_reason":
        return f"Reason of the snooze: {after}" if after else "Reason of the snooze taken away"
    if entry.field == "touched":
        return "Looked at again, nothing new"
    name, verb = _FIELDS.get(entry.field, (entry.field.replace("_", " ").capitalize(), "set to"))
    if not after:
        return f"{name} taken away (was {before})"
    return f"{name} {verb} {after}" + (f" (was {before})" if before else "")


def _value(field: str, value: str | None) -> str:
    if value is None:
        return ""
    if field == "disposition":
        return DISPOSITIONS.get(value, value)
    return value.removesuffix(" 00:00:00").removesuffix("T00:00:00") if field == "snoozed_until" else value
