"""What the parts of the security layer share: the store, the settings, the keys, the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from churnrisk.history import HistoryStore
from churnrisk.web.security.keys import Keys
from churnrisk.workflows.web_config import WebConfig


@dataclass(frozen=True, slots=True)
class Access:
    """Collaborators of the security layer; it stands at ``app.state.access``."""

    store: HistoryStore
    config: WebConfig
    keys: Keys
    hosts: frozenset[str]

    def now(self) -> datetime:
        """Return this moment."""
        return datetime.now(UTC)
