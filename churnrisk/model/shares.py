"""Contributions for models that are not additive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from churnrisk.model.panel import Bools, Floats

_CELLS = 200_000


def shares_of_distance(
    margin: Callable[[Floats], Floats], rows: Floats, typical: Floats, *, first_in: Floats | None = None
) -> Floats:
    """Share out ``margin(rows) - margin(typical)`` over the columns, shape (n, d).

    A column's share is the mean of two effects of setting it to the row's value: with all others at
    `typical`, and with all others at the row's own. That is the Shapley value against `typical` where no
    more than two columns interact at once; what is left beyond goes to the columns in proportion to the
    size of their share. Costs d evaluations of all rows, 2 d without `first_in`.

    Parameters
    ----------
    margin : callable
        Log-odds of rows, (n, d) to (n,).
    rows : ndarray of float64, shape (n, d)
    typical : ndarray of float64, shape (d,)
    first_in : ndarray of float64, shape (n, d), optional
        The first of the two effects, when it is known already.
    """
    n, d = rows.shape
    at_rows, at_typical = margin(rows), float(margin(typical[None, :])[0])
    shares = np.empty((n, d), dtype=np.float64)
    # Few large calls: a model's cost per call outweighs its cost per row.
    for some in np.array_split(np.arange(d), max(1, min(d, -(-n * d // _CELLS)))):
        without = np.repeat(rows[None, :, :], len(some), axis=0)
        without[np.arange(len(some)), :, some] = typical[some, None]
        # A row that has the typical value anyway need not be asked.
        moved = ~_same(rows[:, some].T, typical[some, None])
        last = np.zeros((len(some), n))
        if moved.any():
            last[moved] = np.broadcast_to(at_rows, last.shape)[moved] - margin(without[moved])
        shares[:, some] = last.T
    if first_in is None:
        lone = [_first_in(margin, rows, typical, j) - at_typical for j in range(d)]
        first_in = np.column_stack(lone)
    shares = (first_in + shares) / 2
    rest = at_rows - at_typical - shares.sum(axis=1)
    size = np.abs(shares) + 1e-12
    return np.asarray(shares + rest[:, None] * size / size.sum(axis=1, keepdims=True), dtype=np.float64)


def _same(left: Floats, right: Floats) -> Bools:
    return np.asarray((left == right) | (np.isnan(left) & np.isnan(right)), dtype=bool)


def _first_in(margin: Callable[[Floats], Floats], rows: Floats, typical: Floats, j: int) -> Floats:
    values, where = np.unique(rows[:, j], return_inverse=True)
    lone = np.tile(typical, (len(values), 1))
    lone[:, j] = values
    return margin(lone)[where]
