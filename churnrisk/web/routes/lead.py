"""Pages that look at all accounts: the colours' contract, the team lead's Monday, the audit trail."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from churnrisk.auth.users import all_users
from churnrisk.errors import NotFoundError, UsageError
from churnrisk.records import Role, User
from churnrisk.web.moment import now
from churnrisk.web.pages import page
from churnrisk.web.patience import slowly
from churnrisk.web.security import require
from churnrisk.web.trail import changes
from churnrisk.web.verdicts import contract
from churnrisk.web.week import week
from churnrisk.workflows.monday import monday
from churnrisk.workflows.promises import promises
from churnrisk.workflows.reviews import trail

router = APIRouter()
Viewer = Annotated[User, require(Role.VIEWER)]
ENTRIES = 100
_OWN_ACCOUNTS_ONLY = (
    "This counts the accounts of the whole team, and you are limited to your own. "
    "The help says what the colours mean."
)
_LARGEST_ID = 2**31 - 1


@router.get("/promises")
def show_promises(request: Request, user: Viewer) -> Response:
    """Show what each colour promised, and what happened since; its counts are the whole team's."""
    if user.scope is not None:
        raise HTTPException(403, _OWN_ACCOUNTS_ONLY)
    return page(request, "promises.html", contract(promises(request.app.state.store)))


@router.get("/monday")
async def show_monday(request: Request, user: Viewer) -> Response:
    """Show the team's load, what is new, what was saved, and the course over time."""
    state = request.app.state
    found = await slowly(partial(monday, state.store, now=now(), scope=user.scope, deadlines=state.deadlines))
    return page(request, "monday.html", week(found, scope=user.scope))


@router.get("/audit")
def show_audit(
    request: Request,
    user: Annotated[User, require(Role.ADMIN)],
    account: str = "",
    author: str = "",
    before: str = "",
) -> Response:
    """Show who changed what, the newest first."""
    store = request.app.state.store
    try:
        entries = trail(
            store,
            account_id=account.strip() or None,
            author=author or None,
            scope=user.scope,
            before=_entry(before),
            limit=ENTRIES,
        )
    except NotFoundError:
        entries = ()
    kept = {name: value for name, value in (("account", account), ("author", author)) if value}
    older = (
        "/audit?" + urlencode(kept | {"before": entries[-1].audit_id}) if len(entries) == ENTRIES else None
    )
    context = {
        "trail": changes(entries),
        "older": older,
        "account": account,
        "author": author,
        "authors": sorted({person.name for person in all_users(store)} | ({author} if author else set())),
    }
    return page(request, "audit.html", context)


def _entry(given: str) -> int | None:
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and int(given[:11]) <= _LARGEST_ID):
        raise UsageError(
            f"before expects the number of an entry, found {given[:20]!r}. Go back to the newest."
        )
    return int(given)
