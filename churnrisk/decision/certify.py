"""Fixed-sequence testing: which thresholds on p a block of labels can certify."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from churnrisk.decision.bounds import Floats
from churnrisk.decision.exposure import Ints, Mask, Tally, churn_levels, tally

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
    p: Floats,
    y: Ints,
    accounts: Ints,
    *,
    green_max: float,
    red_min: float,
    confidence: float,
    min_accounts: int,
) -> Certified:
    """Test every threshold of the grid, green upward and red downward.

    The chance that any threshold of a colour is named wrongly is at most ``1 - confidence``: a walk stops
    at the first threshold whose bound misses the promise. Where it starts depends on how many
    accounts and rows lie on its side of the thresholds, never on their labels.

    Parameters
    ----------
    p, y : ndarray of shape (rows,)
        Scores and labels (0/1).
    accounts : ndarray of shape (rows,)
        See :func:`churnrisk.decision.exposure.account_codes`.
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
    levels, sets = churn_levels(accounts, y), len(GRID)
    passed = np.searchsorted(GRID, p, side="right").astype(np.int64)
    below = tally(passed, accounts, y, sets=sets, levels=levels)
    # The same from the top: the row enters where the falling threshold reaches its score.
    above = tally(sets - passed, accounts, y, sets=sets, levels=levels)
    hoped_green, hoped_red = _odds_times(green_max, 1.0 / _START_FACTOR), _odds_times(red_min, _START_FACTOR)
    green = fixed_sequence(
        below.upper(confidence) <= green_max,
        (below.accounts >= min_accounts)
        & (_hoped(below, np.ceil(below.rows * hoped_green)).upper(confidence) <= green_max),
    )
    red = fixed_sequence(
        above.lower(confidence) >= red_min,
        (above.accounts >= min_accounts)
        & (_hoped(above, np.floor(above.rows * hoped_red)).lower(confidence) >= red_min),
    )
    return Certified(green, red[::-1])


def fixed_sequence(passes: Mask, enough: Mask) -> Mask:
    """Return which sets are certified: from the first that is large enough until the first failure.

    Parameters
    ----------
    passes, enough : ndarray of shape (sets,)
        Whether each set's bound keeps the promise, and whether it holds enough to start from.
    """
    certified = np.zeros(len(passes), dtype=bool)
    if not enough.any():
        return certified
    start = int(np.argmax(enough))
    failures = np.flatnonzero(~passes[start:])
    certified[start : start + failures[0] if len(failures) else len(passes)] = True
    return certified


def _hoped(found: Tally, churned_rows: Floats) -> Tally:
    """Return the tally with so many churned rows, spread over as many accounts as there are."""
    levels = np.arange(len(found.churned))[:, None]
    churned = np.clip(churned_rows - levels * found.accounts, 0.0, found.accounts)
    mean_rows = found.rows / np.maximum(found.accounts, 1.0)
    return replace(found, churned=churned, churned_exposure=churned.sum(axis=0) * mean_rows)


def _odds_times(rate: float, factor: float) -> float:
    odds = rate / (1.0 - rate) * factor
    return odds / (1.0 + odds)
