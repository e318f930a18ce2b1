"""A run before and after it is published."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from churnrisk.history.rows import naive_utc
from churnrisk.records import Run


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a scoring run was made of.

    Attributes
    ----------
    as_of : datetime
        The snapshot; UTC where it has no offset.
    published_at : datetime
        Now, as the caller sees it.
    inputs_digest, model_version, policy_version : str
        Everything else the scores depend on.
    forced_by : str or None
        Who published it against the guard.
    """

    as_of: datetime
    published_at: datetime
    inputs_digest: str
    model_version: str
    policy_version: str
    forced_by: str | None = None

    @property
    def run_key(self) -> str:
        """Digest of as_of, inputs, model and policy: the same key is the same run."""
        parts = [
            naive_utc(self.as_of).isoformat(),
            self.inputs_digest,
            self.model_version,
            self.policy_version,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def values(self) -> dict[str, Any]:
        """Return the columns of the runs table that it fills, instants in UTC."""
        instants = {"as_of": naive_utc(self.as_of), "published_at": naive_utc(self.published_at)}
        return asdict(self) | instants | {"run_key": self.run_key}


@dataclass(frozen=True, slots=True)
class Publication:
    """The published run; ``is_new`` is False when it had been published before."""

    run: Run
    is_new: bool
