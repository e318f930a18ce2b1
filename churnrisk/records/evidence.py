"""Figures with their intervals, and what became of a colour."""

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

    Attributes
    ----------
    accounts, churned : int
        Accounts with a row of this colour, and those of them with a churned one.
    churn_rate : float
        Churn rate per account and snapshot: churned rows per row. With several snapshots it is lower than
        churned by accounts. NaN where nothing was counted.
    churn_low, churn_high : float
        Its 95 % bounds, from counts of accounts: exact (Clopper-Pearson) with one row per account.
    promise : str
        In words; empty when there is none.
    kept : bool or None
        None when there is no promise or the counts cannot tell.
    rows : int
        (account, as_of) rows of this colour.
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
