"""Small drawings beside words: a value in its usual range, a weight, a rate with its bounds, bars that filter.

Like all drawings of the pages they carry classes and no colours: the stylesheet paints them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from churnrisk.report.bars import bars

RANGE_WIDTH = 200.0
_TRACK = '<svg class="track-svg" viewBox="0 0 200 16" aria-hidden="true" focusable="false">'
_SHARE = (
    '<svg class="share-svg" viewBox="0 0 100 16" aria-hidden="true" focusable="false" preserveAspectRatio="none">'
    '<line class="axis" x1="50" y1="0" x2="50" y2="16"/>'
)


@dataclass(frozen=True, slots=True)
class Group:
    """A label with its red and amber amounts; ``href`` filters by it, ``is_current`` says that it does so now."""

    label: str
    amounts: tuple[float, float]
    href: str | None = None
    is_current: bool = False


def bar_rows(groups: Sequence[Group]) -> tuple[tuple[Group, Markup], ...]:
    """Return the groups with their bars, on one scale."""
    return tuple(zip(groups, bars([group.amounts for group in groups]), strict=True))


@dataclass(frozen=True, slots=True)
class RangeMark:
    """Where a value lies beside the usual range, on a track of ``RANGE_WIDTH``."""

    usual_x: float
    usual_width: float
    value_x: float
    says: str

    @property
    def drawn(self) -> Markup:
        """The track with the range and the value."""
        usual = (
            f'<rect class="usual" x="{self.usual_x}" y="3" width="{self.usual_width}" height="10" rx="2"/>'
        )
        track = '<rect class="track" x="0" y="5" width="200" height="6" rx="3"/>'
        here = f'<path class="here" d="M{self.value_x} 1 l5 7 -5 7 -5 -7z"/>'
        return Markup(f"{_TRACK}{track}{usual}{here}</svg>")  # noqa: S704 - numbers only


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

    @property
    def drawn(self) -> Markup:
        """The bar with its axis."""
        kind = "raises" if self.raises else "lowers"
        bar = f'<rect class="{kind}" x="{self.x}" y="3" width="{self.width}" height="10"/>'
        return Markup(f"{_SHARE}{bar}</svg>")  # noqa: S704 - numbers only


def shares(contributions: Sequence[float]) -> tuple[Share, ...]:
    """Return the contributions on one scale; the largest fills its half."""
    largest = max((abs(part) for part in contributions), default=0.0) or 1.0
    drawn = []
    for part in contributions:
        width = round(max(abs(part) / largest * 48.0, 1.0), 1)
        drawn.append(Share(50.0 if part >= 0 else round(50.0 - width, 1), width, part >= 0))
    return tuple(drawn)


@dataclass(frozen=True, slots=True)
class RateMark:
    """A churn rate with its bounds, and the promise as a line, on a track of ``RANGE_WIDTH``."""

    low_x: float
    width: float
    rate_x: float
    limit_x: float | None

    @property
    def drawn(self) -> Markup:
        """The track with bounds, rate and promise."""
        x = self.limit_x
        parts = (
            '<rect class="track" x="0" y="6" width="200" height="4" rx="2"/>',
            f'<rect class="bounds" x="{self.low_x}" y="4" width="{self.width}" height="8" rx="2"/>',
            f'<path class="here" d="M{self.rate_x} 2 l4 6 -4 6 -4 -6z"/>',
            "" if x is None else f'<line class="limit" x1="{x}" x2="{x}" y1="0" y2="16"/>',
        )
        return Markup(f"{_TRACK}{''.join(parts)}</svg>")  # noqa: S704 - numbers only


def rate_mark(rate: float, low: float, high: float, limit: float | None, *, top: float) -> RateMark:
    """Return where a rate lies between 0 and ``top``."""

    def place(share: float) -> float:
        return round(min(share / top, 1.0) * (RANGE_WIDTH - 8) + 4, 1)

    return RateMark(
        place(low),
        max(round(place(high) - place(low), 1), 1.0),
        place(rate),
        None if limit is None else place(limit),
    )
