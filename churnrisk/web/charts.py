"""Geometry of the charts, in the units of their SVG; templates only draw it.

Nothing here knows colours or fonts: marks carry classes, and the stylesheet paints them, so a strict content
policy holds and dark mode works.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from markupsafe import Markup, escape

BAR_WIDTH = 200.0
RANGE_WIDTH = 200.0
_HISTORY_WIDTH, _HISTORY_HEIGHT = 760.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 36.0, 30.0, 30.0
_MOST_DATES = 8
_LEAST_TOP = 0.1


@dataclass(frozen=True, slots=True)
class Piece:
    """One stretch of a bar."""

    x: float
    width: float
    colour: str


@dataclass(frozen=True, slots=True)
class BarRow:
    """One group with its bar; ``href`` filters the list by it, ``is_current`` says that it does so now."""

    label: str
    amounts: tuple[float, ...]
    pieces: tuple[Piece, ...]
    href: str | None = None
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """What :func:`bar_rows` needs of one group: a label, and an amount for each colour."""

    label: str
    amounts: tuple[float, ...]
    href: str | None = None
    is_current: bool = False


def bar_rows(groups: Sequence[Group], colours: Sequence[str] = ("red", "amber")) -> tuple[BarRow, ...]:
    """Return the groups as stacked bars on one scale, ``BAR_WIDTH`` for the longest."""
    longest = max((sum(group.amounts) for group in groups), default=0.0) or 1.0
    return tuple(
        BarRow(
            group.label,
            group.amounts,
            _stacked(group.amounts, colours, BAR_WIDTH / longest),
            group.href,
            group.is_current,
        )
        for group in groups
    )


def _stacked(amounts: Sequence[float], colours: Sequence[str], scale: float) -> tuple[Piece, ...]:
    pieces, x = [], 0.0
    for amount, colour in zip(amounts, colours, strict=True):
        # what is not nothing must be seen
        width = max(amount * scale, 1.0) if amount > 0 else 0.0
        if width:
            pieces.append(Piece(round(x, 2), round(width, 2), colour))
        x += width
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class RangeMark:
    """Where a value lies beside the usual range, on a track of ``RANGE_WIDTH``."""

    usual_x: float
    usual_width: float
    value_x: float
    says: str


def range_mark(value: object, low: float | None, high: float | None) -> RangeMark | None:
    """Return where a value lies beside the usual range; None when one of them is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or low is None or high is None:
        return None
    if not all(math.isfinite(number) for number in (value, low, high)):
        return None
    start, end = min(value, low), max(value, high)
    margin = (end - start) * 0.08 or 1.0
    scale = RANGE_WIDTH / (end - start + 2 * margin)

    def place(number: float) -> float:
        return round((number - start + margin) * scale, 1)

    where = "above the usual range" if value > high else "below the usual range" if value < low else "usual"
    return RangeMark(place(low), max(round((high - low) * scale, 1), 3.0), place(float(value)), where)


@dataclass(frozen=True, slots=True)
class Share:
    """A contribution as a bar from the middle of a track of 100: to the right when it raises the risk."""

    x: float
    width: float
    raises: bool


def shares(contributions: Sequence[float]) -> tuple[Share, ...]:
    """Return the contributions on one scale; the largest fills its half."""
    largest = max((abs(part) for part in contributions), default=0.0) or 1.0
    bars = []
    for part in contributions:
        width = round(max(abs(part) / largest * 48.0, 1.0), 1)
        bars.append(Share(50.0 if part >= 0 else round(50.0 - width, 1), width, part >= 0))
    return tuple(bars)


