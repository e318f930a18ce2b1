"""The thresholds that a labelled block certifies, for all accounts together or segment by segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from churnrisk.decision.bounds import Floats
from churnrisk.decision.certify import Certified, certify, widest
from churnrisk.decision.exposure import Ints, Mask
from churnrisk.decision.segments import REST, accounts_needed, part_segments
from churnrisk.decision.workload import NOBODY
from churnrisk.errors import ContractError, UsageError

NO_GREEN = 0.0
NO_RED = NOBODY
_ODDS_FACTOR = 4.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What is promised, and how sure it has to be.

    Attributes
    ----------
    green_max, red_min : float
        Largest churn rate of green, least churn rate of red.
    confidence : float
        Of each of the two colours by itself.
    min_accounts : int
        A colour certified on fewer accounts stays empty.
    """

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
    """The thresholds of some segments, or of all accounts.

    Attributes
    ----------
    name : str
        The segment, or "the others"; empty when it is all accounts.
    segments : tuple of str
        The segments that take these thresholds.
    amber_from, red_from : float
        0.0 says that green is empty, 2.0 that red is.
    accounts : int
        On how many it was certified.
    """

    name: str
    segments: tuple[str, ...]
    amber_from: float
    red_from: float
    accounts: int

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return what ``dataclasses.asdict`` made."""
        return cls(**{**saved, "segments": tuple(saved["segments"])})


def promised_rates(
    base_rate: float, accounts: int, *, green_max: float | None, red_min: float | None
) -> tuple[float, float]:
    """Return the largest churn rate of green and the least one of red; None asks for a quarter and four times the odds.

    Raises
    ------
    ContractError
        If all accounts churned or none.
    UsageError
        If green would promise no less than red.
    """
    if base_rate in (0.0, 1.0):
        raise ContractError(
            f"the lights need churned and retained accounts, found {accounts} accounts of one kind "
            "only. Use a longer block, or policy = 'fixed'."
        )
    odds = base_rate / (1.0 - base_rate)
    green = _from_odds(odds / _ODDS_FACTOR) if green_max is None else float(green_max)
    red = _from_odds(odds * _ODDS_FACTOR) if red_min is None else float(red_min)
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
    """Return the thresholds of each part, largest part first, and what a reader should know of them.

    With several parts each is certified at a confidence of ``1 - (1 - confidence) / parts`` (Bonferroni), so
    that the promise holds for the colour as a whole, however the parts are mixed.

    Parameters
    ----------
    segments : ndarray of str, shape (rows,), optional
        None certifies all rows together.
    shown : callable
        See :meth:`churnrisk.decision.TrafficLight.fit`.
    """
    parted, notes = _parted(block, segments, terms)
    if not parted or segments is None:
        part, told = _certified(block, "", (), terms, shown)
        return (part,), (*notes, *told)
    names = sorted(set(parted.values()))
    each = Terms(terms.green_max, terms.red_min, 1 - (1 - terms.confidence) / len(names), terms.min_accounts)
    labels = np.array([parted[str(name)] for name in segments], dtype=object)
    found = []
    for name in names:
        members = tuple(sorted(segment for segment, part in parted.items() if part == name))
        found.append(_certified(block.part(labels == name), name, members, each, shown))
    found.sort(key=lambda item: -item[0].accounts)
    return tuple(part for part, _ in found), (*notes, *(note for _, told in found for note in told))


def _parted(
    block: Block, segments: npt.NDArray[np.object_] | None, terms: Terms
) -> tuple[dict[str, str], tuple[str, ...]]:
    if segments is None:
        return {}, ()
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
    green, red = certify(
        block.scores,
        block.labels,
        block.accounts,
        green_max=terms.green_max,
        red_min=terms.red_min,
        confidence=terms.confidence,
        min_accounts=terms.min_accounts,
        last_blocks=block.last,
    )
    below, above = widest(green.thresholds, red.thresholds)
    # Empty colours lie outside (0, 1), where a map of probabilities has no say.
    inside = np.asarray(shown(np.array([below or 0.5, above or 0.5])), dtype=float)
    amber_from = NO_GREEN if below is None else float(inside[0])
    red_from = NO_RED if above is None else float(inside[1])
    accounts = len(np.unique(block.accounts))
    part = Part(name, segments, amber_from, red_from, accounts)
    notes = _notes(part, green, red, terms, len(block.last))
    return part, tuple(f"{name}: {note}" if name else note for note in notes)


def _notes(part: Part, green: Certified, red: Certified, terms: Terms, dates: int) -> list[str]:
    """Say which colours are empty and why, and what holds on the dates together only."""
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
    together = [
        name
        for name, found in (("green", green), ("red", red))
        if found.thresholds.any() and not found.on_each_block
    ]
    if together and dates > 1:
        notes.append(
            f"{' and '.join(together)}: certified on all snapshots together; the last {dates} hold too few accounts to "
            "do so one by one, and none contradicts it"
        )
    return notes


def _from_odds(odds: float) -> float:
    return odds / (1.0 + odds)
