"""Records of the ledger of missed churners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What one run said of an account; reasons are kept for red and amber only."""

    as_of: datetime
    colour: str
    probability: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LostAccount:
    """A lost account and what was said of it before, by days before the loss.

    ``verdict``: "seen coming" when any of the runs showed it red or amber, "never seen coming" when it
    was green whenever it had a colour, "never scored" when it never had one.
    """

    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    plan: str | None
    churned_at: datetime
    verdict: str
    before: Mapping[int, Glimpse | None]


@dataclass(frozen=True, slots=True)
class InCommon:
    """Something that the missed have more often than the green accounts of the same runs."""

    what: str
    value: str
    missed: int
    missed_share: float
    green: int
    green_share: float
    ratio: float


@dataclass(frozen=True)
class Ledger:
    """The lost accounts near a run, what their colours were, and what the missed have in common.

    Attributes
    ----------
    accounts : tuple of LostAccount
        Latest loss first.
    colours : mapping of int to mapping of str to int
        Days before the loss to counts of red, amber, green, grey, "not in the run" and "no run"; over all
        lost accounts.
    verdicts : mapping of str to int
        Counts of verdicts among ``accounts``.
    out_of_reach : int
        Lost accounts without a run near any of the days: they are not in ``accounts``.
    green : int
        Accounts that were green in the runs looked at.
    common : tuple of InCommon
        Highest ratio first.
    notes : tuple of str
        What is missing.
    """

    accounts: tuple[LostAccount, ...]
    colours: Mapping[int, Mapping[str, int]]
    verdicts: Mapping[str, int]
    out_of_reach: int
    green: int
    common: tuple[InCommon, ...]
    notes: tuple[str, ...]
