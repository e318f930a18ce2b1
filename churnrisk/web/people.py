"""To whom an account can be assigned: owners of accounts, and people with access."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from markupsafe import Markup

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
        self._options = Markup()
        self._read_at: datetime | None = None

    def options(self, *, scope: str | None, now: datetime) -> Markup:
        """Return the names as options of a list, sorted; who is limited to one owner is told no others."""
        if scope is not None:
            return _options((scope,))
        with self._lock:
            if self._read_at is None or now - self._read_at > _FRESH:
                self._options, self._read_at = _options(self._read()), now
            return self._options

    def _read(self) -> tuple[str, ...]:
        latest = self._store.latest_run()
        users = [user.owner or user.display_name for user in all_users(self._store) if not user.disabled]
        if latest is None:
            return tuple(sorted(set(users)))
        with self._store.database.reading() as connection:
            owners = owners_of(connection, latest.run_id)
        return tuple(sorted({*users, *owners}, key=str.casefold))


def _options(names: Iterable[str]) -> Markup:
    return Markup("").join(Markup('<option value="{}"></option>').format(name) for name in names)
