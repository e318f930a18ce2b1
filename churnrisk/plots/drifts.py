"""Which signals have moved since the first snapshot, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.monitoring.drift import LARGE, SOME, drift_by_snapshot
from churnrisk.plots.canvas import GREY, STYLES, axes_or_new, by_date, by_root, finish

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_TICKS = (0, SOME, LARGE, 0.5, 1, 2, 3, 5, 8, 12, 20)


def plot_drift(X: pd.DataFrame, *, top: int = 5, ax: Axes | None = None) -> Axes:
    """Draw the population stability index of each signal against the first snapshot, over the snapshots.

    The axis is scaled by the square root: a signal whose window is still filling up moves far.

    Parameters
    ----------
    X : DataFrame of shape (n, d)
        Rows of a panel, with index (account_id, as_of).
    top : int, default 5
        The signals that moved most are named, at most seven; the others are grey.
    ax : Axes, optional

    Raises
    ------
    ContractError
        When `X` has no as-of dates, or fewer than two.
    """
    axes, drift = axes_or_new(ax), drift_by_snapshot(X)
    moved = drift.max().sort_values(ascending=False)
    named = moved.index[: min(top, len(STYLES))]
    axes.plot(drift.index, drift[moved.index[len(named) :]], color=GREY, linewidth=0.6, alpha=0.5)
    for name, style in zip(named, STYLES, strict=False):
        axes.plot(
            drift.index,
            drift[name],
            color=style.colour,
            linestyle=style.line,
            marker=style.mark,
            label=str(name),
        )
    for limit, words in {SOME: "worth a look", LARGE: "large"}.items():
        axes.axhline(limit, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(words, (0.01, limit), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    highest = max(1.5 * LARGE, 1.1 * float(moved.iloc[0]))
    by_root(axes.yaxis, [tick for tick in _TICKS if tick <= highest])
    axes.set_ylim(0, highest)
    by_date(axes)
    return finish(
        axes, "Drift since the first snapshot", "as of", "population stability index", legend_below=True
    )
