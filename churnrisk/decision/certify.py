"""Fixed-sequence testing: which thresholds on p a block of labels can certify."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churnrisk.decision.bounds import Floats, upper_bound

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Thresholds are fixed before any data are seen: 0.04 apart in log-odds, from 1 in 10,000 up.
GRID: Floats = 1.0 / (1.0 + np.exp(-np.arange(-9.2, 9.21, 0.04)))
# The walk starts where a colour this many times better (in odds) than its promise would pass: too early
# and one unlucky churner stops it, too late and nothing passes. 2 to 4 did about equally well in simulation.
_START_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Certified:
    """Masks over :data:`GRID`: thresholds below which green, and from which red, keep the promise."""

    green: Mask
    red: Mask


def certify(
    p: Floats, y: Ints, *, green_max: float, red_min: float, confidence: float, min_accounts: int
) -> Certified:
    """Test every threshold of the grid, green upward and red downward.

    Parameters
    ----------
    p, y : ndarray of shape (accounts,)
        Scores and labels (0/1) of independent accounts.
    green_max, red_min : float
        Largest churn rate of green, least churn rate of red.
    confidence : float
        Of each of the two colours by itself.
    min_accounts : int
        A colour with fewer accounts is not certified.

    Notes
    -----
    Source: fixed-sequence testing as in Angelopoulos, Bates, Candès, Jordan & Lei (2021),
    "Learn then Test", arXiv:2110.01052.
    """
    order = np.argsort(p, kind="stable")
    below = np.searchsorted(p[order], GRID, side="left").astype(np.int64)
    churned_below = np.concatenate([[0], np.cumsum(y[order])]).astype(np.int64)[below]
    from_here = len(p) - below
    stayed_from_here = from_here - (int(y.sum()) - churned_below)
    alpha = 1.0 - confidence
    green = fixed_sequence(below, churned_below, green_max, alpha, min_accounts)
    # "Red churns at least" is "red stays at most": the same test, walked from the top.
    red = fixed_sequence(from_here[::-1], stayed_from_here[::-1], 1.0 - red_min, alpha, min_accounts)[::-1]
    return Certified(green, red)


def fixed_sequence(accounts: Ints, bad: Ints, limit: float, alpha: float, min_accounts: int) -> Mask:
    """Return which of nested, growing sets have a bad rate of at most ``limit``.

    The chance that any set is named wrongly is at most ``alpha``. The walk stops at the first set
    whose upper bound exceeds the limit. Where it starts depends on the numbers of accounts only, never
    on labels.

    Parameters
    ----------
    accounts, bad : ndarray of shape (thresholds,)
        Size of each set and its bad members, in the order of the walk.
    """
    certified = np.zeros(len(accounts), dtype=bool)
    odds = limit / (1.0 - limit) / _START_FACTOR
    expected = np.ceil(accounts * odds / (1.0 + odds))
    enough = (accounts >= min_accounts) & (upper_bound(expected, accounts, 1.0 - alpha) <= limit)
    if not enough.any():
        return certified
    start = int(np.argmax(enough))
    failures = np.flatnonzero(upper_bound(bad[start:], accounts[start:], 1.0 - alpha) > limit)
    certified[start : start + failures[0] if len(failures) else len(accounts)] = True
    return certified
