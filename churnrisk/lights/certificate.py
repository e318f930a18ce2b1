"""Thresholds that a labelled block certifies: a ladder of promises, by fixed-sequence testing, per segment or for all.

Below a threshold of the grid lies a set of rows; a *rung* is a limit of the set's churn rate. All claims (rung,
threshold) of a colour stand in one order that no label moves: from the easiest rung to the strictest, and within a
rung from the threshold where the scores expect the most room to the *goal*, where a light of three levels has most
information about churn, or nearly, if the scores are right. They are tested in that order, each at the full level,
until the first failure. The first false claim in the order stops the walk, unless its own bound fails; so with the
chosen confidence **every** certified claim is true (fixed-sequence testing: Wiens 2003, Pharmaceutical Statistics 2,
211-215; Angelopoulos, Bates, Candès, Jordan & Lei 2021, "Learn then Test", arXiv:2110.01052). As all of them hold
together, labels may choose among them: which rung and threshold, the order around the base rate, thresholds that hold
on each date too. That costs no confidence, and wrong scores cost power only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import xlogy  # scipy publishes no types

from churnrisk.errors import UsageError
from churnrisk.lights.bounds import (
    CONTRADICTION,
    Floats,
    Ints,
    Mask,
    Tally,
    churn_levels,
    lower_bound,
    odds_times,
    tally,
    upper_bound,
)
from churnrisk.lights.segments import REST, accounts_needed, part_segments
from churnrisk.records import Colour

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
# A stricter rung is preferred while its colour keeps this share of the easiest one's information about churn.
_STILL_USEFUL = 0.9
# Information is flat around its maximum: of sets with so nearly as much, the largest leaves least to amber.
_NEARLY = 0.98
# The share of a colour next to its threshold that must not contradict the base rate.
_TAIL = 0.1
# More accounts than so many times those at hand count as out of reach.
_LARGEST = 1000.0
_FAR_DAYS = 5 * 365


@dataclass(frozen=True, slots=True)
class Rung:
    """A churn rate that a colour may promise, and the rate that the scores alone would make of it.

    The second is where the walk expects its room, so that no label moves the order of the tests.
    """

    limit: float
    guess: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What is promised at most: rungs of green (largest churn rates) and of red (least), strictest first.

    ``base_rate`` is that of all rows, ``min_accounts`` the fewest accounts of a colour. ``growth`` is how many accounts
    come a day, as a share of those at the ``latest`` date; 0 where it is unknown.
    """

    base_rate: float
    green: tuple[Rung, ...]
    red: tuple[Rung, ...]
    confidence: float
    min_accounts: int
    growth: float = 0.0
    latest: pd.Timestamp | None = None

    def when(self, times: float) -> str:
        """Return when there will be so many times the accounts, in words; empty where nobody can know."""
        if self.latest is None or self.growth <= 0.0 or (days := (times - 1.0) / self.growth) > _FAR_DAYS:
            return ""
        return f", around {self.latest + pd.Timedelta(days=days):%B %Y} at today's growth"


def rungs_of(
    base_rate: float,
    guess: float,
    factors: Sequence[float],
    *,
    green_cap: float,
    red_cap: float,
    green_max: float | None,
    red_min: float | None,
) -> tuple[tuple[Rung, ...], tuple[Rung, ...]]:
    """Return the ladders of green and red: so many times the base odds, within the caps; or the rate that was given.

    ``guess`` is the base rate by the scores. Rungs on the wrong side of a rate that was given are left out.
    """

    def ladder(signs: int, cap: float, given: float | None) -> tuple[Rung, ...]:
        if given is not None:
            return (Rung(float(given), float(given)),)
        rates = {
            min(odds_times(base_rate, factor**signs), cap): min(odds_times(guess, factor**signs), cap)
            for factor in reversed(factors)
        }
        return tuple(Rung(limit, start) for limit, start in reversed(rates.items()))

    green, red = ladder(-1, green_cap, green_max), ladder(1, red_cap, red_min)
    fits = (
        tuple(rung for rung in green if rung.limit < red[0].limit),
        tuple(rung for rung in red if rung.limit > green[0].limit),
    )
    if red_min is None:
        fits = (green, fits[1])
    elif green_max is None:
        fits = (fits[0], red)
    if not fits[0] or not fits[1]:
        raise UsageError(
            f"expected green_max_churn < red_min_churn, found {green[0].limit:.4f} and {red[0].limit:.4f} at a base "
            f"rate of {base_rate:.4f}. Change the one that you gave under [decision], or give both."
        )
    return fits


