"""Roles and users."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a user or a token may do; each role includes those before it."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Whether this role includes another one."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """A user of the pages: ``owner`` is the name in the customer's tables, ``own_only`` limits to those accounts."""

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
        """The owner whose accounts are all that the user may see; None for everything."""
        return self.owner if self.own_only else None
