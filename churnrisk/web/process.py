"""What the serving process shares: its clock, its threads for slow work, and safe lines for its log."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from starlette.requests import Request

from churnrisk.team import AccountView, view_account

P = ParamSpec("P")
T = TypeVar("T")
_SLOW_THREADS = 3
# a limiter belongs to one event loop
_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("churnrisk_slow_work")


def now() -> datetime:
    """Return the current time in UTC without an offset, as the store keeps instants."""
    return datetime.now(UTC).replace(tzinfo=None)


def account_of(request: Request, account_id: str, *, scope: str | None) -> AccountView:
    """Return an account as the latest run and the team's records have it, for who may see the accounts in ``scope``."""
    state, capacity = request.app.state, request.app.state.project.decision.capacity
    return view_account(
        state.store, account_id, now=now(), scope=scope, deadlines=state.deadlines, capacity=capacity
    )


def in_thread(route: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a slow route asynchronous: it runs by :func:`run_in_thread`."""

    @wraps(route)
    async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> T:
        return await run_in_thread(partial(route, *args, **kwargs))

    return asynchronous


async def run_in_thread(work: Callable[[], T]) -> T:
    """Run work that is slow, or may wait for a run being published, in threads that quick pages never wait for."""
    limiter = _LIMITER.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_SLOW_THREADS)
        _LIMITER.set(limiter)
    return await anyio.to_thread.run_sync(work, limiter=limiter)


def one_line(text: object) -> str:
    """Escape line breaks and control characters, so that a foreign text cannot forge lines of the log."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text))
