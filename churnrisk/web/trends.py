"""An amount at each run or in each week, as columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from churnrisk.web.axes import Frame, a_few
from churnrisk.web.wording import day

_FRAME = Frame(width=760.0, height=220.0, left=84.0, right=724.0, top=12.0, bottom=192.0)
_WIDEST = 56.0
_STEPS = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)


def column_chart(amounts: Sequence[tuple[datetime, float]], name: str) -> Markup | None:
    """Return the amounts as columns, oldest first; None without any."""
    if not amounts:
        return None
    top = nice_top(max(amount for _, amount in amounts))
    scale = (_FRAME.bottom - _FRAME.top) / top
    room = (_FRAME.right - _FRAME.left) / len(amounts)
    middles = [round(_FRAME.left + room * (place + 0.5), 1) for place in range(len(amounts))]
    dates = [(x, day(moment)) for x, (moment, _) in zip(middles, amounts, strict=True)]
    steps = [top * step / 4 for step in range(5)]
    parts = (
        _FRAME.lines([(round(_FRAME.bottom - step * scale, 1), f"{step:,.0f}") for step in steps]),
        _FRAME.dates(a_few(dates)),
        *(
            _column(x, on, min(room * 0.7, _WIDEST), amount, scale)
            for (x, on), (_, amount) in zip(dates, amounts, strict=True)
        ),
    )
    head = f'aria-label="{name}; the table below holds the same">'
    return Markup(_FRAME.scrolled(name, head, "".join(parts)))  # noqa: S704 - numbers, dates and our own words


def _column(middle: float, on: str, width: float, amount: float, scale: float) -> str:
    place = f'x="{middle - width / 2:.1f}" y="{_FRAME.bottom - amount * scale:.1f}"'
    size = f'width="{width:.1f}" height="{amount * scale:.1f}"'
    return f'<rect class="column" {place} {size} rx="2"><title>{on}: {amount:,.0f}</title></rect>'


def nice_top(highest: float) -> float:
    """Return a round number at or above the highest amount, which four steps divide well."""
    if highest <= 0:
        return 4.0
    power = 10.0 ** math.floor(math.log10(highest))
    return float(max(4.0, next(step * power for step in _STEPS if step * power >= highest)))
