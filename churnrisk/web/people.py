"""Options of the assignee field: owners of accounts, and users."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from markupsafe import Markup

from churnrisk.auth.users import Store, assignees

# Names change rarely, and every account page offers them.
_MAX_AGE = timedelta(seconds=30)


class People:
    """The names to assign accounts to, cached for half a minute; safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._options = Markup()
        self._read_at: datetime | None = None

    def options(self, *, scope: str | None, now: datetime) -> Markup:
        """Return the names as ``<option>`` elements; a user limited to one owner sees no others."""
        if scope is not None:
            return _options((scope,))
        with self._lock:
            if self._read_at is None or now - self._read_at > _MAX_AGE:
                self._options, self._read_at = _options(assignees(self._store)), now
            return self._options


def _options(names: Iterable[str]) -> Markup:
    return Markup("").join(Markup('<option value="{}"></option>').format(name) for name in names)
