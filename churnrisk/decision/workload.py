"""Thresholds that fit a team's week, and thresholds at which a contact pays: no labels, no promise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision.bounds import Floats
from churnrisk.errors import ContractError, UsageError

#: Above every probability: no account is that risky.
NOBODY = 2.0


def capacity_threshold(p: Floats, accounts: float) -> float:
    """Return the smallest threshold from which on at most so many of the rows lie.

    Parameters
    ----------
    p : ndarray of shape (rows,)
        Scores of all snapshots together.
    accounts : float
        Rows that fit. Rows of equal scores are taken all together or not at all.

    Returns
    -------
    float
        Halfway between two scores, so that rounding moves no row; 0.0 when all rows fit,
        :data:`NOBODY` when not even the rows of the highest score do.
    """
    fits = int(accounts)
    if fits >= len(p):
        return 0.0
    first_out = np.partition(p, len(p) - 1 - fits)[len(p) - 1 - fits]
    inside = p[p > first_out]
    return float((first_out + inside.min()) / 2.0) if len(inside) else NOBODY


def capacity_cuts(
    p: Floats, capacity: int, amber_times: float, snapshots: float
) -> tuple[float, float, tuple[str, ...]]:
    """Return ``amber_from``, ``red_from`` and what a reader should know of them.

    Parameters
    ----------
    p : ndarray of shape (rows,)
        Probabilities of all snapshots together.
    capacity : int
        Accounts that red holds per snapshot; amber holds ``amber_times`` as many.
    snapshots : float
        How many the rows make, counted in whole snapshots.
    """
    red = capacity * snapshots
    red_from = capacity_threshold(p, red)
    amber_from = min(capacity_threshold(p, red * (1.0 + amber_times)), red_from)
    notes = []
    if red_from == 0.0:
        notes.append(f"the capacity of {capacity} covers every account, so all are red")
    elif amber_from == 0.0:
        notes.append("green is empty: red and amber cover every account")
    if red_from == NOBODY:
        notes.append(f"red is empty: more than {capacity} accounts a snapshot share the highest probability")
    return amber_from, red_from, tuple(notes)


def known_values(value: npt.ArrayLike | pd.Series | None, rows: int) -> Floats:
    """Return the annual values as numbers, shape (rows,); missing and negative ones as NaN.

    The contract check has named the negative ones already.

    Raises
    ------
    ContractError
        If there is not one per row.
    """
    if value is None:
        return np.full(rows, np.nan)
    values = np.asarray(pd.to_numeric(pd.Series(np.asarray(value)), errors="coerce"), dtype=float)
    if len(values) != rows:
        raise ContractError(
            f"policy 'cost' expects one annual value per row, found {len(values)} for {rows} rows."
        )
    return np.where(values >= 0, values, np.nan)


def typical_value(values: Floats) -> float:
    """Return the median of the positive values.

    Raises
    ------
    UsageError
        If there is none.
    """
    paying = values[values > 0]
    if not len(paying):
        raise UsageError(
            "policy 'cost' expects the annual value of at least one account, found none. Map mrr under "
            "[tables.subscriptions.columns] and keep the feature mrr, or choose another policy under [decision]."
        )
    return float(np.median(paying))
