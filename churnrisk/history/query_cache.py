"""Query results that many people ask for, cached until something is published, reviewed or handed out."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

from cachetools import LRUCache
from sqlalchemy import Connection, func, select

from churnrisk.history.schema import actions, reviews, run_outcomes, runs

Result = TypeVar("Result")
#: Changes with everything that a result is made of, whichever process writes it.
_STATE = select(
    select(func.max(runs.c.run_id)).scalar_subquery(),
    select(func.max(reviews.c.review_id)).scalar_subquery(),
    select(func.max(actions.c.action_id)).scalar_subquery(),
    func.count(run_outcomes.c.data_end),
    func.max(run_outcomes.c.data_end),
    func.sum(run_outcomes.c.churned),
)


class QueryCache:
    """The last results by state of the store and query; safe to use from many threads."""

    def __init__(self, maxsize: int = 128) -> None:
        self._results: LRUCache[Hashable, Any] = LRUCache(maxsize)
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, connection: Connection, query: Hashable, compute: Callable[[], Result]) -> Result:
        """Return the cached result; recompute if the store has changed. The transaction sees one state of it."""
        key = (tuple(connection.execute(_STATE).one()), query)
        with self._lock:
            if key in self._results:
                cached: Result = self._results[key]
                return cached
        result = compute()
        with self._lock:
            self._results[key] = result
        return result
