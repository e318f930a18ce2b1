"""Who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person or a program may do; each role may do everything that those before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Whether this role may do what another one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """A person with access to the pages.

    Attributes
    ----------
    name : str
        The sign-in name, lower case.
    owner : str or None
        As which owner of accounts the person stands in the tables.
    own_only : bool
        True limits the person to the accounts of ``owner``.
    """

    user_id: int
    name: str
    display_name: str
    role: Role
    owner: str | None = None
    own_only: bool = False
    email: str | None = None
    disabled: bool = False

    @property
    def scope(self) -> str | None:
        """The owner whose accounts are all that the person may see; None for everything."""
        return self.owner if self.own_only else None
