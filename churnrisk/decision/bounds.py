"""Exact bounds of a share of independent accounts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv  # scipy publishes no types

Floats = npt.NDArray[np.float64]

#: A promise counts as contradicted when a one-sided bound of this confidence lies on its wrong side.
CONTRADICTION = 0.95


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
