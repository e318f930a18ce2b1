"""Charts of the pages as SVG: bars, marks on a track, columns over time, the score history.

They carry classes and no colours: the stylesheet paints them, so that a strict content policy holds and dark mode
works. Charts are built here and not in templates, since templates are slow at hundreds of marks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from churnrisk.present import bars, decided, percent
from churnrisk.web.wording import BADGES, day

if TYPE_CHECKING:
    from churnrisk.team import PastScore

RANGE_WIDTH = 200.0
_TRACK = '<svg class="track-svg" viewBox="0 0 200 16" aria-hidden="true" focusable="false">'
_SHARE = (
    '<svg class="share-svg" viewBox="0 0 100 16" aria-hidden="true" focusable="false" preserveAspectRatio="none">'
    '<line class="axis" x1="50" y1="0" x2="50" y2="16"/>'
)
_MOST_DATES = 8
# What a long figure of an axis is counted in, so that it fits beside the chart.
_UNITS = ((1e12, " tn"), (1e9, " bn"), (1e6, " M"))
# Figures take a tenth of the width: the stylesheet sets that, so that they stay while the rest scrolls.
_WIDTH, _LEFT, _RIGHT = 760.0, 76.0, 724.0
#: Heights with their figures.
Steps = Sequence[tuple[float, str]]
_WIDEST_COLUMN = 56.0
_STEPS = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
_TOPS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_HEAD = (
    'aria-labelledby="history-says"><title id="history-says">Churn probability at each run; '
    "the table below holds the same</title>"
)
# No meaning by colour alone: red is a triangle, amber a diamond, the others are circles.
_SHAPES = {"red": "m-6 5l6 -11l6 11z", "amber": "m-6 0l6 -6l6 6l-6 6z"}
_CIRCLE = "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z"
_FLAGS = {"complaint": "m-6 8h12l-6 12z", "override": "m0 20v-13l11 4l-11 4z"}
_DISC = "m-5 14a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"


@dataclass(frozen=True, slots=True)
class Group:
    """A bar: its red and amber amounts; ``href`` filters by it, ``is_current`` says that the filter is set."""

    label: str
    amounts: tuple[float, float]
    href: str | None = None
    is_current: bool = False


def bar_rows(groups: Sequence[Group]) -> tuple[tuple[Group, Markup], ...]:
    """Return the groups with their bars, on one scale."""
    return tuple(zip(groups, bars([group.amounts for group in groups]), strict=True))


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark on a track as SVG, and what it says."""

    drawn: Markup
    says: str


