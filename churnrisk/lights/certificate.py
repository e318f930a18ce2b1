"""Thresholds that a labelled block certifies, by fixed-sequence testing, per segment or for all accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from churnrisk.errors import ContractError, UsageError
from churnrisk.lights.bounds import CONTRADICTION, Floats, Ints, Mask, Tally, churn_levels, odds_times, tally
from churnrisk.lights.segments import REST, accounts_needed, part_segments

# Thresholds are fixed before any data are seen: 0.04 apart in log-odds, from 1 in 10,000 up.
GRID: Floats = 1.0 / (1.0 + np.exp(-np.arange(-9.2, 9.21, 0.04)))
# Scores may be overconfident: no colour is expected to beat its promise by more than this factor in odds.
_BEST_FACTOR = 4.0
# The walk starts where the promise holds with the most room although luck is half a standard deviation bad. In
# simulations of the sample world this certified green more often than a start that looks at sizes only: in 84 of
# 100 blocks of 1,600 accounts instead of 78, in 97 instead of 86 of 2,400 accounts; no luck or bad luck of a
# whole deviation did about as well.
_BAD_LUCK = 0.5
#: Thresholds of empty colours: no probability lies below 0, none reaches 2.
NO_GREEN, NO_RED = 0.0, 2.0
_ODDS_FACTOR = 4.0


@dataclass(frozen=True, slots=True)
class Terms:
    """The promises: largest churn rate of green, least of red; confidence and fewest accounts of each colour."""

    green_max: float
    red_min: float
    confidence: float
    min_accounts: int


@dataclass(frozen=True, slots=True)
class Block:
    """Labelled rows: scores, labels, accounts, and the rows of each of the last dates as a mask."""

    scores: Floats
    labels: Ints
    accounts: Ints
    last: Sequence[Mask] = ()

    def part(self, rows: Mask) -> Block:
        """Return some of the rows."""
        last = [date[rows] for date in self.last]
        return Block(
            self.scores[rows], self.labels[rows], self.accounts[rows], [date for date in last if date.any()]
        )


@dataclass(frozen=True, slots=True)
class Part:
    """The thresholds of some segments, or of all accounts (no name); 0.0 says that green is empty, 2.0 that red is.

    ``accounts`` is how many it was certified on.
    """

    name: str
    segments: tuple[str, ...]
    amber_from: float
    red_from: float
    accounts: int

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Restore from ``dataclasses.asdict``."""
        return cls(**{**saved, "segments": tuple(saved["segments"])})


@dataclass(frozen=True, slots=True)
class Certified:
    """Which thresholds of :data:`GRID` keep a colour's promise.

    ``on_each_block``: the bound holds on each of the last snapshots by itself, not only on all rows together.
    """

    thresholds: Mask
    on_each_block: bool


def promised_rates(
    base_rate: float, accounts: int, *, green_max: float | None, red_min: float | None
) -> tuple[float, float]:
    """Return green's largest and red's least churn rate; None stands for a quarter and four times the base odds."""
    if base_rate in (0.0, 1.0):
        raise ContractError(
            f"the lights need churned and retained accounts, found {accounts} accounts of one kind "
            "only. Use a longer block, or policy = 'fixed'."
        )
    green = odds_times(base_rate, 1.0 / _ODDS_FACTOR) if green_max is None else float(green_max)
    red = odds_times(base_rate, _ODDS_FACTOR) if red_min is None else float(red_min)
    if green >= red:
        raise UsageError(
            f"expected green_max_churn < red_min_churn, found {green:.4f} and {red:.4f} "
            f"at a base rate of {base_rate:.4f}. Give both under [decision] in churnrisk.toml."
        )
    return green, red


