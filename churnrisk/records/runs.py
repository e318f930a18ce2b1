"""One published scoring run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One published scoring run."""

    run_id: int
    run_key: str
    as_of: datetime
    published_at: datetime
    model_version: str
    policy_version: str
    inputs_digest: str
    accounts: int
    red: int
    amber: int
    green: int
    grey: int
    forced_by: str | None = None
