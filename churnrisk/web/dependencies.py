"""The forms of a review: their fields, the change that they ask for, and the names to assign accounts to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Annotated, Any

from cachetools import TTLCache, cached
from fastapi import Depends, Request
from markupsafe import Markup

from churnrisk.auth import Store, assignees
from churnrisk.errors import UsageError
from churnrisk.records import Disposition, User
from churnrisk.team import END, Change, Reviewed, review
from churnrisk.web.process import now
from churnrisk.web.security.signing import safe_path

Fields = Mapping[str, str]
#: The largest id that PostgreSQL's integer holds.
LARGEST_ID = 2**31 - 1
# Names change rarely, and every account page offers them.
_MAX_AGE_SECONDS = 30


async def read_fields(request: Request) -> dict[str, str]:
    """Return the texts of a form that are not empty; of several of one name the last."""
    form = await request.form()
    return {name: value for name, value in form.multi_items() if isinstance(value, str) and value.strip()}


async def read_accounts(request: Request) -> tuple[str, ...]:
    """Return the account ids in a form or an address, each once."""
    source = request.query_params if request.method == "GET" else await request.form()
    named = (value for name, value in source.multi_items() if name == "account" and isinstance(value, str))
    return tuple(dict.fromkeys(named))


Typed = Annotated[dict[str, str], Depends(read_fields)]
Accounts = Annotated[tuple[str, ...], Depends(read_accounts)]


def form_context(request: Request, user: User, typed: Fields, *, up: str | None) -> dict[str, Any]:
    """Return what the forms of a review show, whether for one account or for several."""
    return {
        "typed": typed,
        "mistake": None,
        "up": safe_path(up),
        "people": request.app.state.assignee_options(user.scope),
        "tomorrow": f"{now() + timedelta(days=1):%Y-%m-%d}",
    }


def record_change(
    request: Request, user: User, versions: Mapping[str, int | None], change: Change
) -> Reviewed:
    """Record a change of the accounts in ``versions``."""
    store = request.app.state.store
    return review(store, versions, change, author=user.name, via="web", now=now(), scope=user.scope)


def change_of(typed: Fields) -> Change:
    """Return the change that a form asks for; its ``kind`` says which one, or is the disposition itself."""
    kind = typed.get("kind", "")
    if kind in (*Disposition, "open") and kind != Disposition.SNOOZED:
        return Change(disposition=kind, note=typed.get("note"))
    match kind:
        case "disposition":
            return Change(disposition=_needed(typed, "disposition", "what happened"), note=typed.get("note"))
        case "snooze" | Disposition.SNOOZED:
            return Change(
                disposition="snoozed", until=_day(typed), reason=typed.get("reason") or typed.get("note")
            )
        case "note":
            return Change(note=_needed(typed, "note", "a note"))
        case "assign":
            return Change(assignee=typed.get("assignee", ""))
        case "override":
            colour = _needed(typed, "colour", "a colour")
            return Change(override=colour, until=_day(typed), reason=typed.get("reason"))
        case "end_override":
            return Change(override=END)
    raise UsageError("a review expects a choice of what happened, found none. Choose one.")


def version_of(typed: Fields) -> int:
    """Return the version of the account that the form was made on."""
    given = typed.get("version", "")
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise UsageError("the form does not say on which version it was made. Open the account again.")
    return int(given)


def versions_of(typed: Fields, accounts: tuple[str, ...]) -> dict[str, int | None]:
    """Return the versions of several accounts that the form was made on."""
    if not accounts:
        raise UsageError("no account is ticked. Tick the ones that you mean.")
    try:
        known = json.loads(typed.get("versions", ""))
        return {account: int(known[account]) for account in accounts}
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise UsageError(
            "the form does not say on which versions it was made. Select the accounts again."
        ) from error


def _needed(typed: Fields, name: str, what: str) -> str:
    if name not in typed:
        raise UsageError(f"this expects {what}, found none. Fill it in.")
    return typed[name]


def _day(typed: Fields) -> date | None:
    given = typed.get("until")
    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise UsageError(f"an end expects a date such as 2026-12-31, found {given!r}.") from error


def assignee_options(store: Store) -> Callable[[str | None], Markup]:
    """Return a function of a user's scope that gives the names to assign accounts to, as ``<option>`` elements.

    A user limited to one owner sees no others.
    """

    @cached(TTLCache[Any, Markup](maxsize=1, ttl=_MAX_AGE_SECONDS), lock=threading.Lock())
    def everybody() -> Markup:
        return _options(assignees(store))

    return lambda scope: everybody() if scope is None else _options((scope,))


def _options(names: Iterable[str]) -> Markup:
    return Markup("").join(Markup('<option value="{}"></option>').format(name) for name in names)
