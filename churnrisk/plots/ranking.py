"""How good the order is: whom the team reaches when it calls the riskiest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from churnrisk.model.metrics import Ranked, account_weights
from churnrisk.model.panel import Floats
from churnrisk.plots.canvas import (
    GREY,
    Style,
    axes_or_new,
    count_series,
    finish,
    has_label,
    in_percent,
    next_style,
)
from churnrisk.plots.rows import Outcomes, outcomes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 200
_MOST_DRAWS, _LEAST_DRAWS = 200, 20
_CELLS = 20_000_000


def plot_precision_recall(
    y: npt.ArrayLike, p: npt.ArrayLike, *, name: str = "model", ax: Axes | None = None
) -> Axes:
    """Draw precision over recall with the base rate as the floor.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    name : str, default "model"
    ax : Axes, optional

    Raises
    ------
    ModelInputError
        When lengths differ, a probability is missing, or the rows lack a class.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    rows, axes = outcomes_of(y, p), axes_or_new(ax)
    precision, recall, _ = precision_recall_curve(rows.churned, rows.probability)
    average, style = average_precision_score(rows.churned, rows.probability), next_style(axes)
    (line,) = axes.step(
        recall,
        precision,
        where="post",
        color=style.colour,
        linestyle=style.line,
        label=f"{name}, average precision {average:.3f}",
    )
    count_series(line)
    _floor(axes, rows.base_rate, f"base rate {rows.base_rate:.1%}")
    in_percent(axes, x=True, y=True)
    return finish(axes, "Precision and recall", "recall: share of churners found", "precision")


def plot_lift(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    name: str = "model",
    ax: Axes | None = None,
) -> Axes:
    """Draw how many times the base rate the churn rate is, over the share of accounts contacted.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    groups : array-like of shape (n,), optional
        Account ids: adds a 95 % band from a bootstrap over accounts.
    name : str, default "model"
    ax : Axes, optional

    Raises
    ------
    ModelInputError
        When lengths differ, a probability is missing, or the rows lack a class.
    """
    rows, axes = outcomes_of(y, p, groups), axes_or_new(ax)
    # The first few rows jump between 0 and the maximum and say nothing.
    shares = np.linspace(max(0.01, 1 / len(rows.churned)), 1.0, _POINTS)
    _curve(axes, shares, _recalls(rows, shares) / shares, name)
    _floor(axes, 1.0, "no model")
    axes.set_ylim(bottom=0)
    in_percent(axes, x=True)
    return finish(axes, "Lift", "accounts contacted, riskiest first", "churn rate ÷ base rate")


def plot_gain(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    name: str = "model",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of churners found over the share of accounts contacted, riskiest first.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    groups : array-like of shape (n,), optional
        Account ids: adds a 95 % band from a bootstrap over accounts.
    name : str, default "model"
    ax : Axes, optional

    Raises
    ------
    ModelInputError
        When lengths differ, a probability is missing, or the rows lack a class.
    """
    rows, axes = outcomes_of(y, p, groups), axes_or_new(ax)
    shares = np.linspace(0.0, 1.0, _POINTS + 1)
    if not has_label(axes, "no model"):
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="no model")
        perfect = [0, rows.base_rate, 1], [0, 1, 1]
        axes.plot(*perfect, color=GREY, linestyle=":", linewidth=1, label="perfect")
    _curve(axes, shares, _recalls(rows, shares), name)
    in_percent(axes, x=True, y=True)
    return finish(axes, "Gain", "accounts contacted, riskiest first", "churners among them")


def plot_recall_at_capacity(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    snapshots: int,
    capacity: int | None = None,
    groups: npt.ArrayLike | None = None,
    name: str = "model",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of churners found over the number of accounts that the team reviews per snapshot.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    snapshots : int
        How many as-of dates the rows are of; so many times the capacity is reviewed, riskiest first over all, as
        :func:`churnrisk.evaluate` counts it.
    capacity : int, optional
        What the team can review per snapshot; marked.
    groups : array-like of shape (n,), optional
        Account ids: adds a 95 % band from a bootstrap over accounts.
    name : str, default "model"
    ax : Axes, optional

    Raises
    ------
    ModelInputError
        When lengths differ, a probability is missing, or the rows lack a class.
    """
    rows, axes = outcomes_of(y, p, groups), axes_or_new(ax)
    n = len(rows.churned)
    shown = min(n, 4 * capacity * snapshots) if capacity else n
    shares = np.linspace(0.0, shown / n, _POINTS + 1)
    style = _curve(axes, shares * n / snapshots, _recalls(rows, shares), name)
    if capacity:
        reached = _recalls(rows, np.array([min(1.0, capacity * snapshots / n)]))[0, 0]
        label = f"{name} at {capacity:,}: {reached:.0%} of the churners"
        axes.plot(capacity, reached, "*", markersize=14, color=style.colour, mec="black", label=label)
    in_percent(axes, y=True)
    return finish(axes, "Recall at capacity", "accounts reviewed per snapshot", "churners among them")


def _recalls(rows: Outcomes, shares: Floats) -> Floats:
    """Return the recall at each share of the rows, shape (draws, shares): of all rows first, then of the draws."""
    n = len(rows.churned)
    # A weight per draw and row: with very many rows fewer draws tell a narrow band as well.
    draws = min(_MOST_DRAWS, max(_LEAST_DRAWS, _CELLS // n))
    weights = (
        np.ones((1, n)) if rows.accounts is None else account_weights(rows.accounts, n_boot=draws, seed=0)
    )
    # A draw without churners has none to find.
    return Ranked(rows.churned, rows.probability).recall(weights[weights @ rows.churned > 0], shares)


def _curve(axes: Axes, x: Floats, found: Floats, name: str) -> Style:
    """Draw the first row of what was found, and the middle 95 % of the others as a band."""
    style = next_style(axes)
    (line,) = axes.plot(
        x,
        found[0],
        color=style.colour,
        linestyle=style.line,
        marker=style.mark,
        markevery=_POINTS // 10,
        markersize=5,
        label=name if len(found) == 1 else f"{name}, 95 %",
    )
    count_series(line)
    if len(found) > 1:
        low, high = np.quantile(found[1:], [0.025, 0.975], axis=0)
        axes.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    return style


def _floor(axes: Axes, height: float, label: str) -> None:
    if not has_label(axes, label):
        axes.axhline(height, color=GREY, linestyle="--", linewidth=1, label=label)
