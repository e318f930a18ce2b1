"""The settings of ``[web]``: how long people stay signed in, under which names the pages stand, single sign-on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from churnrisk.errors import UsageError

RoleName = Literal["viewer", "reviewer", "admin"]
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class OidcConfig:
    """The settings of ``[web.oidc]``: sign-in through an OpenID Connect provider.

    Attributes
    ----------
    issuer : str
        The provider's address; its description is read from ``/.well-known/openid-configuration`` below it.
    client_id : str
        As which application this one is known there.
    client_secret_env : str
        The environment variable that holds the client's secret; the secret itself never stands in a file.
    label : str
        What the button says.
    create : bool
        True lets everybody in whom the provider vouches for; False only people added before, by e-mail.
    default_role : {"viewer", "reviewer", "admin"}
        The role of a person who is created.
    role_claim : str or None
        The claim that names the role; it is then followed at every sign-in.
    roles : mapping of str to role
        From values of that claim to roles; the highest one counts.
    email_domains : tuple of str
        Only addresses of these domains; empty for any.
    trust_email : bool
        True also takes addresses that the provider does not mark as verified: only where it gives them out itself.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    issuer: str
    client_id: str
    client_secret_env: str = "CHURNRISK_OIDC_SECRET"  # noqa: S105 - the name of a variable
    label: str = "Sign in with your company account"
    create: bool = False
    default_role: RoleName = "viewer"
    role_claim: str | None = None
    roles: Mapping[str, RoleName] = field(default_factory=dict)
    email_domains: tuple[str, ...] = ()
    trust_email: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise UsageError(
                f"[web.oidc] issuer expects an https address, found {self.issuer!r}. "
                "Name the provider's issuer as its administrator gave it."
            )


@dataclass(frozen=True)
class WebConfig:
    """The settings of ``[web]``.

    Attributes
    ----------
    session_hours : float
        After so many hours without a click one has to sign in again.
    session_days : float
        After so many days in any case.
    allowed_hosts : tuple of str
        Names under which the pages may be asked for, beside this machine's own loopback ones.
    public_url : str
        The address people type, when a proxy stands before the server: "https://churn.example.com".
    api_requests_per_minute : int
        What one token may ask for.
    oidc : OidcConfig, optional
        Single sign-on.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    session_hours: float = 12
    session_days: float = 7
    allowed_hosts: tuple[str, ...] = ()
    public_url: str = ""
    api_requests_per_minute: int = 600
    oidc: OidcConfig | None = None

    def __post_init__(self) -> None:
        for name in ("session_hours", "session_days", "api_requests_per_minute"):
            if not getattr(self, name) > 0:
                raise UsageError(f"[web] {name} must be above 0; found {getattr(self, name)}.")
        parts = urlsplit(self.public_url)
        if self.public_url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise UsageError(
                f"[web] public_url expects an address such as https://churn.example.com, found {self.public_url!r}."
            )

    @property
    def idle(self) -> timedelta:
        """How long a session lives without a click."""
        return timedelta(hours=self.session_hours)

    @property
    def longest(self) -> timedelta:
        """How long a session lives at most."""
        return timedelta(days=self.session_days)

    @property
    def hosts(self) -> frozenset[str]:
        """Every host name that may be asked for, lower case and without port."""
        public = urlsplit(self.public_url).hostname
        named = (*self.allowed_hosts, *((public,) if public else ()))
        return frozenset(name.lower() for name in (*_LOOPBACK, *named))

    @property
    def is_https(self) -> bool:
        """Whether people reach the pages over https, whatever stands between."""
        return self.public_url.startswith("https://")
