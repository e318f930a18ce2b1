"""Who looks after each account, and when that changed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnrisk.sample.customers import PERIOD_DAYS, Bools, Customers, Ints

_NAMES = """Ana Castillo, Bernd Vogel, Chloé Martin, Dmitri Orlov, Ewa Nowak, Farid Haddad, Grace Okafor,
Hiro Tanaka, Ines Duarte, Jonas Lind, Karla Weiss, Liam Byrne, Mina Park, Nils Berg, Olga Petrova,
Paul Mercier, Quinn Adler, Rosa Bianchi, Samir Aziz, Tess Jansen, Umar Farouk, Vera Kovács, Wout Peeters,
Yara Costa"""
OWNERS = tuple(name.strip() for name in _NAMES.split(","))
_FIRST_TEAM = 14
_LEAVES_SHARE = 0.02
_REASSIGNED_SHARE = 0.012


class Owners:
    """The owner of each account, and one row per hand-over."""

    def __init__(self, rng: np.random.Generator, customers: Customers) -> None:
        self._rng = rng
        self._team = np.arange(_FIRST_TEAM)
        self._next_hire = _FIRST_TEAM
        self.owner = rng.integers(0, _FIRST_TEAM, len(customers))
        self._changed_day = np.full(len(customers), -10_000)
        self._rows = [self._row(np.arange(len(customers)), customers.sign_up_day)]

    def changed_within_60(self, day: int) -> Bools:
        """Whether the owner changed in ``[day - 60, day)``."""
        changed: Bools = self._changed_day >= day - 60
        return changed

    def hand_over(self, day: int, *, who: Bools) -> None:
        """Let owners leave, and others take on their accounts, in the period from ``day``."""
        rng, size = self._rng, len(self.owner)
        leavers = self._team[rng.random(len(self._team)) < _LEAVES_SHARE]
        self._replace(leavers)
        moved = who & (np.isin(self.owner, leavers) | (rng.random(size) < _REASSIGNED_SHARE))
        successor = self._team[rng.integers(0, len(self._team), size)]
        moved &= successor != self.owner
        on = day + rng.integers(0, PERIOD_DAYS, len(OWNERS))[self.owner]
        self.owner = np.where(moved, successor, self.owner)
        self._changed_day = np.where(moved, on, self._changed_day)
        self._rows.append(self._row(np.nonzero(moved)[0], on[moved]))

    def table(self) -> pd.DataFrame:
        """Return one row per account and hand-over, in days; the first is the sign-up."""
        rows = pd.concat(self._rows, ignore_index=True)
        return rows.sort_values(["valid_from", "account"], ignore_index=True, kind="stable")

    def _replace(self, leavers: Ints) -> None:
        hires = (self._next_hire + np.arange(len(leavers))) % len(OWNERS)
        self._next_hire += len(leavers)
        self._team = np.union1d(np.setdiff1d(self._team, leavers), hires)

    def _row(self, account: Ints, valid_from: Ints) -> pd.DataFrame:
        owner = np.array(OWNERS)[self.owner[account]]
        return pd.DataFrame({"account": account, "valid_from": valid_from, "owner": owner})
