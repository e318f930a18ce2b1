"""Sign-in through an OpenID Connect provider: authorization code with PKCE, state and nonce, by Authlib."""

from __future__ import annotations

import logging
import os
import warnings
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from churnrisk.errors import UsageError
from churnrisk.web.process import one_line, run_in_thread
from churnrisk.web.security.access import Access
from churnrisk.web.security.cookies import SSO, read_cookie
from churnrisk.web.security.origin import safe_path
from churnrisk.web.security.sign_in import begin, sign_in_page
from churnrisk.web.security.visit import visit_of
from churnrisk.workflows.access import SignInError
from churnrisk.workflows.single_sign_on import Identity, person_of
from churnrisk.workflows.web_config import OidcConfig

router = APIRouter(include_in_schema=False)
_LOG = logging.getLogger("churnrisk.web")
_SECONDS = 600
_TIMEOUT_SECONDS = 10
_AWAY = "The sign-in provider does not answer. Try again in a moment."
_FAILED = "The sign-in did not work out. Try again."


def make_client(config: OidcConfig) -> Any:
    """Return Authlib's client of a provider.

    Raises
    ------
    UsageError
        If Authlib is not installed, or the client's secret is not in the environment.
    """
    try:
        from authlib.deprecate import AuthlibDeprecationWarning

        with warnings.catch_warnings():
            # It would rather have a successor of httpx; nobody who serves the pages can do anything about that.
            warnings.simplefilter("ignore", AuthlibDeprecationWarning)
            from authlib.integrations.starlette_client import OAuth
    except ImportError as error:
        raise UsageError(
            "[web.oidc] needs a package that is not installed. Install it: pip install 'churnrisk[sso]'."
        ) from error
    secret = os.environ.get(config.client_secret_env)
    if not secret:
        raise UsageError(
            f"[web.oidc] expects the client's secret in the environment variable {config.client_secret_env}, "
            "found none. Set it, or name another variable as client_secret_env."
        )
    return OAuth().register(
        name="sso",
        server_metadata_url=config.issuer.rstrip("/") + "/.well-known/openid-configuration",
        client_id=config.client_id,
        client_secret=secret,
        client_kwargs={
            "scope": "openid email profile",
            "code_challenge_method": "S256",
            "timeout": _TIMEOUT_SECONDS,
        },
    )


@router.get("/sign-in/sso")
async def depart(request: Request, next: str = "/") -> Response:
    """Send the person to the provider."""
    access, client, config = _parts(request)
    request.scope["session"] = {"next": safe_path(next)}
    try:
        await _check_issuer(client, config)
        response: Response = await client.authorize_redirect(request, _callback(request, access))
    except Exception as error:
        return await _explained(request, error)
    _remember(request, access)
    return response


@router.get("/sign-in/sso/callback")
async def arrive(request: Request) -> Response:
    """Begin a session for whom the provider vouches for."""
    access, client, config = _parts(request)
    visit = visit_of(request)
    cookie = read_cookie(request, SSO, https=visit is not None and visit.https)
    remembered = access.keys.open(SSO, cookie, seconds=_SECONDS)
    request.scope["session"] = remembered if isinstance(remembered, dict) else {}
    target = safe_path(request.scope["session"].get("next"))
    _forget(request)
    try:
        state = request.query_params.get("state")
        if not state or await client.framework.get_state_data(request.scope["session"], state) is None:
            raise SignInError("This sign-in was begun elsewhere, or too long ago. Try again.")
        token = await client.authorize_access_token(request)
        identity = Identity.of_claims(token["userinfo"], config)
        await run_in_thread(partial(_let_in, request, access, identity, config))
    except Exception as error:
        return await _explained(request, error)
    return RedirectResponse(target, 303)


def _let_in(request: Request, access: Access, identity: Identity, config: OidcConfig) -> None:
    begin(request, person_of(access.store, identity, config, now=access.now()))


def _parts(request: Request) -> tuple[Access, Any, OidcConfig]:
    access: Access = request.app.state.access
    client = request.app.state.sso_client
    if client is None or access.config.oidc is None:
        raise HTTPException(404)
    return access, client, access.config.oidc


async def _check_issuer(client: Any, config: OidcConfig) -> None:
    found = str((await client.load_server_metadata()).get("issuer", ""))
    if found.rstrip("/") != config.issuer.rstrip("/"):
        raise UsageError(
            f"[web.oidc] issuer {config.issuer!r} says of itself that it is {found!r}. Mend it in churnrisk.toml."
        )


def _callback(request: Request, access: Access) -> str:
    public = access.config.public_url.rstrip("/")
    return (public or str(request.base_url).rstrip("/")) + "/sign-in/sso/callback"


def _remember(request: Request, access: Access) -> None:
    visit = visit_of(request)
    if visit is not None:
        visit.cookies.append((SSO, access.keys.seal(SSO, request.scope["session"]), _SECONDS))


def _forget(request: Request) -> None:
    visit = visit_of(request)
    if visit is not None:
        visit.cookies.append((SSO, "", 0))


async def _explained(request: Request, error: Exception) -> Response:
    """Return the sign-in page with what went wrong; the details are for the log."""
    import httpx
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    if isinstance(error, SignInError):
        status, told = 403, str(error)
    elif isinstance(error, httpx.HTTPError | UsageError):
        _LOG.warning("single sign-on: %s: %s", type(error).__name__, one_line(error))
        status, told = 503, _AWAY
    elif isinstance(error, AuthlibBaseError | JoseError | KeyError | ValueError):
        _LOG.warning("single sign-on: %s: %s", type(error).__name__, one_line(error))
        status, told = 403, _FAILED
    else:
        raise error
    return await run_in_threadpool(sign_in_page, request, status=status, error=told)
