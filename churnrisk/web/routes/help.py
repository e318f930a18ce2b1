"""What the colours mean, how the list works, which keys there are."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from churnrisk.records import Role
from churnrisk.web.pages import page
from churnrisk.web.security import require

router = APIRouter()


@router.get("/help", dependencies=[require(Role.VIEWER)])
def show(request: Request) -> Response:
    """Show the help."""
    return page(request, "help.html")
