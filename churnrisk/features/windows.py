"""From the roll-up to windows: what each account did before each date, as arrays of one chunk of accounts.

The roll-up has a row per account, user and *slot*. A slot is a segment of time and, where the project has them, the key
feature used, the first date that knows the row, and the mask word of its features. Segments end at every edge of every
window, so a window is a run of segments. The same function runs in this process and on Spark's workers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from churnrisk.features.arrays import decimals, integers

#: Window edges in days before ``as_of``; the account's usual rhythm is read from HISTORY_DAYS.
EDGES = (0, 7, 30, 60, 90, 180, 365)
#: Features and users count in windows of at most so many days.
DETAIL_DAYS = 90
HISTORY_DAYS = EDGES[-1]
#: Users are counted over the last half of so many days and the half before.
PEOPLE_DAYS = 60
BITS = 63  # a mask word is a signed 64-bit integer
#: Days; the bits of so many are exact in a float, which finds the highest one.
_LONGEST_SEGMENT = 52
_NEVER = -(2**31)
#: Windows as ages in days: above the first, up to the second.
_SPANS = {"7": (0, 7), "30": (0, 30), "90": (0, 90), "prev_30": (30, 60)}
_SUMS = {**_SPANS, "365": (0, HISTORY_DAYS)}


@dataclass(frozen=True)
class WindowSpec:
    """How slots are numbered; dates and edges are days since 1970. Slots of days before all windows come last.

    ``keys`` are how many product features have their own recency, ``late`` says that rows may become known later than
    they happened.
    """

    dates: tuple[int, ...]
    keys: int = 0
    late: bool = False
    words: int = 1

    @cached_property
    def edges(self) -> list[int]:
        """Starts of the segments, and the end of the last one."""
        edges = sorted({date - edge for date in self.dates for edge in EDGES})
        filled = edges[:1]
        for edge in edges[1:]:
            filled.extend(range(filled[-1] + _LONGEST_SEGMENT, edge, _LONGEST_SEGMENT))
            filled.append(edge)
        return filled

    @property
    def segments(self) -> int:
        """How many there are, and so the segment of days before all windows."""
        return len(self.edges) - 1

    @property
    def key_step(self) -> int:
        """What one key feature adds to a slot."""
        return self.segments + 1

    @property
    def known_step(self) -> int:
        """What one date adds to a slot."""
        return self.key_step * (self.keys + 1)

    @property
    def word_step(self) -> int:
        """What one mask word adds to a slot."""
        return self.known_step * (len(self.dates) if self.late else 1)

    def segment(self, slots: Any) -> Any:
        """Return the segment of slots."""
        return slots % self.key_step

    def key(self, slots: Any) -> Any:
        """Return the number of the key feature of slots, from 1 on, or 0."""
        return slots // self.key_step % (self.keys + 1)

    def word(self, slots: Any) -> Any:
        """Return the mask word of slots."""
        return slots // self.word_step

    def known(self, slots: Any) -> Any:
        """Return the position of the first date that knows the rows of slots."""
        if self.late:
            return slots // self.known_step % len(self.dates)
        first = np.searchsorted(self.dates, self.edges[:-1], side="right")
        return np.append(first, 0)[self.segment(slots)]


def event_windows(spec: WindowSpec, rows: pa.Table, accounts: int) -> pa.Table:
    """Return every window of accounts 0, 1 … at every date, one row per date and account in that order.

    ``rows`` are the roll-up: account, user (0 for nobody), slot, n, days (bits of the segment, or the last day before
    all windows), mask, and where events have quantities their sum and how many there are (measured).
    """
    chunk = _Chunk(spec, rows, accounts)
    by_date = [dict(chunk.at(place)) for place in range(len(spec.dates))]
    columns = {name: np.concatenate([columns[name] for columns in by_date]) for name in by_date[0]}
    return _table(columns)


class _Chunk:
    """Arrays by segment and account, to which rows are added in the order of the dates that know them."""

    def __init__(self, spec: WindowSpec, rows: pa.Table, accounts: int) -> None:
        self.spec, self.accounts = spec, accounts
        slots = rows["slot"].to_numpy()
        segments = spec.segment(slots).astype(np.int16)
        order = np.argsort(segments, kind="stable")  # windows are slices then, and memory is written in order
        self.segment, slots = segments[order], slots[order]
        self.account = rows["account"].to_numpy()[order]
        self.n, self.days = rows["n"].to_numpy()[order], rows["days"].to_numpy()[order]
        self.mask, self.user = rows["mask"].to_numpy()[order], rows["user"].to_numpy()[order]
        self.word, self.key = spec.word(slots), spec.key(slots)
        self.known = spec.known(slots) if spec.late else None
        self.edges = spec.edges
        shape = (spec.segments, accounts)
        self.events, self.bits = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.detail = bisect_left(self.edges, spec.dates[0] - DETAIL_DAYS)
        self.masks = np.zeros((spec.words, shape[0] - self.detail, accounts), np.int64)
        self.last = np.full((spec.keys + 1, accounts), _NEVER, np.int64)
        #: Where the rows of each segment begin.
        self.begins = np.searchsorted(self.segment, np.arange(spec.segments + 1, dtype=np.int16)).tolist()
        self.within = self.begins[-1]
        #: Cells of the sum of quantities and of how many there are, with the rows that they add up.
        self.amounts: list[tuple[np.ndarray, np.ndarray]] = []
        if "quantity" in rows.column_names:
            values = (integers(rows, "quantity")[order], rows["measured"].to_numpy()[order])
            self.amounts = [(np.zeros(shape, of.dtype), of) for of in values]
        self.person, self.owner = self._people()

    def at(self, place: int) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the columns of the accounts at a date."""
        self._learn(place)
        end = self._edge(place, 0)
        edges = {days: self._edge(place, days) for days in EDGES}
        yield from self._sums("events", self.events, edges)
        for name, (cells, _) in zip(("quantity", "measured"), self.amounts, strict=False):
            yield from self._sums(name, cells, edges)
        yield from self._active_days(edges)
        yield from self._features(edges)
        yield "first_day_365", self._first_day(edges[HISTORY_DAYS], end)
        yield "last_day", self.last.max(0)
        for key in range(self.spec.keys):
            yield f"last_key_{key}", self.last[key + 1].copy()
        yield from self._users(place, edges)

    def _edge(self, place: int, days: int) -> int:
        return bisect_left(self.edges, self.spec.dates[place] - days)

    def _learn(self, place: int) -> None:
        """Add the rows that become known at a date."""
        if self.known is not None:
            self._add(np.flatnonzero(self.known == place))
            return
        before = self._edge(place - 1, 0) if place else 0
        self._add(slice(self.begins[before], self.begins[self._edge(place, 0)]))
        if not place:
            self._add(slice(self.within, len(self.segment)))

    def _add(self, new: Any) -> None:
        # the exponent of a float is the place of its highest bit
        highest = np.frexp(self.days[new].astype(np.float64))[1] + np.take(self.edges, self.segment[new]) - 1
        day = np.where(self.segment[new] < self.spec.segments, highest, self.days[new])
        np.maximum.at(self.last, (self.key[new], self.account[new]), day)
        new = (
            slice(new.start, min(new.stop, self.within)) if isinstance(new, slice) else new[new < self.within]
        )
        cell = self.segment[new].astype(np.int64) * self.accounts + self.account[new]
        np.add.at(self.events.reshape(-1), cell, self.n[new])
        np.bitwise_or.at(self.bits.reshape(-1), cell, self.days[new])
        for cells, values in self.amounts:
            np.add.at(cells.reshape(-1), cell, values[new])
        mask = self.mask[new]
        seen = np.flatnonzero(mask)
        word = (self.spec.segments - self.detail) * self.accounts
        cell = cell[seen] - self.detail * self.accounts + self.word[new][seen].astype(np.int64) * word
        np.bitwise_or.at(self.masks.reshape(-1), cell, mask[seen])

    def _sums(self, name: str, cells: np.ndarray, edges: dict[int, int]) -> Iterator[tuple[str, np.ndarray]]:
        sums = {high: cells[edges[high] : edges[low]].sum(0) for low, high in pairwise(EDGES)}
        for span, (low, high) in _SUMS.items():
            yield f"{name}_{span}", sum(sums[age] for age in sums if low < age <= high)

    def _active_days(self, edges: dict[int, int]) -> Iterator[tuple[str, np.ndarray]]:
        counts = {
            high: np.bitwise_count(self.bits[edges[high] : edges[low]]).sum(0, dtype=np.int32)
            for low, high in pairwise(EDGES)
        }
        for span, (low, high) in {**_SUMS, "180": (0, 180)}.items():
            yield f"active_days_{span}", sum(counts[age] for age in counts if low < age <= high)

    def _features(self, edges: dict[int, int]) -> Iterator[tuple[str, np.ndarray]]:
        def used(high: int, low: int) -> np.ndarray:
            rows = slice(edges[high] - self.detail, edges[low] - self.detail)
            of_word: np.ndarray = np.bitwise_or.reduce(self.masks[:, rows], axis=1)
            return of_word

        def counted(masks: np.ndarray) -> np.ndarray:
            bits: np.ndarray = np.bitwise_count(masks).sum(0, dtype=np.int32)
            return bits

        week, before = used(7, 0), used(90, 30)
        month = week | used(30, 7)
        yield "features_7", counted(week)
        yield "features_30", counted(month)
        yield "features_90", counted(month | before)
        yield "features_dropped", counted(before & ~month)
        yield "features_adopted", counted(month & ~before)

    def _first_day(self, low: int, high: int) -> np.ndarray:
        first = np.full(self.accounts, high)
        for segment in reversed(range(low, high)):
            first = np.where(self.bits[segment] != 0, segment, first)
        found = self.bits[np.minimum(first, self.spec.segments - 1), np.arange(self.accounts)]
        day = np.take(self.edges, first) + np.bitwise_count((found & -found) - 1)
        return np.where(first < high, day, _NEVER)

    def _people(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of each row's user, in the order of their accounts, and the account of each user."""
        coded = pa.array(self.user).dictionary_encode()
        codes = coded.indices.to_numpy()
        owner = np.zeros(len(coded.dictionary), np.int64)
        owner[codes] = self.account
        order = np.argsort(owner, kind="stable")
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        return number[codes], owner[order]

    def _users(self, place: int, edges: dict[int, int]) -> Iterator[tuple[str, np.ndarray]]:
        def events_of_each(high: int, low: int) -> np.ndarray:
            rows = slice(self.begins[edges[high]], self.begins[edges[low]])
            counts = self.user[rows] != 0
            if self.known is not None:
                counts &= self.known[rows] <= place
            # floats are exact up to 2**53
            return np.bincount(self.person[rows], self.n[rows] * counts, len(self.owner)).astype(np.int64)

        starts = np.flatnonzero(np.diff(self.owner, prepend=-1))
        half = PEOPLE_DAYS // 2
        recent, before = events_of_each(half, 0), events_of_each(PEOPLE_DAYS, half)
        for name, values, combine in (
            ("users_30", recent > 0, np.add),
            ("users_prev_30", before > 0, np.add),
            ("top_user_events_30", recent, np.maximum),
            ("user_events_30", recent, np.add),
        ):
            column = np.zeros(self.accounts, np.int64)
            if len(starts):
                column[self.owner[starts]] = combine.reduceat(values.astype(np.int64), starts)
            yield name, column


def _table(columns: dict[str, np.ndarray]) -> pa.Table:
    """Return the columns as Arrow arrays, null where there was nothing to count."""
    nothing = columns["active_days_365"] == 0
    nobody = columns["users_30"] + columns["users_prev_30"] == 0
    made: dict[str, pa.Array] = {}
    for name, values in columns.items():
        if name.startswith("quantity_"):
            made[name] = decimals(values, null=columns[name.replace("quantity", "measured")] == 0)
        elif name.startswith(("first_", "last_")):
            made[name] = pa.array(values, pa.int32(), mask=values == _NEVER).cast(pa.date32())
        elif name.startswith("features_"):
            made[name] = pa.array(values, mask=nothing)
        elif name.startswith("users_"):
            made[name] = pa.array(values, mask=nobody)
        elif not name.startswith("measured_"):
            made[name] = pa.array(values, mask=values == 0)
    unknown = pa.nulls(len(nothing), pa.int32())
    return pa.table(made | {f"quantity_{span}": unknown for span in _SUMS if f"quantity_{span}" not in made})
