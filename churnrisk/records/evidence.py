"""Figures with intervals, and the outcomes of a colour."""

from __future__ import annotations

from dataclasses import dataclass

from churnrisk.records.light import Colour


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ColourEvidence:
    """What happened to the accounts of one final colour on a later block.

    ``accounts`` have a row of this colour; ``churn_rate`` is per (account_id, as_of) row, NaN without any, with exact
    (Clopper-Pearson) 95 % bounds from counts of accounts. ``promise`` is in words; ``kept`` is None without a
    promise, or when the counts cannot tell.
    """

    colour: Colour
    accounts: int
    churned: int
    churn_rate: float
    churn_low: float
    churn_high: float
    promise: str = ""
    kept: bool | None = None
    rows: int = 0
