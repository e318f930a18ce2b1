"""Pages to sign in and out, and to change one's own password."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from churnrisk.errors import UsageError
from churnrisk.records import Role, User
from churnrisk.web.process import run_in_thread
from churnrisk.web.rendering import page
from churnrisk.web.security.access import Access
from churnrisk.web.security.guard import require
from churnrisk.web.security.keeping import Kept
from churnrisk.web.security.origin import address_of, safe_path
from churnrisk.web.security.visit import Visit, flash, visit_of
from churnrisk.workflows.access import (
    SignInError,
    change_password,
    close_session,
    open_session,
    sign_in,
)

router = APIRouter(include_in_schema=False)
_LONGEST = 1000


@router.get("/sign-in")
def show(request: Request, next: str = "/") -> Response:
    """Show the form, or go on where somebody is signed in already."""
    target = safe_path(next)
    visit = visit_of(request)
    if visit is not None and visit.user is not None:
        return RedirectResponse(target, 303)
    return sign_in_page(request, target=target)


@router.post("/sign-in")
async def enter(
    request: Request,
    name: Annotated[str, Form(max_length=_LONGEST)] = "",
    password: Annotated[str, Form(max_length=_LONGEST)] = "",
    next: Annotated[str, Form()] = "/",
    kept: Annotated[str, Form()] = "",
) -> Response:
    """Begin a session for whom name and password belong to."""
    return await run_in_thread(partial(_enter, request, name, password, next, kept))


def _enter(request: Request, name: str, password: str, next: str, kept: str) -> Response:
    access: Access = request.app.state.access
    unsent = Kept.unseal(access.keys, kept)
    try:
        user = sign_in(access.store, name, password, address=address_of(request), now=access.now())
    except SignInError as error:
        return _refused(request, error, name=name, target=safe_path(next), kept=unsent)
    begin(request, user)
    if unsent is not None:
        return page(request, "security/again.html", {"kept": unsent, "target": safe_path(next)})
    return RedirectResponse(safe_path(next), 303)


@router.post("/sign-out")
async def leave(request: Request, _user: Annotated[User, require(Role.VIEWER)]) -> Response:
    """End the session; forms of it that are still open elsewhere are dead from now on."""
    return await run_in_thread(partial(_leave, request))


def _leave(request: Request) -> Response:
    visit = _visit(request)
    if visit.session_id is not None:
        close_session(visit.access.store, visit.session_id)
    visit.leave()
    flash(request, "You are signed out.", kind="plain")
    return RedirectResponse("/sign-in", 303)


@router.get("/password")
def show_password(request: Request, user: Annotated[User, require(Role.VIEWER)]) -> Response:
    """Show the form to change one's own password."""
    return page(request, "security/password.html", {"error": "", "name": user.name})


@router.post("/password")
async def set_own_password(
    request: Request,
    user: Annotated[User, require(Role.VIEWER)],
    present: Annotated[str, Form(alias="present_password", max_length=_LONGEST)] = "",
    new: Annotated[str, Form(alias="new_password", max_length=_LONGEST)] = "",
    again: Annotated[str, Form(alias="new_password_again", max_length=_LONGEST)] = "",
) -> Response:
    """Change one's own password: every session ends, and this one goes on under a new id."""
    return await run_in_thread(partial(_set_own_password, request, user, present, new, again))


def _set_own_password(request: Request, user: User, present: str, new: str, again: str) -> Response:
    access: Access = request.app.state.access
    try:
        # The present one is asked for, so that nobody changes it on a screen left open.
        sign_in(access.store, user.name, present, address=address_of(request), now=access.now())
        if new != again:
            raise UsageError("the new password was typed in two ways. Type it again.")
        change_password(access.store, user.name, new)
    except (SignInError, UsageError) as error:
        fitting = "The present password does not fit." if isinstance(error, SignInError) else str(error)
        told = str(error) if isinstance(error, SignInError) and error.wait else fitting
        context = {"error": told[:1].upper() + told[1:], "name": user.name}
        return page(request, "security/password.html", context, status=422)
    begin(request, user)
    flash(request, "Your password is changed. Everywhere else you are signed out.")
    return RedirectResponse("/", 303)


def begin(request: Request, user: User) -> None:
    """Begin a new session in this browser and end the one it had."""
    visit = _visit(request)
    if visit.session_id is not None:
        close_session(visit.access.store, visit.session_id)
    visit.user = user
    visit.start(open_session(visit.access.store, user, now=visit.access.now(), config=visit.access.config))


def sign_in_page(
    request: Request,
    *,
    target: str = "/",
    status: int = 200,
    error: str = "",
    name: str = "",
    kept: Kept | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return the page to sign in; ``kept`` is a form that could not be sent without."""
    access: Access = request.app.state.access
    context = {
        "target": target,
        "error": error,
        "name": name[:256],
        "kept": kept,
        "sealed": "" if kept is None else kept.seal(access.keys),
        "sso": access.config.oidc.label if access.config.oidc else "",
    }
    return page(request, "security/sign_in.html", context, status=status, headers=headers)


def _refused(request: Request, error: SignInError, *, name: str, target: str, kept: Kept | None) -> Response:
    status, headers = 401, {}
    if error.wait is not None:
        status, headers = 429, {"retry-after": str(max(1, round(error.wait.total_seconds())))}
    return sign_in_page(
        request, target=target, status=status, error=str(error), name=name, kept=kept, headers=headers
    )


def _visit(request: Request) -> Visit:
    visit = visit_of(request)
    assert visit is not None  # noqa: S101 - the gate stands before every page
    return visit
