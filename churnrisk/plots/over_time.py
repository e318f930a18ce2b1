"""Plots over time: survival and retention, drift, promises and shares of the colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ContractError
from churnrisk.model import LARGE, SOME, KaplanMeier, drift_by_snapshot
from churnrisk.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MONTH = 365.25 / 12
_DRIFT_TICKS = (0, SOME, LARGE, 0.5, 1, 2, 3, 5, 8, 12, 20)


def plot_survival(
    lifetimes: pd.DataFrame,
    *,
    by: npt.ArrayLike | pd.Series | None = None,
    name: str = "all accounts",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of customers still there over their days of life, after Kaplan and Meier, with 95 % bands.

    A curve begins where its accounts begin to be seen.

    Parameters
    ----------
    lifetimes : DataFrame
        One row per account with ``days``, ``lost`` and, where some lives are seen only from a later day on,
        ``entered``: see :func:`churnrisk.snapshots.lifetimes`.
    by : array-like of shape (n,), optional
        What accounts have in common, such as the quarter of their sign-up: one curve each, in sorted order.
    name, ax : str, Axes, optional
        Name in the legend without `by`; axes to draw on.

    Raises
    ------
    ContractError
        When a column is missing or a number of days makes no sense.
    """
    _require(lifetimes, "days", "lost")
    axes = canvas.axes_or_new(ax)
    kinds = np.full(len(lifetimes), name) if by is None else np.asarray(by).astype(str)
    for kind in np.unique(kinds):
        _survival(axes, _estimate(lifetimes[kinds == kind]), str(kind))
    axes.set_ylim(0, 1.02)
    canvas.in_percent(axes, y=True)
    return canvas.finish(axes, "Customers still there", "days since sign-up", "share still there")


def plot_retention(
    lifetimes: pd.DataFrame, *, months: int = 12, cohorts: int = 12, ax: Axes | None = None
) -> Axes:
    """Draw the share still there after each month of life, one row per month of sign-up.

    Each row is a separate Kaplan-Meier estimate; cells that the data do not reach are empty.

    Parameters
    ----------
    lifetimes : DataFrame
        One row per account with ``began_at``, ``days``, ``lost`` and optionally ``entered``.
    months, cohorts : int, default 12
        Months of life to show, and latest months of sign-up, of those that are a month old.
    ax : Axes, optional

    Raises
    ------
    ContractError
        When a column is missing, a number of days makes no sense, or no account has been seen for a month.
    """
    _require(lifetimes, "began_at", "days", "lost")
    axes = canvas.axes_or_new(ax)
    signed_up = lifetimes["began_at"].dt.to_period("M")
    ages = np.arange(1, months + 1)
    shown = sorted(signed_up[lifetimes["days"] >= _MONTH].unique())[-cohorts:]
    if not shown:
        raise ContractError(
            f"retention is shown by month: expected lives of a month or more, found none among {len(lifetimes):,}. "
            "Bring a longer history."
        )
    groups = [lifetimes[signed_up == month] for month in shown]
    shares = np.array([_estimate(group).at(ages * _MONTH) for group in groups])
    # at least ten points: a scale of one or two would exaggerate chance
    least = float(np.nanmin(shares, initial=0.9))
    axes.pcolormesh(np.ma.masked_invalid(shares), cmap="cividis", vmin=least, vmax=1, edgecolors="white")
    for row, column in np.argwhere(~np.isnan(shares)):
        share = shares[row, column]
        ink = "white" if share < (least + 1) / 2 else "black"
        axes.text(
            column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=ink
        )
    axes.set_xticks(ages - 0.5, [str(age) for age in ages])
    labels = [f"{month} ({len(group)})" for month, group in zip(shown, groups, strict=True)]
    axes.set_yticks(np.arange(len(shown)) + 0.5, labels)
    axes.invert_yaxis()
    axes.set(
        title="Customers still there, %", xlabel="months since sign-up", ylabel="month of sign-up (accounts)"
    )
    return axes


