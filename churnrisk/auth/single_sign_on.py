"""Single sign-on: which user an OpenID Connect provider vouches for, and with which role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from churnrisk.auth.sessions import SignInError
from churnrisk.auth.settings import OidcConfig
from churnrisk.auth.users import NewUser, Store, add_user, change_user, user_of_identity
from churnrisk.errors import UsageError
from churnrisk.records import Role, User

_UNKNOWN = "You have no access here yet. An administrator gives it with `churnrisk user add --email`."


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider says of a person; issuer and subject never change and are never reassigned."""

    issuer: str
    subject: str
    email: str | None
    name: str | None
    roles: tuple[str, ...] = ()

    @classmethod
    def of_claims(cls, claims: Mapping[str, Any], config: OidcConfig) -> Self:
        """Return the identity of a validated ID token; an unverified e-mail address counts as none."""
        email = str(claims.get("email") or "").strip().casefold()
        verified = claims.get("email_verified")
        is_trusted = verified is True or (config.trust_email and verified is not False)
        claim = claims.get(config.role_claim) if config.role_claim else None
        values = [claim] if isinstance(claim, str) else claim if isinstance(claim, Iterable) else []
        return cls(
            issuer=str(claims["iss"]),
            subject=str(claims["sub"]),
            email=email if email and is_trusted else None,
            name=str(claims.get("name") or "").strip()[:200] or None,
            roles=tuple(str(value) for value in values),
        )


def signed_on_user(store: Store, identity: Identity, config: OidcConfig, *, now: datetime) -> User:
    """Return the user of an identity, created or updated as the settings say; raise SignInError if refused."""
    domain = (identity.email or "").rpartition("@")[2]
    admitted = {name.casefold().lstrip("@") for name in config.email_domains}
    if admitted and domain not in admitted:
        raise SignInError("Addresses of your domain have no access here. Ask an administrator.")
    role = _role(identity, config)
    user = user_of_identity(store, identity.issuer, identity.subject, email=identity.email)
    if user is None:
        return _create(store, identity, role or Role(config.default_role), config, now=now)
    if user.disabled:
        raise SignInError("Your access has been taken away. Ask an administrator.")
    if role is not None and role is not user.role:
        return change_user(store, user.name, role=role, now=now)
    return user


def _role(identity: Identity, config: OidcConfig) -> Role | None:
    """Return the highest role the provider grants; None where it has no say."""
    if config.role_claim is None:
        return None
    granted = [Role(config.roles[value]) for value in identity.roles if value in config.roles]
    if not granted:
        raise SignInError("Your account has no role here. Ask an administrator.")
    return max(granted, key=list(Role).index)


def _create(store: Store, identity: Identity, role: Role, config: OidcConfig, *, now: datetime) -> User:
    email = identity.email
    if not config.create or email is None:
        raise SignInError(_UNKNOWN)
    try:
        new = NewUser(
            email, role, identity.name, email=email, issuer=identity.issuer, subject=identity.subject
        )
        return add_user(store, new, now=now)
    except UsageError as error:
        # The address belongs to a user that the provider knows under another subject.
        raise SignInError(_UNKNOWN) from error
