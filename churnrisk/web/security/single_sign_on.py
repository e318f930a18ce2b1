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

from churnrisk.auth import Identity, OidcConfig, SignInError, signed_on_user
from churnrisk.errors import UsageError
from churnrisk.web.process import now, one_line, run_in_thread
from churnrisk.web.security.session import SSO, SecurityContext, session_of
from churnrisk.web.security.sign_in import sign_in_page
from churnrisk.web.security.signing import safe_path

router = APIRouter(include_in_schema=False)
_LOG = logging.getLogger("churnrisk.web")
_STATE_SECONDS = 600
_TIMEOUT_SECONDS = 10
_UNAVAILABLE = "The sign-in provider does not answer. Try again in a moment."
_FAILED = "The sign-in failed. Try again."


def make_client(config: OidcConfig) -> Any:
    """Return Authlib's client of a provider; raise UsageError without Authlib or the client secret."""
    try:
        from authlib.deprecate import AuthlibDeprecationWarning

        with warnings.catch_warnings():
            # It prefers a successor of httpx; nobody who serves the pages can do anything about that.
            warnings.simplefilter("ignore", AuthlibDeprecationWarning)
            from authlib.integrations.starlette_client import OAuth
    except ImportError as error:
        raise UsageError(
            "[web.oidc] needs a package that is not installed. Install it: pip install 'churnrisk[sso]'."
        ) from error
    secret = os.environ.get(config.client_secret_env)
    if not secret:
        raise UsageError(
            f"[web.oidc] expects the client secret in the environment variable {config.client_secret_env}, "
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
async def redirect_to_provider(request: Request, next: str = "/") -> Response:
    """Send the browser to the provider."""
    security, client, config = _parts(request)
    request.scope["session"] = {"next": safe_path(next)}
    base = security.config.public_url or str(request.base_url)
    try:
        await _check_issuer(client, config)
        callback = base.rstrip("/") + "/sign-in/sso/callback"
        response: Response = await client.authorize_redirect(request, callback)
    except Exception as error:
        return await _failure_page(request, error)
    session_of(request).set_cookie(SSO, request.scope["session"], seconds=_STATE_SECONDS)
    return response


@router.get("/sign-in/sso/callback")
async def return_from_provider(request: Request) -> Response:
    """Start a session for the person the provider vouches for."""
    security, client, config = _parts(request)
    session = session_of(request)
    state = session.open_cookie(request, SSO, seconds=_STATE_SECONDS) or {}
    session.drop_cookie(SSO)
    # Where Authlib looks for state, nonce and verifier.
    request.scope["session"] = state
    target = safe_path(state.get("next"))
    try:
        key = request.query_params.get("state")
        if not key or await client.framework.get_state_data(state, key) is None:
            raise SignInError("This sign-in was started elsewhere, or too long ago. Try again.")
        token = await client.authorize_access_token(request)
        identity = Identity.of_claims(token["userinfo"], config)
        user = await run_in_thread(partial(signed_on_user, security.store, identity, config, now=now()))
        await run_in_thread(partial(session.start, user))
    except Exception as error:
        return await _failure_page(request, error)
    return RedirectResponse(target, 303)


def _parts(request: Request) -> tuple[SecurityContext, Any, OidcConfig]:
    security: SecurityContext = request.app.state.security
    if security.config.oidc is None:
        raise HTTPException(404)
    return security, request.app.state.sso_client, security.config.oidc


async def _check_issuer(client: Any, config: OidcConfig) -> None:
    found = str((await client.load_server_metadata()).get("issuer", ""))
    if found.rstrip("/") != config.issuer.rstrip("/"):
        raise UsageError(
            f"[web.oidc] issuer {config.issuer!r} calls itself {found!r}. Correct it in churnrisk.toml."
        )


async def _failure_page(request: Request, error: Exception) -> Response:
    """Return the sign-in page with what went wrong; the details go to the log."""
    import httpx
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    if isinstance(error, SignInError):
        status, message = 403, str(error)
    elif isinstance(error, httpx.HTTPError | UsageError):
        status, message = 503, _UNAVAILABLE
    elif isinstance(error, AuthlibBaseError | JoseError | KeyError | ValueError):
        status, message = 403, _FAILED
    else:
        raise error
    if not isinstance(error, SignInError):
        _LOG.warning("single sign-on: %s: %s", type(error).__name__, one_line(error))
    return await run_in_threadpool(sign_in_page, request, status=status, error=message)
