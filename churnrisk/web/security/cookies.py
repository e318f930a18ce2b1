"""Cookies: which ones there are, and the marks that each of them carries."""

from __future__ import annotations

from http.cookies import SimpleCookie

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

#: The signed id of a session.
SESSION = "churnrisk_session"
#: What ties a form to a browser before anybody has signed in.
FORM = "churnrisk_form"
#: A message for the next page.
FLASH = "churnrisk_flash"
#: What must be remembered while the person is at a single sign-on provider.
SSO = "churnrisk_sso"


def read_cookie(connection: HTTPConnection, name: str, *, https: bool) -> str | None:
    """Return a cookie of ours."""
    return connection.cookies.get(_full(name, https))


def set_cookie(headers: MutableHeaders, name: str, value: str, *, https: bool, seconds: int | None) -> None:
    """Add a cookie that no script can read and no other site can send along; 0 seconds removes it."""
    cookie: SimpleCookie = SimpleCookie()
    full = _full(name, https)
    cookie[full] = value
    cookie[full]["path"] = "/"
    cookie[full]["httponly"] = True
    cookie[full]["samesite"] = "Lax"
    cookie[full]["secure"] = https
    if seconds is not None:
        cookie[full]["max-age"] = seconds
    headers.append("set-cookie", cookie[full].OutputString())


def _full(name: str, https: bool) -> str:
    # With this prefix a browser takes the cookie from this very host only, not from a neighbour's domain.
    return f"__Host-{name}" if https else name
