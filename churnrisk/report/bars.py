"""Red and amber bars as SVG for pages and reports: classes instead of colours, and amber hatched as well."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

#: Width of the longest bar in units of the drawing.
WIDTH = 200.0
_START = (
    '<svg class="bar" viewBox="0 0 200 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
)
#: The pattern over amber, once per page.
HATCH = Markup(
    '<svg width="0" height="0" class="defs" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs></svg>'
)


def bars(amounts: Sequence[tuple[float, float]]) -> list[Markup]:
    """Return each pair of red and amber as a bar, all on one scale."""
    scale = WIDTH / (max((red + amber for red, amber in amounts), default=0.0) or 1.0)
    return [_drawn(red * scale, amber * scale) for red, amber in amounts]


def _drawn(red: float, amber: float) -> Markup:
    red = min(_seen(red), WIDTH - (1.0 if amber > 0 else 0.0))
    amber = min(_seen(amber), WIDTH - red)
    pieces = (
        _piece(0.0, red, 'class="is-red"'),
        _piece(red, amber, 'class="is-amber"'),
        _piece(red, amber, 'fill="url(#hatch)"'),
    )
    return Markup(f"{_START}{''.join(pieces)}</svg>")  # noqa: S704 - numbers only


def _seen(width: float) -> float:
    """Widen a bar until it can be seen."""
    return max(width, 1.0) if width > 0 else 0.0


def _piece(x: float, width: float, paint: str) -> str:
    return f'<rect {paint} x="{x:.2f}" width="{width:.2f}" height="10"/>' if width else ""
