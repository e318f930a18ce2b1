"""The frame of a chart over time: its size, the lines and figures on the left, the dates below.

Like all drawings of the pages it carries classes and no colours: the stylesheet paints them, so that a strict
content policy holds and dark mode works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_MOST_DATES = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """Size of a drawing and the edges of what is drawn in it, in units of its SVG."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    def lines(self, steps: Sequence[tuple[float, str]]) -> str:
        """Return lines across the chart, each at a height and with its figure on the left."""
        return "".join(
            f'<line class="axis" x1="{self.left}" x2="{self.right}" y1="{y}" y2="{y}"/>'
            f'<text x="{self.left - 6}" y="{y + 4}" text-anchor="end">{text}</text>'
            for y, text in steps
        )

    def dates(self, dates: Sequence[tuple[float, str]]) -> str:
        """Return dates below the chart, each at its place."""
        below = self.bottom + 19
        return "".join(f'<text x="{x}" y="{below}" text-anchor="middle">{text}</text>' for x, text in dates)

    def scrolled(self, name: str, head: str, drawn: str) -> str:
        """Return a drawing in a frame that can be scrolled; ``head`` are the attributes and title of the SVG."""
        region = f'<div class="scroll" tabindex="0" role="region" aria-label="{name}, drawn">'
        size = f'viewBox="0 0 {self.width} {self.height}" class="history" role="img"'
        return f"{region}<svg {size} {head}{drawn}</svg></div>"


def a_few(every: Sequence[T]) -> Sequence[T]:
    """Return every so many of them, the last among them, so that their dates can be written side by side."""
    step = -(-len(every) // _MOST_DATES) or 1
    return every[(len(every) - 1) % step :: step]