class Scored(Protocol):
    """An account at one run."""

    @property
    def as_of(self) -> datetime:
        """The run's instant."""
        ...

    @property
    def colour(self) -> str:
        """Its colour there."""
        ...

    @property
    def probability(self) -> float | None:
        """Its probability of churn there."""
        ...


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something to mark above the line: ``kind`` is "override", "complaint" or "review"."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """One run on the line; ``shape`` is an SVG path around its place."""

    x: float
    y: float
    colour: str
    shape: str
    says: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One occasion on the time axis."""

    x: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """The score history of an account."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    bands: tuple[Piece, ...]
    lines: tuple[str, ...]
    points: tuple[Point, ...]
    marks: tuple[Mark, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]

    @property
    def drawn_points(self) -> Markup:
        """The points as SVG; drawn here, since an account of a year has many and a template is slow at that."""
        return Markup("".join(map(_drawn, self.points)))  # noqa: S704 - escaped below


def _drawn(point: Point) -> str:
    colour, says = escape(point.colour), escape(point.says)
    return f'<path class="dot is-{colour}" d="{point.shape}"><title>{says}</title></path>'


def history_chart(past: Sequence[Scored], occasions: Sequence[Occasion] = ()) -> HistoryChart | None:
    """Return the chart of an account's scores, oldest first; None without any.

    Bands show the colour from each run to the next; a gap in the line is a run without a probability. Occasions
    before the first run or after the last widen the chart.
    """
    if not past:
        return None
    begin, end = past[0].as_of, past[-1].as_of
    for occasion in occasions:
        begin, end = min(begin, occasion.at), max(end, occasion.at)
    margin = max((end - begin) * 0.03, timedelta(days=2))
    begin, end = begin - margin, end + margin
    width = _HISTORY_WIDTH - _LEFT - _RIGHT

    def across(moment: datetime) -> float:
        return round(_LEFT + (moment - begin) / (end - begin) * width, 1)

    top = _top([point.probability for point in past])

    def up(probability: float) -> float:
        return round(_HISTORY_HEIGHT - _BOTTOM - probability / top * (_HISTORY_HEIGHT - _TOP - _BOTTOM), 1)

    points = tuple(
        _point(score, across(score.as_of), up(score.probability))
        for score in past
        if score.probability is not None
    )
    return HistoryChart(
        width=_HISTORY_WIDTH,
        height=_HISTORY_HEIGHT,
        left=_LEFT,
        right=_HISTORY_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HISTORY_HEIGHT - _BOTTOM,
        bands=_bands(past, across, across(end)),
        lines=_lines(past, across, up),
        points=points,
        marks=tuple(
            Mark(across(occasion.at), occasion.kind, f"{occasion.at:%Y-%m-%d}: {occasion.text}")
            for occasion in occasions
        ),
        across=_dates(past, across),
        up=tuple(Tick(up(step * top / 4), f"{step * top / 4:.0%}", "end") for step in range(5)),
    )


def _top(probabilities: Sequence[float | None]) -> float:
    """Return the end of the axis: a round share above the greatest, so that small risks are seen too."""
    highest = max((p for p in probabilities if p is not None), default=0.0)
    steps = (_LEAST_TOP, 0.2, 0.4, 0.6, 0.8, 1.0)
    return next((step for step in steps if highest <= step), 1.0)


def _bands(past: Sequence[Scored], across: _Across, end: float) -> tuple[Piece, ...]:
    starts = [across(score.as_of) for score in past]
    ends = [*starts[1:], end]
    return tuple(
        Piece(start, round(max(stop - start, 0.0), 1), score.colour)
        for score, start, stop in zip(past, starts, ends, strict=True)
    )


def _lines(past: Sequence[Scored], across: _Across, up: _Up) -> tuple[str, ...]:
    lines: list[list[str]] = [[]]
    for score in past:
        if score.probability is None:
            lines.append([])
        else:
            lines[-1].append(f"{across(score.as_of)},{up(score.probability)}")
    return tuple(" ".join(line) for line in lines if len(line) > 1)


def _point(score: Scored, x: float, y: float) -> Point:
    says = f"{score.as_of:%Y-%m-%d}: {score.colour}, {score.probability:.1%}"
    return Point(x, y, score.colour, _shape(score.colour, x, y), says)


def _shape(colour: str, x: float, y: float) -> str:
    """Return a triangle for red, a diamond for amber and a circle for the others: no meaning by colour alone."""
    if colour == "red":
        return f"M{x - 6:.1f} {y + 5:.1f}L{x:.1f} {y - 6:.1f}L{x + 6:.1f} {y + 5:.1f}Z"
    if colour == "amber":
        return f"M{x - 6:.1f} {y:.1f}L{x:.1f} {y - 6:.1f}L{x + 6:.1f} {y:.1f}L{x:.1f} {y + 6:.1f}Z"
    return f"M{x - 4.5:.1f} {y:.1f}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z"


def _dates(past: Sequence[Scored], across: _Across) -> tuple[Tick, ...]:
    step = max(1, math.ceil(len(past) / _MOST_DATES))
    chosen = list(past)[::-1][::step][::-1]
    return tuple(Tick(across(score.as_of), f"{score.as_of:%Y-%m-%d}") for score in chosen)


class _Across(Protocol):
    def __call__(self, moment: datetime, /) -> float: ...


class _Up(Protocol):
    def __call__(self, probability: float, /) -> float: ...
