"""Work that takes long keeps to threads of its own, so that quick pages never wait for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")
_AT_ONCE = 2


async def slowly(work: Callable[[], T]) -> T:
    """Run blocking work beside the pages, a little of it at once, and return what it returns."""
    return await anyio.to_thread.run_sync(work, limiter=_limiter())


@cache
def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(_AT_ONCE)
