"""Who may come in, and what a response carries.

``install(app, project)`` puts three things before the routes of an app: known host names and security headers,
the gate (a session for every page, a token in every form), and the pages to sign in and out. A route states its role:

    router = APIRouter(dependencies=[require(Role.VIEWER)])

    @router.post("/accounts/{account_id}/reviews")
    def review(request: Request, user: Annotated[User, require(Role.REVIEWER)], ...): ...

Templates put ``csrf_token`` into every form; scripts send it as ``X-CSRF-Token``. ``user.scope`` limits what may be
seen. Errors are shown by the app's own handler of ``HTTPException`` (401, 403, 413) and of ``ChurnRiskError``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from churnrisk.web.security.guard import Require, require
from churnrisk.web.security.visit import csrf_token, current_user, flash, take_flashes

if TYPE_CHECKING:
    from fastapi import FastAPI

    from churnrisk.workflows.project import Project

__all__ = ["install", "require", "Require", "current_user", "csrf_token", "flash", "take_flashes"]


def install(app: FastAPI, project: Project, *, hosts: Iterable[str] = ()) -> None:
    """Put the security layer before an app's routes; to be called once, at any time before the first request.

    Parameters
    ----------
    app : FastAPI
        ``app.state.store`` is the history, open for as long as the app runs.
    project : Project
        Its ``[web]`` settings and its folder, which holds the secret.
    hosts : iterable of str
        Host names that are answered, besides those of the settings.

    Raises
    ------
    UsageError
        If the server's secret cannot be used, or single sign-on is set up and cannot work.
    """
    # Later, since the pages import this package.
    from churnrisk.web.security.access import Access
    from churnrisk.web.security.gate import Gate
    from churnrisk.web.security.headers import Headers
    from churnrisk.web.security.keys import Keys, secret_of
    from churnrisk.web.security.sign_in import router
    from churnrisk.web.security.single_sign_on import make_client
    from churnrisk.web.security.single_sign_on import router as single_sign_on

    named = project.web.hosts | {host.lower() for host in hosts}
    access = Access(app.state.store, project.web, Keys(secret_of(project.directory)), frozenset(named))
    app.state.access = access
    app.state.sso_client = make_client(project.web.oidc) if project.web.oidc else None
    app.include_router(router)
    app.include_router(single_sign_on)
    app.add_middleware(Gate, access=access)
    app.add_middleware(Headers, access=access)
