"""Columns of rows by account and date as numpy arrays, and back to Arrow.

Sums run over integers only: sums of floats depend on the order of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

DAY = 86_400_000_000  # microseconds
SECOND = 1_000_000
#: Stand for "not at all" among instants.
NEVER, ALWAYS = -(2**62), 2**62


def instants(table: pa.Table, name: str, *, null: int = NEVER) -> np.ndarray:
    """Return a column of timestamps in microseconds since 1970."""
    found: np.ndarray = table[name].cast(pa.timestamp("us")).cast(pa.int64()).fill_null(null).to_numpy()
    return found


def numbers_of(dates: Sequence[datetime]) -> np.ndarray:
    """Return instants in microseconds since 1970."""
    return np.array(dates, "datetime64[us]").astype(np.int64)


def there(table: pa.Table, name: str) -> np.ndarray:
    """Return in which rows a column is not null."""
    found: np.ndarray = table[name].is_valid().to_numpy()
    return found


def integers(table: pa.Table, name: str) -> np.ndarray:
    """Return decimals with four places in ten-thousandths, 0 for null.

    As int64 if no sum of them can outgrow it, else as integers of Python.
    """
    whole = table[name].cast(pa.decimal128(38, 4)).combine_chunks().fill_null(0)
    halves = np.frombuffer(whole.buffers()[1] or b"", np.int64)[2 * whole.offset :][: 2 * len(whole)]
    low, high = halves[::2], halves[1::2]
    if (high == low >> 63).all() and np.abs(low.astype(np.float64)).sum() < 2**62:
        return low.copy()
    whole_numbers: np.ndarray = high.astype(object) * 2**64 + low.astype(np.uint64).astype(object)
    return whole_numbers


def decimals(values: np.ndarray, *, null: np.ndarray) -> pa.Array:
    """Return ten-thousandths as decimals."""
    type_ = pa.decimal128(38, 4)
    if values.dtype == object:
        exact = [
            None if missing else Decimal(f"{value}E-4") for value, missing in zip(values, null, strict=True)
        ]
        return pa.array(exact, type_)
    wide = np.stack([values, values >> 63], axis=1)
    valid = np.packbits(~null, bitorder="little")
    return pa.Array.from_buffers(type_, len(values), [pa.py_buffer(valid), pa.py_buffer(wide)])


def timestamps(values: np.ndarray) -> pa.Array:
    """Return instants as timestamps, null where there was none."""
    return pa.array(values, pa.int64(), mask=np.abs(values) == ALWAYS).cast(pa.timestamp("us"))


class Cells:
    """Columns with a cell for each date and account, in that order."""

    def __init__(self, dates: int, accounts: int) -> None:
        self._shape = (dates, accounts)
        self._columns: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        column: np.ndarray = self._columns[name].reshape(-1)
        return column

    def date(self, place: int, account: np.ndarray) -> OfDate:
        """Return what fills the cells of one date from rows of these accounts."""
        return OfDate(self, place, account)

    def of(self, name: str, start: float, dtype: np.dtype[Any], place: int) -> np.ndarray:
        """Return the cells of a date."""
        if name not in self._columns:
            self._columns[name] = np.full(self._shape, start, dtype)
        cells: np.ndarray = self._columns[name][place]
        return cells


class OfDate:
    """Fills the cells of one date from those rows where ``where`` is true."""

    def __init__(self, cells: Cells, place: int, account: np.ndarray) -> None:
        self._cells, self._place, self._account = cells, place, account

    def count(self, name: str, where: np.ndarray) -> None:
        """Count rows."""
        cells = self._cells.of(name, 0, np.dtype(np.int64), self._place)
        cells += np.bincount(self._account[where], minlength=len(cells))

    def add(self, name: str, values: np.ndarray, where: np.ndarray) -> None:
        """Add up values."""
        np.add.at(self._cells.of(name, 0, values.dtype, self._place), self._account[where], values[where])

    def largest(self, name: str, values: np.ndarray, where: np.ndarray, nothing: float) -> None:
        """Take the largest value."""
        cells = self._cells.of(name, nothing, values.dtype, self._place)
        np.maximum.at(cells, self._account[where], values[where])

    def smallest(self, name: str, values: np.ndarray, where: np.ndarray, nothing: float) -> None:
        """Take the smallest value."""
        cells = self._cells.of(name, nothing, values.dtype, self._place)
        np.minimum.at(cells, self._account[where], values[where])
