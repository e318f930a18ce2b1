"""The security layer before the pages: host names and headers, sessions, form tokens, sign-in.

A route states its role with ``require``; ``user.scope`` limits what may be seen. Templates put ``csrf_token`` into
every form, scripts send it as ``X-CSRF-Token``. Errors are shown by the app's own exception handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastapi import FastAPI, Response

from churnrisk.settings import Project
from churnrisk.web.security import sign_in, single_sign_on
from churnrisk.web.security.middleware import AuthMiddleware, HeadersMiddleware
from churnrisk.web.security.session import SecurityContext
from churnrisk.web.security.signing import Signer, load_secret


def install(
    app: FastAPI, project: Project, *, page: Callable[..., Response], hosts: Iterable[str] = ()
) -> None:
    """Put the security layer before an app's routes, once and before the first request.

    ``app.state.store`` is the open store, the project's folder holds the server's secret, ``page`` renders the sign-in
    pages, and ``hosts`` are answered besides those of the settings.
    """
    names = project.web.hosts | {host.lower() for host in hosts}
    signer = Signer(load_secret(project.directory))
    app.state.security = SecurityContext(app.state.store, project.web, signer, frozenset(names), page)
    app.state.sso_client = single_sign_on.make_client(project.web.oidc) if project.web.oidc else None
    app.include_router(sign_in.router)
    app.include_router(single_sign_on.router)
    app.add_middleware(AuthMiddleware, security=app.state.security)
    app.add_middleware(HeadersMiddleware, security=app.state.security)
