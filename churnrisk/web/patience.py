"""Work that takes long, or may wait for a run that is being published, keeps to threads of its own.

Quick pages never wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
_AT_ONCE = 3
# One for each event loop, since it belongs to one.
_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("churnrisk_slow_work")


async def slowly(work: Callable[[], T]) -> T:
    """Run blocking work beside the pages, a little of it at once, and return what it returns."""
    return await anyio.to_thread.run_sync(work, limiter=_limiter())


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _LIMITER.get()
    except LookupError:
        _LIMITER.set(anyio.CapacityLimiter(_AT_ONCE))
        return _LIMITER.get()
