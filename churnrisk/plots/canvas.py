"""What all plots share: distinguishable styles, checked outcomes, axes without pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from churnrisk.errors import ModelInputError
from churnrisk.model import Bools, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


#: For references: the base rate, chance, the ideal.
GREY = "#6b6b6b"
MISSING = "#d55e00"
SIZE = (6.0, 4.5)
_SERIES = "series"


@dataclass(frozen=True, slots=True)
class Style:
    """How one series is drawn; colour, line and mark each identify it by itself."""

    colour: str
    line: str
    mark: str

    @property
    def stroke(self) -> dict[str, Any]:
        """Arguments of matplotlib for a line without marks; it counts as a series, see :func:`next_style`."""
        return {"color": self.colour, "linestyle": self.line, "gid": _SERIES}

    @property
    def drawn(self) -> dict[str, Any]:
        """Arguments of matplotlib for a line with marks."""
        return {**self.stroke, "marker": self.mark}


# The palette of Okabe and Ito (2008), "Color universal design": distinguishable with any colour vision.
STYLES = (
    Style("#0072b2", "-", "o"),
    Style("#d55e00", "--", "s"),
    Style("#009e73", "-.", "^"),
    Style("#cc79a7", ":", "D"),
    Style("#56b4e9", "-", "v"),
    Style("#000000", "--", "P"),
    Style("#e69f00", "-.", "X"),
)
#: The marks are those of the red list: ● green, ◆ amber, ▲ red.
LIGHTS = {
    "green": Style("#009e73", "-", "o"),
    "amber": Style("#e69f00", "-", "D"),
    "red": Style("#c4320a", "-", "^"),
}
HATCHES = {"green": "", "amber": "//", "red": "xx"}


@dataclass(frozen=True, slots=True)
class Predictions:
    """What happened, the probability predicted for it, and the account of each row."""

    churned: Bools
    probability: Floats
    accounts: npt.NDArray[np.object_] | None

    @property
    def base_rate(self) -> float:
        """Churned rows per row."""
        return float(self.churned.mean())


def outcomes_of(y: npt.ArrayLike, p: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Predictions:
    """Return checked outcomes; refuse unequal lengths, missing probabilities and rows of one class."""
    churned, probability = np.asarray(y).astype(bool), np.asarray(p, dtype=np.float64)
    accounts = None if groups is None else np.asarray(groups, dtype=object)
    if churned.shape != probability.shape or (accounts is not None and accounts.shape != churned.shape):
        raise ModelInputError(
            f"expected one probability (and one account) per label, found {churned.shape} labels, "
            f"{probability.shape} probabilities{'' if accounts is None else f', {accounts.shape} accounts'}. "
            "Pass predict_proba(X)[:, 1] of the rows of y."
        )
    if np.isnan(probability).any() or churned.all() or not churned.any():
        raise ModelInputError(
            f"a picture needs a probability per row and both churned and retained rows, found "
            f"{int(np.isnan(probability).sum())} missing and {int(churned.sum())} churned of {len(churned)}. "
            "Take more or later snapshots."
        )
    return Predictions(churned, probability, accounts)


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the given axes, or those of a new figure."""
    if ax is not None:
        return ax
    # Figure instead of pyplot: no window system.
    from matplotlib.figure import Figure

    return Figure(figsize=SIZE, layout="constrained").add_subplot()


def next_style(axes: Axes) -> Style:
    """Return the style after those of the series drawn so far."""
    drawn = sum(line.get_gid() == _SERIES for line in axes.lines)
    return STYLES[drawn % len(STYLES)]


def has_label(axes: Axes, label: str) -> bool:
    """Return whether the legend has it already: what several series share is drawn once."""
    return label in axes.get_legend_handles_labels()[1]


def finish(axes: Axes, title: str, x: str, y: str, *, legend_below: bool = False) -> Axes:
    """Write title, axis labels and legend."""
    axes.set(title=title, xlabel=x, ylabel=y)
    if legend_below:
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    else:
        axes.legend(frameon=False, fontsize=9)
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def in_percent(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Write shares as percentages, with as many decimals as they have."""
    for axis in ((axes.xaxis,) if x else ()) + ((axes.yaxis,) if y else ()):
        axis.set_major_formatter(lambda share, _: f"{100 * share:.6g}%")


def by_date(axes: Axes) -> None:
    """Write dates across, short and level."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def by_root(axis: Axis, ticks: Sequence[float]) -> None:
    """Scale an axis by the square root, which gives small values room and has a place for 0."""
    axes = axis.axes
    rescale = axes.set_xscale if axis is axes.xaxis else axes.set_yscale
    rescale("function", functions=(lambda values: np.sqrt(np.maximum(values, 0.0)), np.square))
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
