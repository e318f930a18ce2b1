"""What happened at an account, from the raw tables: a part of its page, or a page of its own."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from churnrisk.errors import ContractError, UnavailableError, UsageError
from churnrisk.records import Role, User
from churnrisk.web.happenings import happenings
from churnrisk.web.moment import now
from churnrisk.web.pages import page
from churnrisk.web.patience import slowly
from churnrisk.web.security import require
from churnrisk.web.security.origin import safe_path
from churnrisk.workflows.account import view_account
from churnrisk.workflows.timeline import timeline

router = APIRouter()
Viewer = Annotated[User, require(Role.VIEWER)]


@router.get("/accounts/{account_id:path}/timeline")
async def show(request: Request, user: Viewer, account_id: str) -> Response:
    """Show what happened; a script that asks for the part alone gets it without the page around."""
    shown = await slowly(partial(_read, request, user, account_id))
    is_part = request.headers.get("x-part") == "1"
    up = safe_path(request.query_params.get("up"))
    return page(request, "account/timeline.html" if is_part else "timeline.html", shown | {"up": up})


def _read(request: Request, user: User, account_id: str) -> dict[str, Any]:
    state, moment = request.app.state, now()
    view = view_account(state.store, account_id, scope=user.scope, now=moment)
    try:
        found = timeline(
            state.project, state.store, account_id, as_of=view.run.as_of, now=moment, scope=user.scope
        )
    except UnavailableError:
        raise
    except (UsageError, ContractError) as error:
        return {"problem": str(error), "account_id": account_id, "name": view.name or account_id}
    return happenings(view, found, now=moment) | {"problem": None}