def certified_parts(
    block: Block,
    segments: npt.NDArray[np.object_] | None,
    terms: Terms,
    shown: Callable[[Floats], Floats],
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the thresholds of each part, largest part first, and notes for the reader; without segments one part."""
    parted, notes = ({}, ()) if segments is None else _parted(block, segments, terms)
    if segments is None or not parted:
        part, more = _certified(block, "", (), terms, shown)
        return (part,), (*notes, *more)
    names = sorted(set(parted.values()))
    # Bonferroni: the promise holds for the colour as a whole, however the parts are mixed.
    each = replace(terms, confidence=1 - (1 - terms.confidence) / len(names))
    labels = np.array([parted[str(name)] for name in segments], dtype=object)
    found = []
    for name in names:
        members = tuple(sorted(segment for segment, part in parted.items() if part == name))
        found.append(_certified(block.part(labels == name), name, members, each, shown))
    found.sort(key=lambda item: -item[0].accounts)
    return tuple(part for part, _ in found), (*notes, *(note for _, more in found for note in more))


def _parted(
    block: Block, segments: npt.NDArray[np.object_], terms: Terms
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the part of each segment (empty: all together), and a note that says so."""
    needed = accounts_needed(terms.green_max, terms.red_min, terms.confidence, terms.min_accounts)
    known = sorted(set(map(str, segments)))
    parted = part_segments(segments, block.accounts, needed)
    if parted:
        together = [name for name in known if parted[name] != name]
        note = f"; {', '.join(together)} together" if REST in parted.values() else ""
        return parted, (f"thresholds by segment: {', '.join(sorted(set(parted.values())))}{note}",)
    if len(known) == 1:
        return {}, ()
    return {}, (
        f"one pair of thresholds for all segments ({', '.join(known[:5])}{' …' if len(known) > 5 else ''}): "
        f"a segment needs about {needed:,} accounts for its own",
    )


def _certified(
    block: Block, name: str, segments: tuple[str, ...], terms: Terms, shown: Callable[[Floats], Floats]
) -> tuple[Part, tuple[str, ...]]:
    green, red = certify(block, terms)
    below, above = widest(green.thresholds, red.thresholds)
    # Thresholds of empty colours lie outside (0, 1), where calibration does not apply.
    inside = np.asarray(shown(np.array([below or 0.5, above or 0.5])), dtype=float)
    amber_from = NO_GREEN if below is None else float(inside[0])
    red_from = NO_RED if above is None else float(inside[1])
    accounts = len(np.unique(block.accounts))
    part = Part(name, segments, amber_from, red_from, accounts)
    notes = _notes(part, green, red, terms, len(block.last))
    return part, tuple(f"{name}: {note}" if name else note for note in notes)


def _notes(part: Part, green: Certified, red: Certified, terms: Terms, dates: int) -> list[str]:
    """Return which colours are empty and why, and what holds on the dates together only."""
    ending = f"with {terms.confidence:.1%} confidence on {part.accounts:,} accounts".replace(".0%", "%")
    notes = []
    if not green.thresholds.any():
        notes.append(
            f"green is empty: no threshold shows a churn rate of at most {terms.green_max:.2%} {ending}"
        )
    elif part.amber_from == NO_GREEN:
        notes.append("green is empty: every threshold that would do for green also does for red")
    if not red.thresholds.any():
        notes.append(
            f"red is empty: no threshold shows a churn rate of at least {terms.red_min:.2%} {ending}"
        )
    colours = {"green": green, "red": red}
    together = [name for name, one in colours.items() if one.thresholds.any() and not one.on_each_block]
    if together and dates > 1:
        notes.append(
            f"{' and '.join(together)}: certified on all snapshots together; the last {dates} hold too few accounts to "
            "do so one by one, and none contradicts it"
        )
    return notes


def certify(block: Block, terms: Terms) -> tuple[Certified, Certified]:
    """Test every threshold of the grid, green upward and red downward; return both colours.

    The notes of ``TrafficLight`` say how. The start depends on scores and on how many accounts and rows there are,
    never on labels: scores that expect wrongly cost power, not the promise.
    """
    green = _certify_colour(block, terms, terms.green_max, -1)
    red = _certify_colour(block, terms, terms.red_min, +1)
    return green, replace(red, thresholds=red.thresholds[::-1])


def _certify_colour(block: Block, terms: Terms, limit: float, direction: int) -> Certified:
    """Walk over the sets of a colour that promises few churners (``direction`` -1) or many (+1)."""
    low, confidence = direction < 0, terms.confidence
    enters, pool = _tallied(block, direction)
    dates = [_tallied(block.part(rows), direction)[1] for rows in block.last]

    def shows(found: Tally) -> Mask:
        return found.upper(confidence) <= limit if low else found.lower(confidence) >= limit

    def allows(found: Tally) -> Mask:
        return found.lower(CONTRADICTION) <= limit if low else found.upper(CONTRADICTION) >= limit

    expected = _expected(pool, enters, block.scores, limit, direction)
    bound = expected.upper(confidence) if low else expected.lower(confidence)
    room = np.where(pool.accounts >= terms.min_accounts, direction * (bound - limit), -np.inf)
    # Dates are one more condition on the walk over all rows: they cost power, never the confidence. Nor does the
    # second try, whose thresholds contain those of the first.
    shown = shows(pool)
    strict = fixed_sequence(np.logical_and.reduce([shown, *map(shows, dates)]), room)
    if strict.any():
        return Certified(strict, on_each_block=True)
    lenient = fixed_sequence(np.logical_and.reduce([shown, *map(allows, dates)]), room)
    return Certified(lenient, on_each_block=not dates)


def _tallied(block: Block, direction: int) -> tuple[Ints, Tally]:
    """Return the set that each row enters with, and the sets of the grid: from below for -1, from the top for +1."""
    passed = np.searchsorted(GRID, block.scores, side="right").astype(np.int64)
    enters = passed if direction < 0 else len(GRID) - passed
    levels = churn_levels(block.accounts, block.labels)
    return enters, tally(enters, block.accounts, block.labels, sets=len(GRID), levels=levels)


def fixed_sequence(passes: Mask, room: Floats) -> Mask:
    """Return which sets are certified: from the one with the most room on, until the first failure."""
    certified = np.zeros(len(passes), dtype=bool)
    start = int(np.argmax(room))
    if np.isneginf(room[start]):
        return certified
    failures = np.flatnonzero(~passes[start:])
    certified[start : start + failures[0] if len(failures) else len(passes)] = True
    return certified


def _expected(found: Tally, enters: Ints, p: Floats, limit: float, direction: int) -> Tally:
    """Return the tally that the scores expect with some bad luck, churners spread over all accounts."""
    best = found.rows * odds_times(limit, _BEST_FACTOR**direction)
    scored = np.cumsum(np.bincount(enters, weights=p, minlength=len(best))[: len(best)])
    expected = np.maximum(scored, best) if direction < 0 else np.minimum(scored, best)
    spread = np.sqrt(expected * np.maximum(1.0 - expected / np.maximum(found.rows, 1.0), 0.0))
    churned_rows = np.clip(expected - direction * _BAD_LUCK * spread, 0.0, found.rows)
    levels = np.arange(len(found.churned))[:, None]
    churned = np.clip(churned_rows - levels * found.accounts, 0.0, found.accounts)
    mean_rows = found.rows / np.maximum(found.accounts, 1.0)
    return replace(found, churned=churned, churned_exposure=churned.sum(axis=0) * mean_rows)


def widest(green: Mask, red: Mask) -> tuple[float | None, float | None]:
    """Return the largest green threshold and the smallest red one (None: empty); where they cross, red wins."""
    red_from = float(GRID[np.argmax(red)]) if red.any() else None
    greens = GRID[green]
    greens = greens if red_from is None else greens[greens <= red_from]
    return (float(greens[-1]) if len(greens) else None), red_from
