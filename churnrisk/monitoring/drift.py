"""How far the values of a signal have moved, as an effect size that does not grow with the number of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ContractError

BINS = 10
#: Thresholds of a change worth a look and of a large one (the usual reading of the index).
SOME, LARGE = 0.1, 0.25

Counts = npt.NDArray[np.float64]


def population_stability(old: pd.Series, new: pd.Series) -> float | None:
    """Return the population stability index between two sets of values of one signal; None where one is empty.

    Numbers fall into the tenths of ``old``, categories into themselves, missing values into a separate bin. The
    index expected from chance alone between samples of these sizes, (bins - 1) (1/n_old + 1/n_new), is subtracted, so
    that small snapshots do not look as if they had moved. Source: Yurdakul (2018), "Statistical properties of
    population stability index".
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
    """Return the population stability index of each signal (column) at every later as-of date (row).

    X is a panel with index (account_id, as_of); each later snapshot is compared with the first.
    """
    dates = X.index.get_level_values("as_of") if "as_of" in X.index.names else pd.Index([])
    distinct = sorted(dates.unique())
    if len(distinct) < 2:
        raise ContractError(
            f"drift is measured between snapshots: expected rows of two as-of dates or more, found {len(distinct)}. "
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
    # left: a frequent value, such as 0, ends its bin instead of sharing one with all above it
    places = np.searchsorted(edges, values, side="left")
    places[np.isnan(values)] = len(edges) + 1
    return np.bincount(places, minlength=len(edges) + 2).astype(float)
