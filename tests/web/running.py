"""Coroutines to their end, also in a worker whose browser keeps a loop of its own running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def to_its_end(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread that runs nothing else, and return what it returns."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
