"""The ``[web]`` section of churnrisk.toml: session lifetimes, host names, single sign-on."""

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
    """``[web.oidc]``: sign-in through an OpenID Connect provider."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    issuer: str
    client_id: str
    #: The environment variable that holds the client secret; the secret itself never stands in a file.
    client_secret_env: str = "CHURNRISK_OIDC_SECRET"  # noqa: S105 - the name of a variable
    #: Text of the button.
    label: str = "Sign in with your company account"
    #: True creates a user for everybody the provider vouches for; False admits only users added before, by e-mail.
    create: bool = False
    default_role: RoleName = "viewer"
    #: The claim that names the role; it is then applied at every sign-in.
    role_claim: str | None = None
    #: Values of that claim to roles; the highest one counts.
    roles: Mapping[str, RoleName] = field(default_factory=dict)
    #: Admit only addresses of these domains; empty admits any.
    email_domains: tuple[str, ...] = ()
    #: Accept addresses not marked as verified: only for a provider that assigns the addresses itself.
    trust_email: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise UsageError(
                f"[web.oidc] issuer expects an https address, found {self.issuer!r}. "
                "Use the issuer that the provider's administrator gave you."
            )


@dataclass(frozen=True)
class WebConfig:
    """``[web]``: the settings of the server."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    #: Idle hours after which a session ends.
    session_hours: float = 12
    #: Days after which a session ends in any case.
    session_days: float = 7
    #: Host names to answer, besides this machine's loopback names.
    allowed_hosts: tuple[str, ...] = ()
    #: The address people type when a proxy stands in front: "https://churn.example.com".
    public_url: str = ""
    #: Limit per token.
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
        """How long a session lives without a request."""
        return timedelta(hours=self.session_hours)

    @property
    def lifetime(self) -> timedelta:
        """How long a session lives at most."""
        return timedelta(days=self.session_days)

    @property
    def hosts(self) -> frozenset[str]:
        """All host names to answer, lower case and without port."""
        public = urlsplit(self.public_url).hostname
        return frozenset(name.lower() for name in (*_LOOPBACK, *self.allowed_hosts, public) if name)

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the pages over https."""
        return self.public_url.startswith("https://")
