"""Does it happen as often as it was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from churnrisk.decision.exposure import account_codes, churn_levels, tally_of
from churnrisk.model.metrics import equal_count_bins
from churnrisk.model.panel import Floats
from churnrisk.plots.canvas import (
    GREY,
    axes_or_new,
    by_root,
    count_series,
    finish,
    has_label,
    in_percent,
    next_style,
)
from churnrisk.plots.rows import Outcomes, outcomes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ONE_SIDED = 0.975
_TICKS = (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


def plot_calibration(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    bins: int = 10,
    name: str = "model",
    ax: Axes | None = None,
) -> Axes:
    """Draw the churn rate over the mean probability in bins of equal count, with 95 % intervals.

    Both axes are scaled by the square root, since most accounts have a small probability.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    groups : array-like of shape (n,), optional
        Account ids, which the intervals then count instead of rows (:mod:`churnrisk.decision.exposure`);
        without them every row is an account, and the intervals are those of Clopper and Pearson (1934).
    bins : int, default 10
    name : str, default "model"
        For the legend.
    ax : Axes, optional

    Raises
    ------
    ModelInputError
        When lengths differ, a probability is missing, or the rows lack a class.
    """
    rows, axes = outcomes_of(y, p, groups), axes_or_new(ax)
    said, rate, around = _bins(rows, bins)
    style, top = next_style(axes), min(1.0, 1.05 * float(max(said.max(), (rate + around[1]).max())))
    if has_label(axes, "perfect"):
        top = max(top, axes.get_xlim()[1])
    else:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    drawn = axes.errorbar(
        said,
        rate,
        yerr=around,
        color=style.colour,
        linestyle=style.line,
        marker=style.mark,
        capsize=3,
        label=f"{name}: churn rate, 95 %",
    )
    count_series(drawn.lines[0])
    for axis in (axes.xaxis, axes.yaxis):
        by_root(axis, [tick for tick in _TICKS if tick <= top])
    axes.set(xlim=(0, top), ylim=(0, top))
    in_percent(axes, x=True, y=True)
    return finish(axes, "Calibration", "mean predicted probability", "churn rate")


def _bins(rows: Outcomes, bins: int) -> tuple[Floats, Floats, Floats]:
    """Return mean probability and churn rate per bin, and how far the interval reaches below and above."""
    member = equal_count_bins(rows.probability, bins)
    counts = np.bincount(member)
    said = np.bincount(member, weights=rows.probability) / counts
    rate = np.bincount(member, weights=rows.churned) / counts
    accounts, y = account_codes(rows.accounts, len(member)), rows.churned.astype(np.int64)
    levels = churn_levels(accounts, y)
    tallies = [tally_of(member == number, accounts, y, levels=levels) for number in range(len(counts))]
    low = np.array([tally.lower(_ONE_SIDED)[0] for tally in tallies])
    high = np.array([tally.upper(_ONE_SIDED)[0] for tally in tallies])
    # Rounding may put a bound past the rate by a last digit.
    return said, rate, np.maximum(np.vstack([rate - low, high - rate]), 0.0)