def range_mark(value: object, low: float | None, high: float | None) -> Mark | None:
    """Draw a value beside its usual range, on a track of ``RANGE_WIDTH``; None if one of them is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or low is None or high is None:
        return None
    if not all(math.isfinite(number) for number in (value, low, high)):
        return None
    start, end = min(value, low), max(value, high)
    # Below the smallest normal number the scale would overflow.
    margin = (end - start) * 0.08 if end - start > 1e-300 else 1.0
    scale = RANGE_WIDTH / (end - start + 2 * margin)

    def place(number: float) -> float:
        return round((number - start + margin) * scale, 1)

    where = "above the usual range" if value > high else "below the usual range" if value < low else "usual"
    width = max(round((high - low) * scale, 1), 3.0)
    parts = (
        '<rect class="track" x="0" y="5" width="200" height="6" rx="3"/>',
        f'<rect class="usual" x="{place(low)}" y="3" width="{width}" height="10" rx="2"/>',
        f'<path class="here" d="M{place(float(value))} 1 l5 7 -5 7 -5 -7z"/>',
    )
    return Mark(Markup(f"{_TRACK}{''.join(parts)}</svg>"), where)  # noqa: S704 - numbers only


def shares(contributions: Sequence[float]) -> tuple[Mark, ...]:
    """Return the contributions on one scale, from the middle of a track of 100; the largest fills its half."""
    largest = max((abs(part) for part in contributions), default=0.0) or 1.0
    return tuple(_share(part, largest) for part in contributions)


def _share(part: float, largest: float) -> Mark:
    width = round(max(abs(part) / largest * 48.0, 1.0), 1)
    kind, x, says = ("raises", 50.0, "speaks for churn")
    if part < 0:
        kind, x, says = ("lowers", round(50.0 - width, 1), "speaks against")
    bar = f'<rect class="{kind}" x="{x}" y="3" width="{width}" height="10"/>'
    return Mark(Markup(f"{_SHARE}{bar}</svg>"), says)  # noqa: S704 - numbers only


def rate_mark(rate: float, low: float, high: float, limit: float | None, *, top: float) -> Markup:
    """Draw a churn rate between 0 and ``top`` with its bounds, and the promise as a line."""

    def place(share: float) -> float:
        return round(min(share / top, 1.0) * (RANGE_WIDTH - 8) + 4, 1)

    width = max(round(place(high) - place(low), 1), 1.0)
    parts = [
        '<rect class="track" x="0" y="6" width="200" height="4" rx="2"/>',
        f'<rect class="bounds" x="{place(low)}" y="4" width="{width}" height="8" rx="2"/>',
        f'<path class="here" d="M{place(rate)} 2 l4 6 -4 6 -4 -6z"/>',
    ]
    if limit is not None:
        parts.append(f'<line class="limit" x1="{place(limit)}" x2="{place(limit)}" y1="0" y2="16"/>')
    return Markup(f"{_TRACK}{''.join(parts)}</svg>")  # noqa: S704 - numbers only


@dataclass(frozen=True, slots=True)
class Frame:
    """Height of a chart over time and of its ground, in units of its SVG."""

    height: float
    top: float
    bottom: float

    def lines(self, steps: Steps) -> str:
        """Return grid lines, each at a height."""
        return "".join(f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>' for y, _ in steps)

    def dates(self, dates: Sequence[tuple[float, str]]) -> str:
        """Return at most eight of the dates below the chart, the last among them, so that none overlap."""
        step = -(-len(dates) // _MOST_DATES) or 1
        below = self.bottom + 19
        return "".join(
            f'<text x="{x}" y="{below}" text-anchor="middle">{text}</text>'
            for x, text in dates[(len(dates) - 1) % step :: step]
        )

    def scrolled(self, name: str, head: str, steps: Steps, drawn: str) -> Markup:
        """Return a chart that scrolls beside its figures; ``head`` is the attributes and title of the SVG."""
        # what scrolls disappears behind the ground, but for a date below, which may reach over the edge
        ground = f'<rect class="ground" width="{_LEFT}" height="{self.bottom + 8}"/>'
        figures = ground + "".join(
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{text}</text>' for y, text in steps
        )
        box = f'viewBox="0 0 {_LEFT} {self.height}" class="figures"'
        size = f'viewBox="{_LEFT} 0 {_WIDTH - _LEFT} {self.height}" class="history" role="img"'
        return Markup(  # noqa: S704 - escaped by the caller
            f'<div class="scroll" tabindex="0" role="region" aria-label="{name}, drawn"><div class="over-time">'
            f'<svg {box} aria-hidden="true" focusable="false">{figures}</svg><svg {size} {head}{drawn}</svg>'
            "</div></div>"
        )


_COLUMNS = Frame(height=220.0, top=12.0, bottom=192.0)
_HISTORY = Frame(height=250.0, top=30.0, bottom=220.0)
_INSIDE = _HISTORY.bottom - _HISTORY.top


def column_chart(amounts: Sequence[tuple[datetime, float]], name: str) -> Markup | None:
    """Return the amounts, oldest first, as columns; None without any."""
    if not amounts:
        return None
    top = nice_top(max(amount for _, amount in amounts))
    scale = (_COLUMNS.bottom - _COLUMNS.top) / top
    room = (_RIGHT - _LEFT) / len(amounts)
    middles = [round(_LEFT + room * (place + 0.5), 1) for place in range(len(amounts))]
    dates = [(x, day(moment)) for x, (moment, _) in zip(middles, amounts, strict=True)]
    unit, sign = next((one for one in _UNITS if top >= one[0]), (1.0, ""))
    heights = [top * step / 4 for step in range(5)]
    steps = [(round(_COLUMNS.bottom - y * scale, 1), f"{y / unit:,.6g}{sign if y else ''}") for y in heights]
    parts = (
        _COLUMNS.lines(steps),
        _COLUMNS.dates(dates),
        *(
            _column(x, on, min(room * 0.7, _WIDEST_COLUMN), amount, scale)
            for (x, on), (_, amount) in zip(dates, amounts, strict=True)
        ),
    )
    head = f'aria-label="{name}; the table below holds the same">'
    return _COLUMNS.scrolled(name, head, steps, "".join(parts))


def _column(middle: float, on: str, width: float, amount: float, scale: float) -> str:
    place = f'x="{middle - width / 2:.1f}" y="{_COLUMNS.bottom - amount * scale:.1f}"'
    size = f'width="{width:.1f}" height="{amount * scale:.1f}"'
    return f'<rect class="column" {place} {size} rx="2"><title>{on}: {amount:,.0f}</title></rect>'


def nice_top(highest: float) -> float:
    """Return a round number at or above the highest amount, which four steps divide well."""
    if highest <= 0:
        return 4.0
    power = 10.0 ** math.floor(math.log10(highest))
    return float(max(4.0, next(step * power for step in _STEPS if step * power >= highest)))


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something to mark above the score history: ``kind`` is "override", "complaint" or "review"."""

    at: datetime
    kind: str
    text: str

    @property
    def says(self) -> str:
        """Its text, with the day."""
        return f"{day(self.at)}: {self.text}"


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """A score history as SVG, and its marks in words."""

    drawn: Markup
    marks: tuple[str, ...]


