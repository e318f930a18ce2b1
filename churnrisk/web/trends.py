"""Geometry of charts over runs: columns of an amount, and rates with their bounds beside what was promised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from churnrisk.web.charts import Tick

_WIDTH, _HEIGHT = 760.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 36.0, 12.0, 28.0
_MOST_DATES = 8
_WIDEST = 56.0
RATE_WIDTH = 200.0


@dataclass(frozen=True, slots=True)
class Column:
    """One run's column."""

    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class ColumnChart:
    """An amount at each run."""

    width: float
    height: float
    left: float
    right: float
    bottom: float
    columns: tuple[Column, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def column_chart(amounts: Sequence[tuple[datetime, float]]) -> ColumnChart | None:
    """Return the amounts as columns, oldest first; None without any."""
    if not amounts:
        return None
    top = nice_top(max(amount for _, amount in amounts))
    room = (_WIDTH - _LEFT - _RIGHT) / len(amounts)
    width = min(room * 0.7, _WIDEST)
    scale = (_HEIGHT - _TOP - _BOTTOM) / top
    bottom = _HEIGHT - _BOTTOM

    def middle(place: int) -> float:
        return _LEFT + room * (place + 0.5)

    columns = tuple(
        Column(
            round(middle(place) - width / 2, 1),
            round(bottom - amount * scale, 1),
            round(width, 1),
            round(amount * scale, 1),
            f"{as_of:%Y-%m-%d}: {amount:,.0f}",
        )
        for place, (as_of, amount) in enumerate(amounts)
    )
    step = max(1, math.ceil(len(amounts) / _MOST_DATES))
    shown = range(len(amounts) - 1, -1, -step)
    return ColumnChart(
        _WIDTH,
        _HEIGHT,
        _LEFT,
        _WIDTH - _RIGHT,
        bottom,
        columns,
        tuple(Tick(round(middle(place), 1), f"{amounts[place][0]:%Y-%m-%d}") for place in reversed(shown)),
        tuple(Tick(round(bottom - top * i / 4 * scale, 1), f"{top * i / 4:,.0f}", "end") for i in range(5)),
    )


def nice_top(highest: float) -> float:
    """Return a round number at or above the highest amount, which four steps divide well."""
    if highest <= 0:
        return 4.0
    power = 10.0 ** math.floor(math.log10(highest))
    return float(
        max(4.0, next(m * power for m in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if m * power >= highest))
    )


@dataclass(frozen=True, slots=True)
class RateMark:
    """A churn rate with its bounds, and the promise as a line, on a track of ``RATE_WIDTH``."""

    low_x: float
    width: float
    rate_x: float
    limit_x: float | None


def rate_mark(rate: float, low: float, high: float, limit: float | None, *, top: float) -> RateMark:
    """Return where a rate lies between 0 and ``top``."""

    def place(share: float) -> float:
        return round(min(share / top, 1.0) * (RATE_WIDTH - 8) + 4, 1)

    return RateMark(
        place(low),
        max(round(place(high) - place(low), 1), 1.0),
        place(rate),
        None if limit is None else place(limit),
    )
