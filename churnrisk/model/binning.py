"""Encoded columns cut into at most 255 bins, so that a step function of one column is a short table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from churnrisk.model.panel import Bools, Floats

MOST_BINS = 255
_SAMPLE = 200_000


@dataclass
class Binner:
    """Bin edges per column; a categorical code is a bin of its own, missing stays missing.

    Attributes
    ----------
    edges : list of ndarray
        Ascending inner edges per column; bin i holds ``edges[i - 1] < value <= edges[i]``. Empty for
        categories.
    categorical : ndarray of bool, shape (d,)
    counts : list of int
        Number of bins per column, missing not counted.
    known : ndarray of bool, shape (d,)
        Columns with a value in the rows learned from. The others say nothing: scikit-learn cannot bin a column without
        values, so they are held at one bin.
    """

    edges: list[Floats]
    categorical: Bools
    counts: list[int]
    known: Bools

    @classmethod
    def learn(cls, encoded: Floats, categorical: Bools, most_bins: int = 255) -> Binner:
        """Take quantiles as edges where a column has more than `most_bins` values, else the midpoints.

        Parameters
        ----------
        encoded : ndarray of float64, shape (n, d)
        categorical : ndarray of bool, shape (d,)
        most_bins : int, default 255
        """
        step = max(1, len(encoded) // _SAMPLE)
        edges = [
            np.empty(0) if is_code else _edges(encoded[::step, j], most_bins)
            for j, is_code in enumerate(categorical)
        ]
        counts = [
            _levels(encoded[:, j]) if is_code else len(edges[j]) + 1 for j, is_code in enumerate(categorical)
        ]
        return cls(
            edges, np.asarray(categorical, dtype=bool), counts, np.asarray(~np.isnan(encoded).all(axis=0))
        )

    def bins(self, encoded: Floats) -> Floats:
        """Return the bin of each cell as float64, shape (n, d), NaN for missing."""
        binned = np.empty(encoded.shape, dtype=np.float64)
        for j, edges in enumerate(self.edges):
            column = encoded[:, j]
            if self.categorical[j]:
                # A code above the last learned one is "other" without a row at fit.
                binned[:, j] = np.minimum(column, self.counts[j] - 1)
                continue
            binned[:, j] = np.searchsorted(edges, column, side="left")
            binned[np.isnan(column), j] = np.nan
        binned[:, ~self.known] = 0.0
        return binned

    def steps(self, j: int, table: Floats) -> tuple[Floats, Floats]:
        """Return a column's table as a step function of its values, equal neighbours joined.

        Parameters
        ----------
        j : int
            The column.
        table : ndarray, shape (counts[j] + 1,)
            Effect per bin and, last, of missing.

        Returns
        -------
        tuple of ndarray
            Ascending upper edges, the last one infinite, and one effect more than edges: the effect of a value
            is at ``np.searchsorted(edges, value)``, which puts NaN, sorted behind infinity, last.
        """
        if not self.known[j]:
            return np.array([np.inf]), np.array([table[0], table[0]])
        inner = np.arange(self.counts[j] - 1, dtype=np.float64) if self.categorical[j] else self.edges[j]
        changes = np.flatnonzero(table[:-2] != table[1:-1])
        edges = np.append(inner[changes], np.inf)
        return edges, np.concatenate([table[[0]], table[1 + changes], table[[-1]]])


def _levels(codes: Floats) -> int:
    known = codes[~np.isnan(codes)]
    # One more than seen: the bin of "other", which may have had no row.
    return min(MOST_BINS, int(known.max()) + 2) if len(known) else 1


def _edges(column: Floats, most_bins: int) -> Floats:
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if len(values) < 2:
        return np.empty(0)
    middles: Floats = values[:-1] + (values[1:] - values[:-1]) / 2
    if len(values) <= most_bins:
        return middles
    share = np.cumsum(counts)[:-1] / counts.sum()
    wanted = np.arange(1, most_bins) / most_bins
    kept: Floats = middles[np.unique(np.minimum(np.searchsorted(share, wanted), len(middles) - 1))]
    return kept