def _survival(axes: Axes, found: KaplanMeier, name: str) -> None:
    style = canvas.next_style(axes)
    days = np.concatenate([[found.since], found.days, [found.until]])
    survival, low, high = (
        np.concatenate([[1.0], part, part[-1:] if len(part) else [1.0]])
        for part in (found.survival, found.low, found.high)
    )
    label = f"{name} ({found.accounts:,}, {found.lost.sum():,.0f} lost)"
    marks = max(1, len(days) // 8)
    axes.step(days, survival, where="post", **style.drawn, markevery=marks, markersize=4, label=label)
    axes.fill_between(days, low, high, step="post", color=style.colour, alpha=0.15, linewidth=0)


def _estimate(lives: pd.DataFrame) -> KaplanMeier:
    return KaplanMeier.fit(lives["days"], lives["lost"], entered=lives.get("entered"))


def _require(lifetimes: pd.DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in lifetimes]
    if missing:
        raise ContractError(
            f"expected one life per account with the columns {', '.join(columns)}, found no {', '.join(missing)}. "
            "Pass what project.lifetimes() returns."
        )


def plot_drift(X: pd.DataFrame, *, top: int = 5, ax: Axes | None = None) -> Axes:
    """Draw the population stability index of each signal against the first snapshot, over the snapshots.

    The axis is scaled by the square root: a signal whose window is still filling drifts far.

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
    axes, drift = canvas.axes_or_new(ax), drift_by_snapshot(X)
    moved = drift.max().sort_values(ascending=False)
    named = moved.index[: min(top, len(canvas.STYLES))]
    axes.plot(drift.index, drift[moved.index[len(named) :]], color=canvas.GREY, linewidth=0.6, alpha=0.5)
    for name, style in zip(named, canvas.STYLES, strict=False):
        axes.plot(drift.index, drift[name], label=str(name), **style.drawn)
    for limit, words in {SOME: "worth a look", LARGE: "large"}.items():
        axes.axhline(limit, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(words, (0.01, limit), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    highest = max(1.5 * LARGE, 1.1 * float(moved.iloc[0]))
    canvas.by_root(axes.yaxis, [tick for tick in _DRIFT_TICKS if tick <= highest])
    axes.set_ylim(0, highest)
    canvas.by_date(axes)
    return canvas.finish(
        axes, "Drift since the first snapshot", "as of", "population stability index", legend_below=True
    )


def plot_promises(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw promised and observed churn rates of green and red per snapshot, with 95 % bounds.

    Parameters
    ----------
    history : DataFrame
        One row per (as_of, colour) with ``churn_rate``, ``churn_low``, ``churn_high``, ``at_most``,
        ``at_least`` (the promise, missing where there is none) and ``outcome``; broken ones are marked.
    ax : Axes, optional
    """
    axes = canvas.axes_or_new(ax)
    for colour, style in canvas.LIGHTS.items():
        rows = history[(history["colour"] == colour) & history["churn_rate"].notna()]
        if rows.empty:
            continue
        rate = rows["churn_rate"].to_numpy(dtype=np.float64)
        around = np.maximum(np.vstack([rate - rows["churn_low"], rows["churn_high"] - rate]), 0.0)
        axes.errorbar(rows["as_of"], rate, yerr=around, capsize=3, label=colour, **style.drawn)
        limit = rows["at_most"].fillna(rows["at_least"]).astype(float)
        if limit.notna().any():
            axes.plot(rows["as_of"], limit, color=style.colour, linestyle="--", label=f"{colour}, promised")
        broken = (rows["outcome"] == "broken").to_numpy()
        if broken.any():
            axes.plot(rows["as_of"][broken], rate[broken], "kx", markersize=10, label=f"{colour}, broken")
    canvas.by_date(axes)
    canvas.in_percent(axes, y=True)
    return canvas.finish(axes, "Promised and observed", "as of", "churn rate", legend_below=True)


def plot_shares(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the shares of the colours per snapshot, stacked.

    Parameters
    ----------
    history : DataFrame
        One row per (as_of, colour) with ``share``.
    ax : Axes, optional
    """
    axes = canvas.axes_or_new(ax)
    wide = history.pivot(index="as_of", columns="colour", values="share").fillna(0.0).sort_index()
    labels, floor = [f"{date:%Y-%m-%d}" for date in wide.index], np.zeros(len(wide))
    for colour, style in canvas.LIGHTS.items():
        if colour in wide:
            axes.bar(
                labels,
                wide[colour],
                bottom=floor,
                color=style.colour,
                hatch=canvas.HATCHES[colour],
                edgecolor="white",
                linewidth=0,
                label=colour,
            )
            floor = floor + wide[colour].to_numpy()
    axes.tick_params(axis="x", labelrotation=45)
    axes.set_ylim(0.0, 1.15)  # room for the legend above the bars
    canvas.in_percent(axes, y=True)
    canvas.finish(axes, "Shares of the colours", "as of", "share of accounts")
    axes.legend(frameon=False, fontsize=9, loc="upper center", ncols=len(canvas.LIGHTS))
    return axes
