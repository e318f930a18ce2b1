"""What the colours promised and kept, and how many accounts had them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from churnrisk.plots.canvas import HATCHES, LIGHTS, axes_or_new, by_date, finish, in_percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_promises(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what green and red promised and what happened, per snapshot, with 95 % bounds.

    Parameters
    ----------
    history : DataFrame
        One row per (as_of, colour) with ``churn_rate``, ``churn_low``, ``churn_high``, ``at_most``,
        ``at_least`` (the promise, missing where there is none) and ``outcome``; broken ones are marked.
    ax : Axes, optional
    """
    axes = axes_or_new(ax)
    for colour, style in LIGHTS.items():
        rows = history[(history["colour"] == colour) & history["churn_rate"].notna()]
        if rows.empty:
            continue
        rate = rows["churn_rate"].to_numpy(dtype=np.float64)
        around = np.maximum(np.vstack([rate - rows["churn_low"], rows["churn_high"] - rate]), 0.0)
        axes.errorbar(
            rows["as_of"],
            rate,
            yerr=around,
            fmt=f"{style.mark}{style.line}",
            color=style.colour,
            capsize=3,
            label=colour,
        )
        limit = rows["at_most"].fillna(rows["at_least"]).astype(float)
        if limit.notna().any():
            axes.plot(rows["as_of"], limit, color=style.colour, linestyle="--", label=f"{colour}, promised")
        broken = (rows["outcome"] == "broken").to_numpy()
        if broken.any():
            axes.plot(rows["as_of"][broken], rate[broken], "kx", markersize=10, label=f"{colour}, broken")
    by_date(axes)
    in_percent(axes, y=True)
    return finish(axes, "Promised and observed", "as of", "churn rate", legend_below=True)


def plot_shares(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the shares of the colours per snapshot, stacked.

    Parameters
    ----------
    history : DataFrame
        One row per (as_of, colour) with ``share``.
    ax : Axes, optional
    """
    axes = axes_or_new(ax)
    wide = history.pivot(index="as_of", columns="colour", values="share").fillna(0.0).sort_index()
    labels, floor = [f"{date:%Y-%m-%d}" for date in wide.index], np.zeros(len(wide))
    for colour, style in LIGHTS.items():
        if colour in wide:
            axes.bar(
                labels,
                wide[colour],
                bottom=floor,
                color=style.colour,
                hatch=HATCHES[colour],
                edgecolor="white",
                linewidth=0,
                label=colour,
            )
            floor = floor + wide[colour].to_numpy()
    axes.tick_params(axis="x", labelrotation=45)
    axes.set_ylim(0.0, 1.15)  # room for the legend above the bars
    in_percent(axes, y=True)
    finish(axes, "Shares of the colours", "as of", "share of accounts")
    axes.legend(frameon=False, fontsize=9, loc="upper center", ncols=len(LIGHTS))
    return axes
