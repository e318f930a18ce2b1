"""The clock of the pages: the only place under web/ that asks what time it is."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return this moment in UTC without an offset, as the history stores instants."""
    return datetime.now(UTC).replace(tzinfo=None)