def history_chart(history: Sequence[PastScore], occasions: Sequence[Occasion] = ()) -> HistoryChart | None:
    """Return the chart of an account's scores, oldest first; None if it never had a probability.

    Bands show the colour from each run to the next; a gap in the line is a run without a probability. Occasions
    before the first run or after the last widen the chart.
    """
    known = [score.churn_probability for score in history if score.churn_probability is not None]
    if not known:
        return None
    moments = [history[0].as_of, history[-1].as_of, *(occasion.at for occasion in occasions)]
    begin, end = min(moments), max(moments)
    margin = max((end - begin) * 0.03, timedelta(days=2))
    per_second = (_RIGHT - _LEFT) / (end - begin + 2 * margin).total_seconds()

    def place(moment: datetime) -> float:
        return round(_LEFT + (moment - begin + margin).total_seconds() * per_second, 1)

    # the axis ends at a round share above the greatest, so that small risks are visible too
    top = next((step for step in _TOPS if max(known) <= step), 1.0)
    places = [place(score.as_of) for score in history]
    days = [(x, day(score.as_of)) for x, score in zip(places, history, strict=True)]
    parts = (
        _bands(history, places),
        _HISTORY.lines(_shares(top)),
        _HISTORY.dates(days),
        *(_mark(place(one.at), one) for one in occasions),
        *_line(history, days, top),
    )
    drawn = _HISTORY.scrolled("Score history", _HEAD, _shares(top), "".join(parts))
    return HistoryChart(drawn, tuple(one.says for one in occasions))


def history_rows(history: Sequence[PastScore]) -> Markup:
    """Return the runs as rows of a table, the latest first."""
    return Markup("".join(map(_row, history[::-1])))  # noqa: S704 - escaped below


def _row(score: PastScore) -> str:
    run = f'<th scope="row" class="plain-weight nowrap">{day(score.as_of)}</th>'
    probability = f'<td class="number">{percent(score.churn_probability)}</td>'
    decider = escape(decided(score.decided_by, score.rule))
    return f"<tr>{run}<td>{BADGES[score.colour]}</td>{probability}<td>{decider}</td></tr>"


@cache
def _shares(top: float) -> Steps:
    steps = [top * step / 4 for step in range(5)]
    return [(_HISTORY.bottom - share / top * _INSIDE, f"{share:.0%}") for share in steps]


def _bands(history: Sequence[PastScore], places: Sequence[float]) -> str:
    """Return one band for as long as a colour lasted; the last one reaches to the edge."""
    coloured = zip((score.colour for score in history), places, strict=True)
    starts = [(colour, next(group)[1]) for colour, group in groupby(coloured, lambda it: it[0])]
    ends = [*(start for _, start in starts[1:]), _RIGHT]
    return "".join(
        f'<rect class="band is-{escape(colour)}" x="{start}" y="{_HISTORY.top}" '
        f'width="{end - start:.1f}" height="{_INSIDE}"/>'
        for (colour, start), end in zip(starts, ends, strict=True)
    )


def _line(history: Sequence[PastScore], days: Sequence[tuple[float, str]], top: float) -> list[str]:
    """Return the lines from run to run, and a labelled point on each run."""
    stretches: list[list[str]] = [[]]
    points = []
    for score, (x, on) in zip(history, days, strict=True):
        if score.churn_probability is None:
            stretches.append([])
            continue
        y = round(_HISTORY.bottom - score.churn_probability * (_INSIDE / top), 1)
        colour = escape(score.colour)
        stretches[-1].append(f"{x},{y}")
        shape = _SHAPES.get(score.colour, _CIRCLE)
        says = f"{on}: {colour}, {score.churn_probability:.1%}"
        points.append(f'<path class="dot is-{colour}" d="M{x} {y}{shape}"><title>{says}</title></path>')
    lines = [f'<polyline class="line" points="{" ".join(one)}"/>' for one in stretches if len(one) > 1]
    return lines + points


def _mark(x: float, occasion: Occasion) -> str:
    kind, shape = escape(occasion.kind), _FLAGS.get(occasion.kind, _DISC)
    line = f'<line class="event is-{kind}" x1="{x}" x2="{x}" y1="20" y2="{_HISTORY.bottom}"/>'
    drawn = f'<path class="event-mark is-{kind}" d="M{x} 0{shape}"/>'
    return f"<g><title>{escape(occasion.says)}</title>{line}{drawn}</g>"
