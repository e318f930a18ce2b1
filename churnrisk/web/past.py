"""The past of an account as a chart and as rows of a table.

Both are drawn here and not in a template: an account of a year has many runs, and a template is slow at that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Protocol

from markupsafe import Markup, escape

from churnrisk.web.axes import Frame, a_few
from churnrisk.web.wording import BADGES, day, percent

_FRAME = Frame(width=760.0, height=250.0, left=44.0, right=724.0, top=30.0, bottom=220.0)
_INSIDE = _FRAME.bottom - _FRAME.top
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
_DECIDED = {
    "model": "by the model",
    "rule": "by a rule",
    "override": "by a person",
    "hysteresis": "kept until the model is sure",
    "eligibility": "not enough data",
}


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
    def churn_probability(self) -> float | None:
        """Its probability of churn there."""
        ...

    @property
    def decided_by(self) -> str:
        """What had the last word on the colour."""
        ...

    @property
    def rule(self) -> str | None:
        """The rule, where one had it."""
        ...


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something to mark above the line: ``kind`` is "override", "complaint" or "review"."""

    at: datetime
    kind: str
    text: str

    @property
    def says(self) -> str:
        """What it is, with its day."""
        return f"{day(self.at)}: {self.text}"


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """The drawing of a past, and what its marks say."""

    drawn: Markup
    marks: tuple[str, ...]


class _Scale:
    """Places in the chart: time goes to the right, risk goes up."""

    def __init__(self, begin: datetime, end: datetime, top: float) -> None:
        margin = max((end - begin) * 0.03, timedelta(days=2))
        self._begin = begin - margin
        self._per_second = (_FRAME.right - _FRAME.left) / (end - begin + 2 * margin).total_seconds()
        self._per_share = _INSIDE / top

    def across(self, moment: datetime) -> float:
        return round(_FRAME.left + (moment - self._begin).total_seconds() * self._per_second, 1)

    def up(self, probability: float) -> float:
        return round(_FRAME.bottom - probability * self._per_share, 1)


def history_chart(past: Sequence[Scored], occasions: Sequence[Occasion] = ()) -> HistoryChart | None:
    """Return the chart of an account's scores, oldest first; None where it has never had a probability.

    Bands show the colour from each run to the next; a gap in the line is a run without a probability. Occasions
    before the first run or after the last widen the chart.
    """
    known = [score.churn_probability for score in past if score.churn_probability is not None]
    if not known:
        return None
    moments = [past[0].as_of, past[-1].as_of, *(occasion.at for occasion in occasions)]
    # the axis ends at a round share above the greatest, so that small risks are seen too
    top = next((step for step in _TOPS if max(known) <= step), 1.0)
    scale = _Scale(min(moments), max(moments), top)
    places = [scale.across(score.as_of) for score in past]
    days = [(x, day(score.as_of)) for x, score in zip(places, past, strict=True)]
    parts = (
        _bands(past, places),
        _grid(top),
        _FRAME.dates(a_few(days)),
        *(_mark(scale.across(one.at), one) for one in occasions),
        *_line(past, days, scale),
    )
    drawn = _FRAME.scrolled("Score history", _HEAD, "".join(parts))
    return HistoryChart(Markup(drawn), tuple(one.says for one in occasions))  # noqa: S704 - escaped below


def past_rows(past: Sequence[Scored]) -> Markup:
    """Return the runs as rows of a table, the latest first."""
    return Markup("".join(map(_row, past[::-1])))  # noqa: S704 - escaped below


def decided(score: Scored) -> str:
    """Return what had the last word on a colour."""
    if score.decided_by == "rule" and score.rule:
        return f"by the rule {score.rule.replace('_', ' ')}"
    return _DECIDED.get(str(score.decided_by), str(score.decided_by))


def _row(score: Scored) -> str:
    head = (
        f'<th scope="row" class="plain-weight nowrap">{day(score.as_of)}</th><td>{BADGES[score.colour]}</td>'
    )
    rest = f'<td class="number">{percent(score.churn_probability)}</td><td>{escape(decided(score))}</td>'
    return f"<tr>{head}{rest}</tr>"


@cache
def _grid(top: float) -> str:
    shares = [top * step / 4 for step in range(5)]
    return _FRAME.lines([(_FRAME.bottom - share / top * _INSIDE, f"{share:.0%}") for share in shares])


def _bands(past: Sequence[Scored], places: Sequence[float]) -> str:
    """Return one band for as long as a colour lasted; the last one goes on to the end."""
    starts = [
        (colour, next(group)[1]) for colour, group in groupby(_coloured(past, places), lambda it: it[0])
    ]
    ends = [*(start for _, start in starts[1:]), _FRAME.right]
    return "".join(
        f'<rect class="band is-{escape(colour)}" x="{start}" y="{_FRAME.top}" '
        f'width="{end - start:.1f}" height="{_INSIDE}"/>'
        for (colour, start), end in zip(starts, ends, strict=True)
    )


def _coloured(past: Sequence[Scored], places: Sequence[float]) -> zip[tuple[str, float]]:
    return zip((score.colour for score in past), places, strict=True)


def _line(past: Sequence[Scored], days: Sequence[tuple[float, str]], scale: _Scale) -> list[str]:
    """Return the lines from run to run, and a point with its words on each of them."""
    stretches: list[list[str]] = [[]]
    points = []
    for score, (x, on) in zip(past, days, strict=True):
        if score.churn_probability is None:
            stretches.append([])
            continue
        y, colour = scale.up(score.churn_probability), escape(score.colour)
        stretches[-1].append(f"{x},{y}")
        shape = _SHAPES.get(score.colour, _CIRCLE)
        says = f"{on}: {colour}, {score.churn_probability:.1%}"
        points.append(f'<path class="dot is-{colour}" d="M{x} {y}{shape}"><title>{says}</title></path>')
    lines = [f'<polyline class="line" points="{" ".join(one)}"/>' for one in stretches if len(one) > 1]
    return lines + points


def _mark(x: float, occasion: Occasion) -> str:
    kind, shape = escape(occasion.kind), _FLAGS.get(occasion.kind, _DISC)
    line = f'<line class="event is-{kind}" x1="{x}" x2="{x}" y1="20" y2="{_FRAME.bottom}"/>'
    drawn = f'<path class="event-mark is-{kind}" d="M{x} 0{shape}"/>'
    return f"<g><title>{escape(occasion.says)}</title>{line}{drawn}</g>"
