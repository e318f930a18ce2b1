"""When customers leave: the share still there by days of life, all together or by what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ContractError
from churnrisk.model.kaplan_meier import KaplanMeier
from churnrisk.plots.canvas import axes_or_new, count_series, finish, in_percent, next_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MONTH = 365.25 / 12


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
        One row per account with ``days``, ``lost`` and, if some lives are seen from a later day on only,
        ``entered``: see :func:`churnrisk.snapshots.lifetimes`.
    by : array-like of shape (n,), optional
        What accounts have in common, such as the quarter of their sign-up: one curve for each, in sorted order.
    name : str, default "all accounts"
        For the legend, without `by`.
    ax : Axes, optional

    Raises
    ------
    ContractError
        When a column is missing or a number of days makes no sense.
    """
    _require(lifetimes, "days", "lost")
    axes, kinds = axes_or_new(ax), np.full(len(lifetimes), name) if by is None else np.asarray(by).astype(str)
    for kind in np.unique(kinds):
        _survival(axes, _estimate(lifetimes[kinds == kind]), str(kind))
    axes.set_ylim(0, 1.02)
    in_percent(axes, y=True)
    return finish(axes, "Customers still there", "days since sign-up", "share still there")


def plot_retention(
    lifetimes: pd.DataFrame, *, months: int = 12, cohorts: int = 12, ax: Axes | None = None
) -> Axes:
    """Draw the share still there after each month of life, one row per month of sign-up.

    Each row is a Kaplan-Meier estimate of its own; cells that the data do not reach are empty.

    Parameters
    ----------
    lifetimes : DataFrame
        One row per account with ``began_at``, ``days``, ``lost`` and optionally ``entered``.
    months : int, default 12
        Months of life to show.
    cohorts : int, default 12
        Latest months of sign-up to show, of those that are a month old.
    ax : Axes, optional

    Raises
    ------
    ContractError
        When a column is missing, a number of days makes no sense, or no account has been seen for a month.
    """
    _require(lifetimes, "began_at", "days", "lost")
    axes = axes_or_new(ax)
    signed_up = lifetimes["began_at"].dt.to_period("M")
    ages = np.arange(1, months + 1)
    shown = sorted(signed_up[lifetimes["days"] >= _MONTH].unique())[-cohorts:]
    if not shown:
        raise ContractError(
            f"retention is told by month: expected lives of a month or more, found none among {len(lifetimes):,}. "
            "Bring a longer history."
        )
    groups = [lifetimes[signed_up == month] for month in shown]
    shares = np.array([_estimate(group).at(ages * _MONTH) for group in groups])
    # Ten points at least: a scale of one or two would make chance look like a cliff.
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
    style = next_style(axes)
    days = np.concatenate([[found.since], found.days, [found.until]])
    survival, low, high = (
        np.concatenate([[1.0], part, part[-1:] if len(part) else [1.0]])
        for part in (found.survival, found.low, found.high)
    )
    label = f"{name} ({found.accounts:,}, {found.lost.sum():,.0f} lost)"
    (line,) = axes.step(
        days,
        survival,
        where="post",
        color=style.colour,
        linestyle=style.line,
        marker=style.mark,
        markevery=max(1, len(days) // 8),
        markersize=4,
        label=label,
    )
    count_series(line)
    axes.fill_between(days, low, high, step="post", color=style.colour, alpha=0.15, linewidth=0)


def _estimate(lives: pd.DataFrame) -> KaplanMeier:
    entered = lives.get("entered")
    return KaplanMeier.fit(lives["days"], lives["lost"], entered=entered)


def _require(lifetimes: pd.DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in lifetimes]
    if missing:
        raise ContractError(
            f"expected one life per account with the columns {', '.join(columns)}, found no {', '.join(missing)}. "
            "Pass what project.lifetimes() returns."
        )
