"""How many threads a fit may use."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from churnrisk.model.panel import Floats

# Below this many cells threads wait for each other longer than they work: with both cores busy, a
# search on 2,400 rows took 1 s with one thread and more than 90 s with two.
_FEW_CELLS = 400_000


def threads_for(encoded: Floats) -> AbstractContextManager[Any]:
    """Return a context with one thread for a small matrix, and with all of them for a large one."""
    return threadpool_limits(limits=1) if encoded.size < _FEW_CELLS else nullcontext()
