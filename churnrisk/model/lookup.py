"""Looking up many values in a step function: one multiplication says where, one comparison settles it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from churnrisk.model.panel import Floats, Ints

#: Fewer values than this are not worth a grid.
WORTH_A_GRID = 20_000
_CHUNK = 16_384  # stays in the cache
_MOST_CELLS = 65_536


@dataclass(frozen=True)
class Grid:
    """A step function over a grid so fine that a cell holds at most one edge.

    Exact: subtracting, scaling and cutting keep the order of floats, so an edge in an earlier cell lies below the
    value and one in a later cell above it; the one in the same cell is compared with.

    Attributes
    ----------
    start, scale, cells : float, float, int
        The cell of a value is ``(value - start) * scale`` cut to [0, cells); missing has the cell after them.
    edge : ndarray, shape (cells + 1,)
        The edge in each cell; infinite where there is none.
    sides : ndarray, shape (2 * cells + 2,)
        Per cell the step's height up to its edge and beyond.
    """

    start: float
    scale: float
    cells: int
    edge: Floats
    sides: Floats

    @classmethod
    def of(cls, edges: Floats, values: Floats) -> Self | None:
        """Return the grid of the steps of :meth:`Binner.steps`; None where edges lie too close for one."""
        inner = edges[:-1]
        if not len(inner):
            return None
        with np.errstate(over="ignore"):
            span, gap = inner[-1] - inner[0], np.diff(inner).min(initial=np.inf)
        cells = 2
        while cells < _MOST_CELLS and cells * gap < 2 * span:
            cells *= 2
        scale = (cells - 1) / span if span > 0 else 1.0
        if not 0 < scale < np.inf:
            return None
        at = np.clip((inner - inner[0]) * scale, 0, cells - 1).astype(np.int64)
        counts = np.bincount(at, minlength=cells)
        if counts.max() > 1:
            return None
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        edge = np.full(cells + 1, np.inf)
        edge[at] = inner
        sides = np.full((cells + 1, 2), values[-1])
        sides[:cells, 0], sides[:cells, 1] = values[before], values[np.minimum(before + 1, len(inner))]
        return cls(float(inner[0]), float(scale), cells, edge, sides.ravel())

    def look_up(self, column: Floats, out: Floats) -> None:
        """Write the step's height at each value of a column to ``out``, both shape (n,) or one array."""
        scratch, compared = np.empty(_CHUNK), np.empty(_CHUNK)
        cells, beyond = np.empty(_CHUNK, dtype=np.intp), np.empty(_CHUNK, dtype=bool)
        for start in range(0, len(column), _CHUNK):
            part = column[start : start + _CHUNK]
            n = len(part)
            at = self._cells(part, scratch[:n], cells[:n])
            np.less(np.take(self.edge, at, out=compared[:n], mode="clip"), part, out=beyond[:n])
            np.add(at, at, out=at)
            np.add(at, beyond[:n], out=at)
            np.take(self.sides, at, out=out[start : start + n], mode="clip")

    def _cells(self, part: Floats, scratch: Floats, cells: Ints) -> Ints:
        with np.errstate(over="ignore"):  # what overflows lies beyond all edges
            np.subtract(part, self.start, out=scratch)
            np.multiply(scratch, self.scale, out=scratch)
        np.minimum(scratch, self.cells - 1, out=scratch)
        np.maximum(scratch, 0.0, out=scratch)
        # of a number and NaN the number: missing gets the last cell
        np.fmin(scratch, self.cells, out=scratch)
        np.copyto(cells, scratch, casting="unsafe")
        return cells


def look_up(steps: tuple[Floats, Floats], column: Floats, out: Floats | None = None) -> Floats:
    """Return the height of a step function at each value of a column, shape (n,); written to ``out`` if given.

    Parameters
    ----------
    steps : (edges, values)
        Of :meth:`churnrisk.model.binning.Binner.steps`.
    column : ndarray of float64, shape (n,)
        NaN for missing.
    out : ndarray of float64, shape (n,), optional
        May be the column itself.
    """
    edges, values = steps
    found = np.empty(len(column), dtype=np.float64) if out is None else out
    grid = Grid.of(edges, values) if len(column) >= WORTH_A_GRID else None
    if len(edges) == 1:
        missing = np.isnan(column)
        found.fill(values[0])
        found[missing] = values[-1]
    elif grid is None:
        np.take(values, np.searchsorted(edges, column), out=found)
    else:
        grid.look_up(column, found)
    return found
