"""The guard before publishing: a colour mix that jumps is more often a broken input than a bad week."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from churnrisk.errors import GuardError

_COLOURS = ("red", "amber", "green", "grey")
# Three standard errors: one run in a few hundred trips over chance alone.
_SPREAD = 3.0


def check_colour_jump(new: Mapping[str, int], old: Mapping[str, int], limit: float = 0.20) -> None:
    """Refuse a run in which the share of a colour changes by more than ``limit``.

    With few accounts chance alone moves shares, so the limit is widened by three standard errors
    of the difference of two shares; with 10,000 accounts that is at most 0.02.

    Parameters
    ----------
    new, old : mapping of colour name to accounts
        This run and the last one; colours left out count as 0. Without accounts in ``old`` nothing is
        checked.
    limit : float
        Largest change of a share of all accounts, 0 to 1.

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
