"""How far the values of a signal have moved, as an effect size that does not grow with the number of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

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
