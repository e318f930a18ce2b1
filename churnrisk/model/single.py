"""How well one signal alone ranks the accounts, with an interval by accounts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.model.metrics import Ranked, account_weights
from churnrisk.model.panel import Bools, Floats
from churnrisk.records import Interval

_SCRATCH_CELLS = 4_000_000
# A level of few rows says little: its rate is pulled towards the overall one by so many rows.
_PRIOR_ROWS = 20.0


def single_aucs(
    X: pd.DataFrame, churned: npt.ArrayLike, account_id: npt.ArrayLike, *, n_boot: int, seed: int
) -> Iterator[tuple[str, Interval | None]]:
    """Yield the AUC of each column alone.

    Above one half, higher values go with churn; below, lower ones. Rows without a value are left out (coverage
    tells how many those are). Names are ranked by the churn rate of their level among the other half of the
    accounts, so that a rare level cannot give its own rows away; their AUC lies above one half or is chance.

    Parameters
    ----------
    X : DataFrame of shape (n, d)
        Numeric and category columns.
    churned : array-like of shape (n,)
        1 or True for churned.
    account_id : array-like of shape (n,)
        Accounts are the units of the bootstrap.
    n_boot : int
        Draws behind the interval (2.5 % and 97.5 % quantiles).
    seed : int

    Yields
    ------
    tuple of str and Interval or None
        None where the rows with a value lack a class.
    """
    y = np.asarray(churned).astype(bool)
    accounts = np.asarray(account_id).astype(str)
    weights = account_weights(accounts, n_boot=n_boot, seed=seed)
    half = _half(accounts, seed)
    for name, column in X.items():
        known = column.notna().to_numpy()
        if isinstance(column.dtype, pd.CategoricalDtype):
            score = _rates(column.cat.codes.to_numpy()[known], y[known], half[known])
        else:
            score = column.to_numpy(dtype=float)[known]
        yield str(name), _auc(y[known], score, weights[:, known])


def _auc(churned: Bools, score: Floats, weights: Floats) -> Interval | None:
    if not churned.any() or churned.all():
        return None
    drawn = weights @ churned
    # a draw without churners, or without others, has no AUC
    weights = weights[(drawn > 0) & (drawn < weights.sum(axis=1))]
    ranked = Ranked(churned, score)
    at_once = max(1, _SCRATCH_CELLS // len(churned))
    parts = [ranked.figures(weights[i : i + at_once], 0.1)["auc"] for i in range(0, len(weights), at_once)]
    found = np.concatenate(parts)
    low, high = np.quantile(found[1:], [0.025, 0.975]) if len(found) > 1 else (np.nan, np.nan)
    return Interval(float(found[0]), float(low), float(high))


def _half(accounts: npt.NDArray[np.str_], seed: int) -> Bools:
    names, member = np.unique(accounts, return_inverse=True)
    picked = np.random.default_rng(seed).permutation(len(names)) < len(names) / 2
    return np.asarray(picked[member], dtype=bool)


def _rates(codes: npt.NDArray[np.integer], churned: Bools, half: Bools) -> Floats:
    rates = np.empty(len(codes))
    levels = int(codes.max(initial=0)) + 1
    for side in (half, ~half):
        overall = churned[~side].mean() if (~side).any() else 0.0
        rows = np.bincount(codes[~side], minlength=levels)
        lost = np.bincount(codes[~side], weights=churned[~side], minlength=levels)
        by_level = (lost + _PRIOR_ROWS * overall) / (rows + _PRIOR_ROWS)
        # each half ranks against its own overall rate, which differs from the other's by chance
        rates[side] = by_level[codes[side]] - overall
    return rates
