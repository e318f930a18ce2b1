"""How far the values of a signal have moved, as an effect size that does not grow with the number of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ContractError

BINS = 10
#: From here on a change is worth a look, and from the second on large (the usual reading of the index).
SOME, LARGE = 0.1, 0.25

Counts = npt.NDArray[np.float64]


def population_stability(old: pd.Series, new: pd.Series) -> float | None:
    """Return the population stability index between two sets of values of one signal.

    Numbers fall into the tenths of ``old``, names into themselves, missing values into a bin of their own. The
    index that chance alone would give between samples of these sizes, (bins - 1) (1/n_old + 1/n_new), is taken off,
    so that small snapshots do not look as if they had moved.

    Parameters
    ----------
    old, new : Series of numbers or categories
        Values at the earlier and at the later snapshot.

    Returns
    -------
    float or None
        0 for no change; None where one of the two is empty.

    Notes
    -----
    Source: Yurdakul (2018), "Statistical properties of population stability index".
    """
    if old.empty or new.empty:
        return None
    before, after = _counts(old, new)
    bins = len(before)
    # half a row more in each bin: an empty one would make the index infinite
    p = (before + 0.5) / (before.sum() + 0.5 * bins)
    q = (after + 0.5) / (after.sum() + 0.5 * bins)
    index = float(((p - q) * np.log(p / q)).sum())
    return max(0.0, index - (bins - 1) * (1 / len(old) + 1 / len(new)))


def drift_by_snapshot(X: pd.DataFrame) -> pd.DataFrame:
    """Return how far each signal of a panel had moved since its first snapshot, at every later one.

    Parameters
    ----------
    X : DataFrame of shape (n, d)
        Index (account_id, as_of), one column per signal.

    Returns
    -------
    DataFrame
        One row per later as-of date, which is the index, one column per signal:
        :func:`population_stability` between the first snapshot and that one.

    Raises
    ------
    ContractError
        When the index holds no as-of dates, or fewer than two.
    """
    dates = X.index.get_level_values("as_of") if "as_of" in X.index.names else pd.Index([])
    distinct = sorted(dates.unique())
    if len(distinct) < 2:
        raise ContractError(
            f"drift is told between snapshots: expected rows of two as-of dates or more, found {len(distinct)}. "
            "Pass the X of a panel, with its index (account_id, as_of)."
        )
    first = X[dates == distinct[0]]
    moved = [
        {name: population_stability(first[name], later[name]) for name in X}
        for later in (X[dates == date] for date in distinct[1:])
    ]
    return pd.DataFrame(moved, index=pd.DatetimeIndex(distinct[1:], name="as_of"))


def _counts(old: pd.Series, new: pd.Series) -> tuple[Counts, Counts]:
    """Return rows per bin; bins that both leave empty are left out."""
    if isinstance(old.dtype, pd.CategoricalDtype):
        tallies = [values.astype(object).fillna("\0missing").value_counts() for values in (old, new)]
        both = pd.concat(tallies, axis=1).fillna(0.0).to_numpy(dtype=float)
        return both[:, 0], both[:, 1]
    known = old.dropna().to_numpy(dtype=float)
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.empty(0)
    before, after = (_binned(values.to_numpy(dtype=float), edges) for values in (old, new))
    used = (before + after) > 0
    return before[used], after[used]


def _binned(values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> Counts:
    # left: a value that many rows share, such as 0, ends its bin instead of sharing one with all above it
    places = np.searchsorted(edges, values, side="left")
    places[np.isnan(values)] = len(edges) + 1
    return np.bincount(places, minlength=len(edges) + 2).astype(float)
