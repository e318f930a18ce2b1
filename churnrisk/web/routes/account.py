"""One account: what to do first, why, what happened, and the forms to record what was done."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from churnrisk.errors import NotFoundError, UnavailableError, UsageError
from churnrisk.records import Role, User
from churnrisk.web.dossier import conflict_of, dossier
from churnrisk.web.forms import Typed, change_of, version_of
from churnrisk.web.moment import now
from churnrisk.web.pages import account_path, leading_back, page
from churnrisk.web.patience import slowly
from churnrisk.web.security import flash, require
from churnrisk.web.security.origin import safe_path
from churnrisk.workflows.account import view_account
from churnrisk.workflows.reviews import ConflictError, review

router = APIRouter()
Viewer = Annotated[User, require(Role.VIEWER)]
Reviewer = Annotated[User, require(Role.REVIEWER)]


@router.get("/accounts/{account_id:path}")
def show(request: Request, user: Viewer, account_id: str) -> Response:
    """Show an account."""
    return _page(request, user, account_id)


@router.post("/accounts/{account_id:path}/reviews")
async def record(request: Request, user: Reviewer, account_id: str, typed: Typed) -> Response:
    """Record a change; what cannot be recorded comes back with what was typed."""
    return await slowly(partial(_record, request, user, account_id, typed))


def _record(request: Request, user: User, account_id: str, typed: Mapping[str, str]) -> Response:
    try:
        change, version = change_of(typed), version_of(typed)
        done = review(
            request.app.state.store,
            {account_id: version},
            change,
            author=user.name,
            via="web",
            now=now(),
            scope=user.scope,
        )
    except ConflictError as error:
        return _page(request, user, account_id, typed, status=409, conflict=conflict_of(error, typed))
    except (NotFoundError, UnavailableError):
        raise
    except UsageError as error:
        return _page(request, user, account_id, typed, status=400, mistake=str(error))
    flash(request, f"Saved: {done.what}.", undo=done.review_id)
    return RedirectResponse(account_path(account_id) + leading_back(safe_path(typed.get("up"))), 303)


def _page(
    request: Request,
    user: User,
    account_id: str,
    typed: Mapping[str, str] | None = None,
    *,
    status: int = 200,
    **shown: Any,
) -> Response:
    moment = now()
    state = request.app.state
    view = view_account(state.store, account_id, scope=user.scope, now=moment, deadlines=state.deadlines)
    up = safe_path(request.query_params.get("up") or (typed or {}).get("up"))
    context = {
        "typed": typed or {},
        "conflict": None,
        "mistake": None,
        "up": up,
        "people": state.people.options(scope=user.scope, now=moment),
    }
    return page(request, "account.html", dossier(view, now=moment) | context | shown, status=status)
