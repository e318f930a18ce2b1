"""Fixed-sequence testing: which thresholds on p a block of labels can certify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from churnrisk.decision.bounds import CONTRADICTION, Floats
from churnrisk.decision.exposure import Ints, Mask, Tally, churn_levels, tally

# Thresholds are fixed before any data are seen: 0.04 apart in log-odds, from 1 in 10,000 up.
GRID: Floats = 1.0 / (1.0 + np.exp(-np.arange(-9.2, 9.21, 0.04)))
# Scores may flatter, so no colour is expected to be more than this many times better (in odds) than its promise.
_BEST_FACTOR = 4.0
# The walk starts where the promise holds with the most room although luck is half a standard deviation bad. In
# simulations of the sample world this certified green more often than a start that looks at sizes only: in 84 of
# 100 blocks of 1,600 accounts instead of 78, in 97 instead of 86 of 2,400 accounts; no luck or bad luck of a
# whole deviation did about as well.
_BAD_LUCK = 0.5


@dataclass(frozen=True, slots=True)
class Certified:
    """What one colour may be.

    Attributes
    ----------
    thresholds : ndarray of bool, shape (thresholds,)
        Over :data:`GRID`: those below which green, or from which red, keeps the promise.
    on_each_block : bool
        Whether the bound holds on each of the last snapshots by itself, and not only on all rows together.
    """

    thresholds: Mask
    on_each_block: bool


def certify(
    p: Floats,
    y: Ints,
    accounts: Ints,
    *,
    green_max: float,
    red_min: float,
    confidence: float,
    min_accounts: int,
    last_blocks: Sequence[Mask] = (),
) -> tuple[Certified, Certified]:
    """Test every threshold of the grid, green upward and red downward; return both colours.

    The chance that any threshold of a colour is named wrongly is at most ``1 - confidence``: a walk stops
    at the first threshold whose bound misses the promise. It starts where the scores expect the most room,
    which depends on scores and on how many accounts and rows there are, never on labels. Scores that
    expect wrongly cost power, not the promise.

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
    last_blocks : sequence of ndarray of bool, shape (rows,)
        Rows of the latest snapshots, one mask each. The bound of the same confidence has to hold on each of them
        by itself. Where that leaves the colour empty, since one snapshot has few accounts, the bound on
        all rows decides, and a snapshot only vetoes: a threshold fails when it contradicts the
        promise by itself, by an exact 95 % bound on the wrong side.

    Notes
    -----
    Whatever the snapshots add is one more condition on the walk over all rows, so it costs power and never the
    confidence; neither does the second try without it, whose thresholds hold those of the first.

    Source: fixed-sequence testing as in Angelopoulos, Bates, Candès, Jordan & Lei (2021),
    "Learn then Test", arXiv:2110.01052.
    """
    pool = _Block(p, y, accounts)
    blocks = [_Block(p[rows], y[rows], accounts[rows]) for rows in last_blocks]
    green = _walk(
        pool.below.upper(confidence) <= green_max,
        [block.below.upper(confidence) <= green_max for block in blocks],
        [block.below.lower(CONTRADICTION) <= green_max for block in blocks],
        pool.room(pool.below, min_accounts, green_max, -1, confidence),
    )
    red = _walk(
        pool.above.lower(confidence) >= red_min,
        [block.above.lower(confidence) >= red_min for block in blocks],
        [block.above.upper(CONTRADICTION) >= red_min for block in blocks],
        pool.room(pool.above, min_accounts, red_min, +1, confidence),
    )
    return green, replace(red, thresholds=red.thresholds[::-1])


class _Block:
    """Rows tallied for every threshold of the grid, from below for green and from the top for red."""

    def __init__(self, p: Floats, y: Ints, accounts: Ints) -> None:
        self._p, sets, levels = p, len(GRID), churn_levels(accounts, y)
        self._passed = np.searchsorted(GRID, p, side="right").astype(np.int64)
        self.below = tally(self._passed, accounts, y, sets=sets, levels=levels)
        # The row enters where the falling threshold reaches its score.
        self.above = tally(sets - self._passed, accounts, y, sets=sets, levels=levels)

    def room(
        self, found: Tally, min_accounts: int, limit: float, direction: int, confidence: float
    ) -> Floats:
        """Return by how much each set is expected to keep the promise; minus infinity where it is too small."""
        enters = self._passed if direction < 0 else len(GRID) - self._passed
        expected = _expected(found, enters, self._p, limit, direction)
        bound = expected.upper(confidence) if direction < 0 else expected.lower(confidence)
        return np.where(found.accounts >= min_accounts, direction * (bound - limit), -np.inf)


def _walk(passes: Mask, holds: list[Mask], allows: list[Mask], room: Floats) -> Certified:
    strict = fixed_sequence(np.logical_and.reduce([passes, *holds]), room)
    if strict.any():
        return Certified(strict, on_each_block=True)
    return Certified(fixed_sequence(np.logical_and.reduce([passes, *allows]), room), on_each_block=not holds)


def fixed_sequence(passes: Mask, room: Floats) -> Mask:
    """Return which sets are certified: from the one with the most room on until the first failure.

    Parameters
    ----------
    passes : ndarray of shape (sets,)
        Whether each set's bound keeps the promise.
    room : ndarray of shape (sets,)
        By how much it is expected to; minus infinity where a set is too small.
    """
    certified = np.zeros(len(passes), dtype=bool)
    start = int(np.argmax(room))
    if np.isneginf(room[start]):
        return certified
    failures = np.flatnonzero(~passes[start:])
    certified[start : start + failures[0] if len(failures) else len(passes)] = True
    return certified


def _expected(found: Tally, enters: Ints, p: Floats, limit: float, direction: int) -> Tally:
    """Return the tally that the scores expect with some bad luck, churners spread over all accounts.

    ``direction`` is -1 for a colour that promises few churners, +1 for one that promises many.
    """
    best = found.rows * _odds_times(limit, _BEST_FACTOR**direction)
    scored = np.cumsum(np.bincount(enters, weights=p, minlength=len(best))[: len(best)])
    expected = np.maximum(scored, best) if direction < 0 else np.minimum(scored, best)
    spread = np.sqrt(expected * np.maximum(1.0 - expected / np.maximum(found.rows, 1.0), 0.0))
    churned_rows = np.clip(expected - direction * _BAD_LUCK * spread, 0.0, found.rows)
    levels = np.arange(len(found.churned))[:, None]
    churned = np.clip(churned_rows - levels * found.accounts, 0.0, found.accounts)
    mean_rows = found.rows / np.maximum(found.accounts, 1.0)
    return replace(found, churned=churned, churned_exposure=churned.sum(axis=0) * mean_rows)


def widest(green: Mask, red: Mask) -> tuple[float | None, float | None]:
    """Return the largest green threshold and the smallest red one; where they cross, red wins.

    None stands for an empty colour.
    """
    red_from = float(GRID[np.argmax(red)]) if red.any() else None
    greens = GRID[green]
    greens = greens if red_from is None else greens[greens <= red_from]
    return (float(greens[-1]) if len(greens) else None), red_from


def _odds_times(rate: float, factor: float) -> float:
    odds = rate / (1.0 - rate) * factor
    return odds / (1.0 + odds)
