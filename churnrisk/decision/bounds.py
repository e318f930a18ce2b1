"""Exact bounds of a churn rate, and which rows may be counted as independent evidence for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaincinv  # type: ignore[import-untyped]  # scipy publishes no types

Floats = npt.NDArray[np.float64]


def upper_bound(churned: npt.ArrayLike, accounts: npt.ArrayLike, confidence: float) -> Floats:
    """Return the one-sided upper Clopper-Pearson bound of a rate; 1 where nothing was counted.

    Source: Clopper & Pearson (1934), Biometrika 26, 404-413.
    """
    k, n = np.broadcast_arrays(np.asarray(churned, float), np.asarray(accounts, float))
    certain = k >= n
    bound = betaincinv(k + 1, np.where(certain, 1.0, n - k), confidence)
    return np.where(certain, 1.0, bound)


def lower_bound(churned: npt.ArrayLike, accounts: npt.ArrayLike, confidence: float) -> Floats:
    """Return the one-sided lower Clopper-Pearson bound of a rate; 0 where nothing was counted."""
    n = np.asarray(accounts, float)
    return 1.0 - upper_bound(n - np.asarray(churned, float), n, confidence)


def independent_rows(groups: npt.ArrayLike | pd.Series | None, rows: int) -> npt.NDArray[np.bool_]:
    """Mark at most one row per account, so that the marked rows are independent evidence.

    Rows of one account at several as-of dates are not independent: an account that stays for
    four snapshots is not four accounts. With ``k`` the largest number of rows of any account, every
    account draws one of the slots ``0 … k-1`` by a hash of its id and only its row in that slot
    (counted in the order given) is marked. Every row has the same chance ``1/k`` to be marked, so
    the rate among marked rows estimates the rate among all rows without bias (to take one
    row of *every* account would over-weight those that left early, the churners), and the
    draw never looks at a label or a score.

    Parameters
    ----------
    groups : array-like of shape (rows,) or None
        Account ids; None says that every row is an account of its own.
    rows : int
        Number of rows.

    Returns
    -------
    ndarray of bool, shape (rows,)
        The same for the same ids in the same order, on every machine.
    """
    if groups is None or rows == 0:
        return np.ones(rows, dtype=bool)
    ids = pd.Series(np.asarray(groups, dtype=object)).astype(str)
    slot = ids.groupby(ids, sort=False).cumcount().to_numpy()
    slots = int(slot.max()) + 1
    if slots == 1:
        return np.ones(rows, dtype=bool)
    drawn = pd.util.hash_array(ids.to_numpy(dtype=object)) % np.uint64(slots)
    return np.asarray(drawn.astype(np.int64) == slot)
