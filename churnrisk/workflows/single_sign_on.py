"""Whom a single sign-on provider vouches for, and with which role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore
from churnrisk.history.access import NewUser, add_user, change_user, user_of_identity
from churnrisk.records import Role, User
from churnrisk.workflows.access import NewPerson, SignInError, normal_name
from churnrisk.workflows.web_config import OidcConfig

_NOT_KNOWN = "You have no access here yet. An administrator gives it with `churnrisk user add --email`."


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider says of a person; issuer and subject never change and are never given to another one."""

    issuer: str
    subject: str
    email: str | None
    name: str | None
    roles: tuple[str, ...] = ()

    @classmethod
    def of_claims(cls, claims: Mapping[str, Any], config: OidcConfig) -> Self:
        """Return the person of a checked ID token; an address that is not verified counts as none."""
        email = str(claims.get("email") or "").strip().casefold()
        is_trusted = claims.get("email_verified") is True or (
            config.trust_email and claims.get("email_verified") is not False
        )
        given = claims.get(config.role_claim) if config.role_claim else None
        values = [given] if isinstance(given, str) else given if isinstance(given, Iterable) else []
        return cls(
            issuer=str(claims["iss"]),
            subject=str(claims["sub"]),
            email=email if email and is_trusted else None,
            name=str(claims.get("name") or "").strip()[:200] or None,
            roles=tuple(str(value) for value in values),
        )


def person_of(store: HistoryStore, identity: Identity, config: OidcConfig, *, now: datetime) -> User:
    """Return the person that a provider means, added or brought up to date as the settings say.

    Raises
    ------
    SignInError
        If the person is unknown, disabled, of another domain, or has no role here.
    """
    _check_domain(identity, config)
    role = _role(identity, config)
    found = user_of_identity(store, identity.issuer, identity.subject, email=identity.email)
    if found is None:
        return _created(store, identity, config, role, now)
    user, _ = found
    if user.disabled:
        raise SignInError("Your access has been taken away. Ask an administrator.")
    if role is not None and role is not user.role:
        return change_user(store, user.user_id, at=now, role=role)
    return user


def _check_domain(identity: Identity, config: OidcConfig) -> None:
    if not config.email_domains:
        return
    domain = (identity.email or "").rpartition("@")[2]
    if domain not in {name.casefold().lstrip("@") for name in config.email_domains}:
        raise SignInError("Your address is not of a domain that has access here. Ask an administrator.")


def _role(identity: Identity, config: OidcConfig) -> Role | None:
    """Return the role that the provider gives; None where it has no say."""
    if config.role_claim is None:
        return None
    given = [Role(config.roles[value]) for value in identity.roles if value in config.roles]
    if not given:
        raise SignInError("Your account has no role here. Ask an administrator.")
    return max(given, key=list(Role).index)


def _created(
    store: HistoryStore, identity: Identity, config: OidcConfig, role: Role | None, now: datetime
) -> User:
    if not config.create or identity.email is None:
        raise SignInError(_NOT_KNOWN)
    try:
        person = NewPerson(
            normal_name(identity.email), role or Role(config.default_role), email=identity.email
        )
        new = NewUser(
            name=normal_name(person.name),
            display_name=identity.name or identity.email,
            role=person.role,
            email=identity.email,
            issuer=identity.issuer,
            subject=identity.subject,
        )
        return add_user(store, new, at=now)
    except UsageError as error:
        # The address belongs to somebody whom the provider knows as another subject.
        raise SignInError(_NOT_KNOWN) from error
