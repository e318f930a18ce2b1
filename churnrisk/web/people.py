"""To whom an account can be assigned: owners of accounts, and people with access."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from churnrisk.history import HistoryStore
from churnrisk.history.access import all_users
from churnrisk.history.totals import owners_of

# Names change rarely, and every account page offers them.
_FRESH = timedelta(seconds=30)


class People:
    """The names, read again when they have become old; safe to ask from several threads.

    Parameters
    ----------
    store : HistoryStore
        The open history.
    """

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._names: tuple[str, ...] = ()
        self._read_at: datetime | None = None

    def names(self, *, scope: str | None, now: datetime) -> tuple[str, ...]:
        """Return the names, sorted; who is limited to one owner's accounts is told no others."""
        if scope is not None:
            return (scope,)
        with self._lock:
            if self._read_at is None or now - self._read_at > _FRESH:
                self._names, self._read_at = self._read(), now
            return self._names

    def _read(self) -> tuple[str, ...]:
        latest = self._store.latest_run()
        users = [user.owner or user.display_name for user in all_users(self._store) if not user.disabled]
        if latest is None:
            return tuple(sorted(set(users)))
        with self._store.database.reading() as connection:
            owners = owners_of(connection, latest.run_id)
        return tuple(sorted({*users, *owners}, key=str.casefold))
