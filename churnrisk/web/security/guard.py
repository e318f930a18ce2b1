"""The role that a page asks for."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from churnrisk.records import Role, User
from churnrisk.web.security.answers import SignInNeeded
from churnrisk.web.security.visit import current_user


class Require:
    """A dependency that lets people of a role pass and returns who it is."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request) -> User:
        """Return who is signed in.

        Raises
        ------
        HTTPException
            401 without a session, 403 with a lesser role.
        """
        user = current_user(request)
        if user is None:
            raise SignInNeeded
        if not user.role.covers(self.role):
            raise HTTPException(
                403, f"This takes the role {self.role}; yours is {user.role}. Ask an administrator."
            )
        return user


def require(role: Role) -> Any:
    """Return what a route depends on: ``user: Annotated[User, require(Role.REVIEWER)]``.

    Also good for a whole router: ``APIRouter(dependencies=[require(Role.VIEWER)])``.
    """
    return Depends(Require(role))
