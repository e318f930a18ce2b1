"""What the serving process shares: its clock, its threads for slow work, and safe lines for its log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
_SLOW_THREADS = 3
# a limiter belongs to one event loop
_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("churnrisk_slow_work")


def now() -> datetime:
    """Return the current time in UTC without an offset, as the store keeps instants."""
    return datetime.now(UTC).replace(tzinfo=None)


async def run_in_thread(work: Callable[[], T]) -> T:
    """Run work that is slow, or may wait for a run being published, in threads that quick pages never wait for."""
    return await anyio.to_thread.run_sync(work, limiter=_limiter())


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _LIMITER.get()
    except LookupError:
        _LIMITER.set(anyio.CapacityLimiter(_SLOW_THREADS))
        return _LIMITER.get()


def one_line(text: object) -> str:
    """Escape line breaks and control characters, so that a foreign text cannot forge lines of the log."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text))
