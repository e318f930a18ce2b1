"""How many threads a fit may use."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from threadpoolctl import threadpool_limits

from churnrisk.model.panel import Floats

# Below this many cells threads wait for each other longer than they work wherever the cores are shared:
# with both busy, a fit on 41,000 rows of 57 columns took 41 to 160 s with two threads; 30 s with one.
_FEW_CELLS = 4_000_000


def threads_for(encoded: Floats) -> AbstractContextManager[Any]:
    """Return a context with one thread for a small matrix, and with all of them for a large one."""
    return threadpool_limits(limits=1) if encoded.size < _FEW_CELLS else nullcontext()
