"""A run before and after publishing, and the guard between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import sqrt
from typing import Any

from churnrisk.errors import GuardError
from churnrisk.history.rows import naive_utc
from churnrisk.records import Run

# Three standard errors: chance alone trips the guard once in a few hundred runs.
_SPREAD = 3.0
_COLOURS = ("red", "amber", "green", "grey")


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a scoring run depends on; instants are in UTC unless they have an offset.

    ``published_at`` is now, as the caller sees it; ``forced_by`` is who published it against the guard.
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
        as_of = naive_utc(self.as_of).isoformat()
        parts = [as_of, self.inputs_digest, self.model_version, self.policy_version]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def values(self) -> dict[str, Any]:
        """Return its columns of the ``runs`` table, instants in UTC."""
        instants = {"as_of": naive_utc(self.as_of), "published_at": naive_utc(self.published_at)}
        return asdict(self) | instants | {"run_key": self.run_key}


@dataclass(frozen=True, slots=True)
class Publication:
    """The published run; ``is_new`` is False when it had been published before."""

    run: Run
    is_new: bool


def check_colour_jump(new: Mapping[str, int], old: Mapping[str, int], limit: float = 0.20) -> None:
    """Refuse a run in which the share of a colour changes by more than ``limit``; the first run is not checked.

    A colour mix that jumps is more often a broken input than a bad week. With few accounts chance alone moves shares,
    so the limit is widened by three standard errors of the difference; with 10,000 accounts that is at most 0.02.

    Raises
    ------
    GuardError
        Names every colour beyond the limit with its old and new share.
    """
    now, before = _total(new), _total(old)
    if not before:
        return
    jumps = [
        f"{colour} from {_share(old, colour):.1%} to {_share(new, colour):.1%}"
        for colour in _COLOURS
        if abs(_share(new, colour) - _share(old, colour)) > limit + _allowance(new, old, colour)
    ]
    if not jumps:
        return
    raise GuardError(
        f"not published: {', '.join(jumps)} of all accounts, the limit is a change of {limit:.0%} "
        f"({before} accounts at the last run, {now} now). Look for missing or late input; "
        "publish with --force if the change is real."
    )


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.get(colour, 0) for colour in _COLOURS)


def _share(counts: Mapping[str, int], colour: str) -> float:
    total = _total(counts)
    return counts.get(colour, 0) / total if total else 0.0


def _allowance(new: Mapping[str, int], old: Mapping[str, int], colour: str) -> float:
    now, before = _total(new), _total(old)
    if not now:
        return 0.0
    pooled = (new.get(colour, 0) + old.get(colour, 0)) / (now + before)
    return _SPREAD * sqrt(pooled * (1.0 - pooled) * (1.0 / now + 1.0 / before))
