"""The way back: one click after a change, and for admins any change in the audit trail."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response

from churnrisk.errors import NotFoundError
from churnrisk.records import Role, User
from churnrisk.web.errors import Way, message
from churnrisk.web.forms import Typed
from churnrisk.web.moment import now
from churnrisk.web.patience import slowly
from churnrisk.web.security import flash, require
from churnrisk.web.security.origin import safe_path
from churnrisk.web.trail import line
from churnrisk.workflows.reviews import ConflictError, undo

router = APIRouter()
Reviewer = Annotated[User, require(Role.REVIEWER)]
_LARGEST_ID = 2**31 - 1


@router.post("/changes/{review_id}/undo")
async def take_back(
    request: Request, user: Reviewer, typed: Typed, review_id: Annotated[int, Path(ge=1, le=_LARGEST_ID)]
) -> Response:
    """Take a change back and return to where the person was."""
    return await slowly(partial(_take_back, request, user, safe_path(typed.get("back")), review_id))


def _take_back(request: Request, user: User, back: str, review_id: int) -> Response:
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
        lines = ("A newer change stands on top of this one, so it cannot be taken back by itself:",)
        newer = tuple(f"{entry.author}, {entry.at:%Y-%m-%d %H:%M}: {line(entry)}" for entry in error.entries)
        return message(request, 409, "Somebody was faster", *lines, *newer, ways=(Way(back, "Back"),))
    except NotFoundError:
        flash(request, "This change has been taken back already, or it is not yours.", kind="bad")
        return RedirectResponse(back, 303)
    flash(request, f"Undone: {done.what.removeprefix('undid: ')}.", kind="good")
    return RedirectResponse(back, 303)
