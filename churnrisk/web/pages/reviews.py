"""Reviews of several accounts at once, all of them or none, and the undo of any review."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response

from churnrisk.errors import NotFoundError, UnavailableError, UsageError
from churnrisk.present import DISPOSITIONS
from churnrisk.records import Role, User
from churnrisk.team import ConflictError, undo, view_account
from churnrisk.web.dependencies import (
    LARGEST_ID,
    Accounts,
    Typed,
    change_of,
    form_context,
    record_change,
    versions_of,
)
from churnrisk.web.pages.account import state_text
from churnrisk.web.pages.audit import signed_text
from churnrisk.web.process import in_thread, now
from churnrisk.web.rendering import PageLink, message, page
from churnrisk.web.security.session import Reviewer, flash
from churnrisk.web.security.signing import safe_path
from churnrisk.web.wording import plural

router = APIRouter()
#: As many as a page of the list shows.
MOST_ACCOUNTS = 100
_KINDS = (*DISPOSITIONS.items(), ("assign", "Assign"), ("note", "Only a note"))


@router.get("/reviews/new")
def choose(request: Request, user: Reviewer, chosen: Accounts) -> Response:
    """Show the form for the accounts in the address."""
    if not chosen:
        flash(request, "Tick the accounts that you want to review, then press “Review selected”.", kind="bad")
        return RedirectResponse(safe_path(request.query_params.get("back")), 303)
    return _page(request, user, chosen, {"up": request.query_params.get("back", "/")})


@router.post("/reviews")
@in_thread
def record(request: Request, user: Reviewer, chosen: Accounts, typed: Typed) -> Response:
    """Record one change of all of them; what cannot be recorded comes back with what was typed."""
    try:
        done = record_change(request, user, versions_of(typed, chosen), change_of(typed))
    except ConflictError as error:
        named = tuple(f"{entry.account_id}: {signed_text(entry)}" for entry in error.entries)
        return _page(request, user, chosen, typed, status=409, conflicts=named)
    except (NotFoundError, UnavailableError):
        raise
    except UsageError as error:
        return _page(request, user, chosen, typed, status=400, mistake=str(error))
    flash(request, f"Saved for {plural(len(done.states), 'account')}: {done.what}.", undo=done.review_id)
    return RedirectResponse(safe_path(typed.get("up")), 303)


def _page(
    request: Request,
    user: User,
    chosen: Sequence[str],
    typed: Mapping[str, str],
    *,
    status: int = 200,
    **shown: Any,
) -> Response:
    if len(chosen) > MOST_ACCOUNTS:
        raise UsageError(
            f"a review of several takes up to {MOST_ACCOUNTS} accounts, found {len(chosen)}. Select fewer."
        )
    store, moment = request.app.state.store, now()
    views = [view_account(store, account_id, scope=user.scope, now=moment) for account_id in chosen]
    context = form_context(request, user, typed, up=typed.get("up")) | {
        "accounts": [(view, state_text(view.state) or view.state.touched_what) for view in views],
        "versions": json.dumps({view.row.account_id: view.state.version for view in views}),
        "conflicts": (),
        "kinds": _KINDS,
    }
    return page(request, "several.html", context | shown, status=status)


@router.post("/changes/{review_id}/undo")
@in_thread
def take_back(
    request: Request, user: Reviewer, typed: Typed, review_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]
) -> Response:
    """Undo a review and return to where the person was; an admin may undo those of others."""
    back = safe_path(typed.get("back"))
    try:
        done = undo(
            request.app.state.store,
            review_id=review_id,
            author=user.name,
            via="web",
            now=now(),
            anybodys=user.role is Role.ADMIN,
            scope=user.scope,
        )
    except ConflictError as error:
        line = "A newer change stands on top of this one, so it cannot be taken back by itself:"
        newer = tuple(signed_text(entry) for entry in error.entries)
        return message(request, 409, "Somebody was faster", line, *newer, ways=(PageLink(back, "Back"),))
    except NotFoundError:
        flash(request, "This change has been taken back already, or it is not yours.", kind="bad")
        return RedirectResponse(back, 303)
    flash(request, f"Undone: {done.what.removeprefix('undid: ')}.", kind="good")
    return RedirectResponse(back, 303)