@dataclass(frozen=True, slots=True)
class Block:
    """Labelled rows: scores, labels, accounts, and the rows of each of the last dates as a mask.

    ``shown`` are the probabilities that people see, in the order of the scores.
    """

    scores: Floats
    labels: Ints
    accounts: Ints
    shown: Floats
    last: Sequence[Mask] = ()

    @property
    def size(self) -> int:
        """How many accounts have a row."""
        return int(np.count_nonzero(np.bincount(self.accounts)))

    def part(self, rows: Mask) -> Block:
        """Return some of the rows."""
        last = [date[rows] for date in self.last]
        return Block(
            self.scores[rows],
            self.labels[rows],
            self.accounts[rows],
            self.shown[rows],
            [date for date in last if date.any()],
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
class Levels:
    """Three levels of the scores: green below one place on the grid, red from another on; the mean score of each."""

    below: int
    above: int
    rates: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The thresholds of each part, largest first, and what green and red promise, strictest first.

    The first promise of a colour is in force; the later ones are weaker and certified too, so that they can take its
    place. ``notes`` say in plain words what is empty and why.
    """

    parts: tuple[Part, ...]
    green: tuple[float, ...]
    red: tuple[float, ...]
    notes: tuple[str, ...]


def certify(
    block: Block,
    segments: npt.NDArray[np.object_] | None,
    terms: Terms,
    shown: Callable[[Floats], Floats],
) -> Certificate:
    """Certify green and red for each part of the segments; without segments there is one part.

    ``shown`` maps thresholds on the scores to thresholds on the probabilities that people see.
    """
    parted, notes = ({}, ()) if segments is None else _parted(block, segments, terms)
    masks: dict[str, Mask] = {"": np.ones(len(block.scores), dtype=bool)}
    if segments is not None and parted:
        labels = np.array([parted[str(name)] for name in segments], dtype=object)
        masks = {name: labels == name for name in sorted(set(parted.values()))}
    # Bonferroni: the promise holds for the colour as a whole, however the parts are mixed.
    terms = replace(terms, confidence=1 - (1 - terms.confidence) / len(masks))
    blocks = [(name, block.part(rows)) for name, rows in masks.items()]
    blocks.sort(key=lambda item: -item[1].size)
    thresholds = np.asarray(shown(GRID), dtype=float)
    aim, seen = three_levels(block.scores), three_levels(block.shown, terms.base_rate)
    green, red = _ordered(
        _certify(_Side(Colour.GREEN, terms.green, terms), block, blocks, thresholds, aim, seen),
        _certify(_Side(Colour.RED, terms.red, terms), block, blocks, thresholds, aim, seen),
        blocks,
    )
    parts = tuple(
        Part(
            name,
            tuple(sorted(segment for segment, part in parted.items() if part == name)),
            NO_GREEN if below is None else float(thresholds[below]),
            NO_RED if above is None else float(thresholds[above]),
            one.size,
        )
        for (name, one), below, above in zip(blocks, green.places, red.places, strict=True)
    )
    return Certificate(parts, green.promises, red.promises, (*notes, *green.notes, *red.notes))


def _parted(
    block: Block, segments: npt.NDArray[np.object_], terms: Terms
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the part of each segment (empty: all together), and a note that says so."""
    needed = accounts_needed(terms.green[0].guess, terms.red[0].guess, terms.confidence, terms.min_accounts)
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


@dataclass(frozen=True, slots=True)
class _Side:
    """One colour's end of the grid: its sets grow from the lowest scores (green) or from the highest (red)."""

    colour: Colour
    rungs: tuple[Rung, ...]
    terms: Terms

    @property
    def low(self) -> bool:
        """Whether the colour promises few churners."""
        return self.colour == Colour.GREEN

    def at(self, place: int) -> int:
        """Return the set of a place on the grid, and the place of a set."""
        return place if self.low else len(GRID) - 1 - place

    def aims(self, p: Floats, levels: Levels) -> tuple[int, int]:
        """Return the set of most information, and the largest of nearly as much, by the scores alone."""
        passed = np.searchsorted(GRID, p, side="right").astype(np.int64)
        gain = self.gained(p, passed if self.low else len(GRID) - passed, levels)
        right_side = self.keeps(GRID, float(p.mean()))
        gain[~(right_side if self.low else right_side[::-1])] = -np.inf
        best = self.at(levels.below if self.low else levels.above)
        return best, max(best, _largest(gain)) if gain.max() > 0.0 else best

    def bound(self, found: Tally, confidence: float) -> Floats:
        """Return the bound that shows a promise."""
        return found.upper(confidence) if self.low else found.lower(confidence)

    def other_bound(self, found: Tally) -> Floats:
        """Return the bound that contradicts a promise where it breaks the limit."""
        return found.lower(CONTRADICTION) if self.low else found.upper(CONTRADICTION)

    def keeps(self, rates: Floats, limit: float) -> Mask:
        """Return which rates keep a limit."""
        return rates <= limit if self.low else rates >= limit

    def keep_rungs(self, rates: Floats) -> Mask:
        """Return which rates keep the rungs, shape (rungs, sets)."""
        return np.array([self.keeps(rates, rung.limit) for rung in self.rungs])

    def tallied(self, block: Block) -> tuple[Ints, Tally]:
        """Return the set that each row enters with, and the tally of the sets."""
        passed = np.searchsorted(GRID, block.scores, side="right").astype(np.int64)
        enters = passed if self.low else len(GRID) - passed
        levels = churn_levels(block.accounts, block.labels)
        return enters, tally(enters, block.accounts, block.labels, sets=len(GRID), levels=levels)

    def expected(self, found: Tally, scored: Floats, limit: float) -> Tally:
        """Return the tally that the scores expect with some bad luck, churners spread over all accounts.

        ``scored`` is the sum of the scores of each set.
        """
        sign = -1 if self.low else 1
        best = found.rows * odds_times(limit, _BEST_FACTOR**sign)
        expected = np.maximum(scored, best) if self.low else np.minimum(scored, best)
        spread = np.sqrt(expected * np.maximum(1.0 - expected / np.maximum(found.rows, 1.0), 0.0))
        churned_rows = np.clip(expected - sign * _BAD_LUCK * spread, 0.0, found.rows)
        levels = np.arange(len(found.churned))[:, None]
        churned = np.clip(churned_rows - levels * found.accounts, 0.0, found.accounts)
        mean_rows = found.rows / np.maximum(found.accounts, 1.0)
        return replace(found, churned=churned, churned_exposure=churned.sum(axis=0) * mean_rows)

    def tail_allows(self, found: Tally) -> Mask:
        """Return in which sets the tenth next to the threshold does not contradict the base rate.

        It is the rows that enter after the largest set with at most nine tenths of the rows, so that ties stay
        together; they count as fewer by the mean rows of an account.
        """
        churned = found.churned.sum(axis=0)
        inner = np.searchsorted(found.rows, (1.0 - _TAIL) * found.rows, side="right") - 1
        rows, left = (np.where(inner < 0, 0.0, of[inner]) for of in (found.rows, churned))
        repeated = np.maximum(found.rows / np.maximum(found.accounts, 1.0), 1.0)
        k, n = (churned - left) / repeated, (found.rows - rows) / repeated
        other = lower_bound(k, n, CONTRADICTION) if self.low else upper_bound(k, n, CONTRADICTION)
        return self.keeps(other, self.terms.base_rate)

    def gained(self, p: Floats, enters: Ints, levels: Levels) -> Floats:
        """Return what each set gains in expected log score (nats) when its rows get the colour's rate, not amber's."""
        green, amber, red = levels.rates
        rate = green if self.low else red
        return _summed(enters, p * np.log(rate / amber) + (1.0 - p) * np.log((1.0 - rate) / (1.0 - amber)))


def _largest(gain: Floats) -> int:
    """Return the largest set of nearly as much information as the best."""
    return int(np.flatnonzero(gain >= _NEARLY * gain.max())[-1])


def _summed(enters: Ints, weights: Floats) -> Floats:
    """Return the sum of each set's rows."""
    return np.asarray(np.cumsum(np.bincount(enters, weights=weights, minlength=len(GRID) + 1))[: len(GRID)])


@dataclass(frozen=True, slots=True)
class _Claims:
    """What one part certifies of one colour.

    ``holds`` has shape (rungs, sets), strictest rung first; ``each`` holds on each of the last dates by itself too.
    ``gain`` is a set's information gain about churn (nats) when its rows take the colour instead of amber; -inf where
    it reaches beyond the base rate or its tail contradicts it. ``needed`` accounts would do for the easiest rung;
    None: no number would.
    """

    side: _Side
    name: str
    block: Block
    holds: Mask
    each: Mask
    gain: Floats
    needed: int | None

    @classmethod
    def of(
        cls, side: _Side, name: str, block: Block, aims: tuple[int, int], legal: Mask, seen: Levels
    ) -> Self:
        """Test the sets of a part: from one up to the first aim on, up to the second."""
        confidence, least = side.terms.confidence, side.terms.min_accounts
        enters, pool = side.tallied(block)
        dates = [side.tallied(block.part(rows))[1] for rows in block.last]
        # No date may contradict the promise: one more condition, which costs power, never confidence.
        allowed = [side.keep_rungs(side.other_bound(found)) for found in dates]
        shown = np.logical_and.reduce([side.keep_rungs(side.bound(pool, confidence)), *allowed])
        large = pool.accounts >= least
        last_start, goal = (max(aim, int(np.argmax(large))) for aim in aims)
        scored = _summed(enters, block.scores)
        room = np.full(shown.shape, -np.inf)
        for place, rung in enumerate(side.rungs):
            bound = side.bound(side.expected(pool, scored, rung.guess), confidence)
            room[place] = rung.guess - bound if side.low else bound - rung.guess
        room[:, last_start + 1 :] = -np.inf
        holds = walk(shown, np.where(large, room, -np.inf), goal)
        each = np.logical_and.reduce(
            [holds, *(side.keep_rungs(side.bound(one, confidence)) for one in dates)]
        )
        legal = legal & side.tail_allows(pool)
        gain = np.where(legal, side.gained(block.shown, enters, seen), -np.inf)
        needed = None if holds.any() else _needed(side, pool, _summed(enters, block.shown), legal, block.size)
        return cls(side, name, block, holds, each, gain, needed)

    def gain_of(self, rung: int) -> float:
        """Return the largest gain of a set certified by the rung; 0 without one."""
        return float(np.max(self.gain, where=self.holds[rung], initial=0.0))

    def choose(self, rung: int) -> int | None:
        """Return the largest of the sets of nearly most gain that the rung certifies; None where none gains.

        Sets certified on each of the last dates are preferred while they gain nearly as much.
        """
        most = self.gain_of(rung)
        for certified in (self.each[rung], self.holds[rung]):
            gain = np.where(certified, self.gain, -np.inf)
            if most > 0.0 and gain.max() >= _STILL_USEFUL * most:
                return _largest(gain)
        return None

    def note(self, chosen: int | None, rung: int) -> str:
        """Return why the colour is empty, or what holds on the dates together only; empty if neither."""
        side, block, terms = self.side, self.block, self.side.terms
        where = f"{self.name}: {side.colour}" if self.name else str(side.colour)
        confidence = f"{terms.confidence:.1%}".replace(".0%", "%")

        def not_shown(place: int) -> str:
            rate = f"at {'most' if side.low else 'least'} {side.rungs[place].limit:.2%}"
            return (
                f"{where} is empty: a churn rate of {rate} could not be shown with {confidence} confidence on "
                f"{block.size:,} accounts"
            )

        if not self.holds.any():
            more = "no number of accounts would do with these scores"
            if self.needed is not None and self.needed <= block.size:
                more = "as many would do if the scores were right, so they are not, or luck was bad"
            elif self.needed is not None:
                when = terms.when(self.needed / block.size)
                more = f"about {self.needed:,} would do if the scores are right{when}"
            return f"{not_shown(-1)}; {more}"
        if not self.holds[rung].any():
            return f"{not_shown(rung)}, as the other segments promise"
        if chosen is None:
            return (
                f"{where} is empty: no threshold that keeps a promise lies on its side of the base rate, "
                f"{terms.base_rate:.1%}, with all of its accounts"
            )
        if len(block.last) > 1 and not self.each[rung, chosen]:
            return (
                f"{where} is certified on all snapshots together; the last {len(block.last)} hold too few accounts "
                "to do so one by one, and none contradicts it"
            )
        return ""


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found for one colour: a place on the grid per part (None: empty), promises, and notes."""

    places: tuple[int | None, ...]
    promises: tuple[float, ...]
    notes: tuple[str, ...]


def _certify(
    side: _Side,
    every: Block,
    blocks: Sequence[tuple[str, Block]],
    thresholds: Floats,
    aim: Levels,
    seen: Levels,
) -> _Found:
    """Walk over each part, choose the rung for all parts together, and the threshold in each."""
    aims = side.aims(every.scores, aim)
    legal = side.keeps(thresholds, side.terms.base_rate)
    legal = legal if side.low else legal[::-1]
    claims = [_Claims.of(side, name, block, aims, legal, seen) for name, block in blocks]
    gains = np.array([sum(claim.gain_of(rung) for claim in claims) for rung in range(len(side.rungs))])
    rung = int(np.argmax(gains >= _STILL_USEFUL * gains.max())) if gains.max() > 0.0 else len(gains) - 1
    sets = [claim.choose(rung) for claim in claims]
    notes = (claim.note(chosen, rung) for claim, chosen in zip(claims, sets, strict=True))
    places = tuple(None if chosen is None else side.at(chosen) for chosen in sets)
    promises = tuple(one.limit for one in side.rungs[rung:])
    return _Found(places, promises, tuple(note for note in notes if note))


def three_levels(p: Floats, base_rate: float | None = None) -> Levels:
    """Return the three levels of p with most information about churn if every p is right, parted by the base rate."""
    cells = np.searchsorted(GRID, p, side="right")
    rows = np.cumsum(np.bincount(cells, minlength=len(GRID) + 1)).astype(float)
    churn = np.cumsum(np.bincount(cells, weights=p, minlength=len(GRID) + 1))
    base = float(churn[-1] / rows[-1]) if base_rate is None else base_rate
    base = min(max(base, GRID[0]), GRID[-1])

    def log_likelihood(n: Floats, s: Floats) -> Floats:
        rate = np.clip(s / np.maximum(n, 1.0), 0.0, 1.0)
        return np.asarray(xlogy(s, rate) + xlogy(n - s, 1.0 - rate))

    # Thresholds between the same two rows are alike: one of them will do.
    other = np.flatnonzero(np.diff(rows[:-1], prepend=-1.0))
    lows, highs = other[GRID[other] <= base], np.append(other, len(GRID) - 1)
    highs = highs[GRID[highs] >= base]
    n_low, s_low = rows[lows][:, None], churn[lows][:, None]
    n_rest, s_rest = rows[highs][None, :], churn[highs][None, :]
    total = log_likelihood(n_low, s_low) + log_likelihood(rows[-1] - n_rest, churn[-1] - s_rest)
    total = total + log_likelihood(n_rest - n_low, np.clip(s_rest - s_low, 0.0, n_rest - n_low))
    low, high = np.unravel_index(np.argmax(total), total.shape)
    below, above = int(lows[low]), int(highs[high])
    sums = (
        (churn[below], rows[below]),
        (churn[above] - churn[below], rows[above] - rows[below]),
        (churn[-1] - churn[above], rows[-1] - rows[above]),
    )
    # one row at the base rate is added to each level, so that an empty one gains nothing
    green, amber, red = (float((s + base) / (n + 1.0)) for s, n in sums)
    return Levels(below, above, (green, amber, red))


def walk(passes: Mask, room: Floats, goal: int) -> Mask:
    """Return which claims of shape (rungs, sets) are certified, in the order of the module's docstring.

    ``room`` says where each rung starts; -inf everywhere: nothing is certified. A strict claim implies the easier ones.
    """
    certified = np.zeros(passes.shape, dtype=bool)
    for rung in reversed(range(len(passes))):
        start = int(np.argmax(room[rung]))
        if np.isneginf(room[rung, start]):
            break
        failures = np.flatnonzero(~passes[rung, start : goal + 1])
        certified[rung, start : start + failures[0] if len(failures) else goal + 1] = True
        if len(failures):
            break
    return np.logical_or.accumulate(certified, axis=0)


def _needed(side: _Side, found: Tally, scored: Floats, legal: Mask, accounts: int) -> int | None:
    """Return how many accounts like these would certify a set of the easiest rung; None where no number would."""
    limit, terms = side.rungs[-1].limit, side.terms
    for times in np.geomspace(1.0, _LARGEST, 61):
        larger = side.expected(found.times(times), scored * times, limit)
        shows = side.keeps(side.bound(larger, terms.confidence), limit) & legal
        if (shows & (larger.accounts >= terms.min_accounts)).any():
            return int(np.ceil(accounts * times / 10.0) * 10) if times > 1.0 else accounts
    return None


def _ordered(green: _Found, red: _Found, blocks: Sequence[tuple[str, Block]]) -> tuple[_Found, _Found]:
    """Empty a colour of several parts that lies on the wrong side of amber, by the probabilities that people see."""
    rows: dict[Colour, list[Floats]] = {Colour.GREEN: [], Colour.AMBER: [], Colour.RED: []}
    for (_, block), below, above in zip(blocks, green.places, red.places, strict=True):
        passed = np.searchsorted(GRID, block.scores, side="right")
        is_green = passed <= (-1 if below is None else below)
        is_red = passed > (len(GRID) if above is None else above)
        for colour, mask in (
            (Colour.GREEN, is_green),
            (Colour.RED, is_red),
            (Colour.AMBER, ~is_green & ~is_red),
        ):
            rows[colour].append(block.shown[mask])
    rates = {colour: np.concatenate(found) for colour, found in rows.items()}
    low, middle, high = (rates[colour].mean() if len(rates[colour]) else None for colour in rates)
    if middle is None:
        return green, red
    empty = (None,) * len(blocks)
    if low is not None and low > middle:
        green = replace(
            green, places=empty, notes=(*green.notes, "green is empty: amber would churn less than green")
        )
    if high is not None and high < middle:
        red = replace(red, places=empty, notes=(*red.notes, "red is empty: amber would churn more than red"))
    return green, red
