"""Pictures of a model: calibration, ranking, costs, and what each value of a feature adds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from churnrisk.errors import ModelInputError, UsageError
from churnrisk.lights import account_codes, churn_levels, known_values, tally_of, typical_value
from churnrisk.model import Affine, Floats, Ranked, account_weights, equal_count_bins
from churnrisk.plots import canvas

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from churnrisk.model import ChurnClassifier

_ONE_SIDED = 0.975
_TICKS = (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
# Ranking: points of a curve; draws of its band, fewer where a weight per draw and row would not fit into memory.
_POINTS = 200
_MOST_DRAWS, _LEAST_DRAWS = 200, 20
_CELLS = 20_000_000
# Costs.
_DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
_LEAST = 1e-4
# Effects; the quantiles shown, so that a few extreme values do not squeeze the rest.
_COLOUR = canvas.STYLES[0].colour
_GRID = 400
_SHOWN = (0.005, 0.995)
_BARS = 40
_HEIGHT = 0.18
_LEVELS = 10
_DOTS = 12


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
    y, p : array-like of shape (n,)
        1 for churned, and the churn probability.
    groups : array-like of shape (n,), optional
        Account ids: the intervals count accounts instead of rows (:mod:`churnrisk.lights.bounds`), else they are
        those of Clopper and Pearson (1934).
    bins : int, default 10
    name, ax : str, Axes, optional
        Name in the legend; axes to draw on, which may hold other models.
    """
    rows, axes = canvas.outcomes_of(y, p, groups), canvas.axes_or_new(ax)
    predicted, rate, around = _bins(rows, bins)
    style = canvas.next_style(axes)
    top = min(1.0, 1.05 * float(max(predicted.max(), (rate + around[1]).max())))
    if canvas.has_label(axes, "perfect"):
        top = max(top, axes.get_xlim()[1])
    else:
        axes.plot([0, 1], [0, 1], color=canvas.GREY, linestyle="--", linewidth=1, label="perfect")
    axes.errorbar(predicted, rate, yerr=around, fmt="none", ecolor=style.colour, capsize=3)
    axes.plot(predicted, rate, **style.drawn, label=f"{name}: churn rate, 95 %")
    for axis in (axes.xaxis, axes.yaxis):
        canvas.by_root(axis, [tick for tick in _TICKS if tick <= top])
    axes.set(xlim=(0, top), ylim=(0, top))
    canvas.in_percent(axes, x=True, y=True)
    return canvas.finish(axes, "Calibration", "mean predicted probability", "churn rate")


def _bins(rows: canvas.Predictions, bins: int) -> tuple[Floats, Floats, Floats]:
    """Return mean probability and churn rate per bin, and how far the interval reaches below and above."""
    member = equal_count_bins(rows.probability, bins)
    counts = np.bincount(member)
    predicted = np.bincount(member, weights=rows.probability) / counts
    rate = np.bincount(member, weights=rows.churned) / counts
    accounts, y = account_codes(rows.accounts, len(member)), rows.churned.astype(np.int64)
    levels = churn_levels(accounts, y)
    tallies = [tally_of(member == number, accounts, y, levels=levels) for number in range(len(counts))]
    low = np.array([tally.lower(_ONE_SIDED)[0] for tally in tallies])
    high = np.array([tally.upper(_ONE_SIDED)[0] for tally in tallies])
    # rounding may put a bound past the rate
    return predicted, rate, np.maximum(np.vstack([rate - low, high - rate]), 0.0)


def plot_precision_recall(
    y: npt.ArrayLike, p: npt.ArrayLike, *, name: str = "model", ax: Axes | None = None
) -> Axes:
    """Draw precision over recall with the base rate as the floor; parameters as in :func:`plot_lift`."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    rows, axes = canvas.outcomes_of(y, p), canvas.axes_or_new(ax)
    precision, recall, _ = precision_recall_curve(rows.churned, rows.probability)
    average, style = average_precision_score(rows.churned, rows.probability), canvas.next_style(axes)
    label = f"{name}, average precision {average:.3f}"
    axes.step(recall, precision, where="post", **style.stroke, label=label)
    _floor(axes, rows.base_rate, f"base rate {rows.base_rate:.1%}")
    canvas.in_percent(axes, x=True, y=True)
    return canvas.finish(axes, "Precision and recall", "recall: share of churners found", "precision")


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
    y, p : array-like of shape (n,)
        1 for churned, and the churn probability.
    groups : array-like of shape (n,), optional
        Account ids: adds a 95 % band from a bootstrap over accounts.
    name, ax : str, Axes, optional
        Name in the legend; axes to draw on, which may hold other models.
    """
    rows, axes = canvas.outcomes_of(y, p, groups), canvas.axes_or_new(ax)
    # The first few rows jump between 0 and the maximum.
    shares = np.linspace(max(0.01, 1 / len(rows.churned)), 1.0, _POINTS)
    _draw_curve(axes, shares, _recalls(rows, shares) / shares, name)
    _floor(axes, 1.0, "no model")
    axes.set_ylim(bottom=0)
    canvas.in_percent(axes, x=True)
    return canvas.finish(axes, "Lift", "accounts contacted, riskiest first", "churn rate ÷ base rate")


def plot_gain(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    name: str = "model",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of churners found over the share of accounts contacted, riskiest first.

    Parameters as in :func:`plot_lift`.
    """
    rows, axes = canvas.outcomes_of(y, p, groups), canvas.axes_or_new(ax)
    shares = np.linspace(0.0, 1.0, _POINTS + 1)
    if not canvas.has_label(axes, "no model"):
        axes.plot([0, 1], [0, 1], color=canvas.GREY, linestyle="--", linewidth=1, label="no model")
        perfect = [0, rows.base_rate, 1], [0, 1, 1]
        axes.plot(*perfect, color=canvas.GREY, linestyle=":", linewidth=1, label="perfect")
    _draw_curve(axes, shares, _recalls(rows, shares), name)
    canvas.in_percent(axes, x=True, y=True)
    return canvas.finish(axes, "Gain", "accounts contacted, riskiest first", "churners among them")


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
    snapshots : int
        How many as-of dates the rows are of; so many times the capacity is reviewed, riskiest first over all, as
        :func:`churnrisk.evaluate` counts it.
    capacity : int, optional
        What the team can review per snapshot; marked.
    y, p, groups, name, ax
        As in :func:`plot_lift`.
    """
    rows, axes = canvas.outcomes_of(y, p, groups), canvas.axes_or_new(ax)
    n = len(rows.churned)
    shown = min(n, 4 * capacity * snapshots) if capacity else n
    shares = np.linspace(0.0, shown / n, _POINTS + 1)
    style = _draw_curve(axes, shares * n / snapshots, _recalls(rows, shares), name)
    if capacity:
        reached = _recalls(rows, np.array([min(1.0, capacity * snapshots / n)]))[0, 0]
        label = f"{name} at {capacity:,}: {reached:.0%} of the churners"
        axes.plot(capacity, reached, "*", markersize=14, color=style.colour, mec="black", label=label)
    canvas.in_percent(axes, y=True)
    return canvas.finish(axes, "Recall at capacity", "accounts reviewed per snapshot", "churners among them")


def _recalls(rows: canvas.Predictions, shares: Floats) -> Floats:
    """Return the recall at each share of the rows, shape (draws, shares): of all rows first, then of the draws."""
    n = len(rows.churned)
    draws = min(_MOST_DRAWS, max(_LEAST_DRAWS, _CELLS // n))
    weights = (
        np.ones((1, n)) if rows.accounts is None else account_weights(rows.accounts, n_boot=draws, seed=0)
    )
    # A draw without churners has none to find.
    return Ranked(rows.churned, rows.probability).recall(weights[weights @ rows.churned > 0], shares)


def _draw_curve(axes: Axes, x: Floats, found: Floats, name: str) -> canvas.Style:
    """Draw the first row, and the middle 95 % of the others as a band."""
    style, label = canvas.next_style(axes), name if len(found) == 1 else f"{name}, 95 %"
    axes.plot(x, found[0], **style.drawn, markevery=_POINTS // 10, markersize=5, label=label)
    if len(found) > 1:
        low, high = np.quantile(found[1:], [0.025, 0.975], axis=0)
        axes.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    return style


def _floor(axes: Axes, height: float, label: str) -> None:
    if not canvas.has_label(axes, label):
        axes.axhline(height, color=canvas.GREY, linestyle="--", linewidth=1, label=label)


def plot_cost(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    cost_per_contact: float,
    save_rate: float,
    value: npt.ArrayLike,
    weighted: bool = False,
    thresholds: Mapping[str, float] | None = None,
    name: str = "model",
    ax: Axes | None = None,
) -> Axes:
    """Draw what an account costs on average when all accounts from a threshold on are contacted.

    A contact costs `cost_per_contact` and keeps `save_rate` of those who would leave; each loss costs the `value`.
    The cheapest threshold is marked, and a line shows the cost of contacting nobody.

    Parameters
    ----------
    y, p : array-like of shape (n,)
        Outcomes without a contact (where the team did call, its successes make every curve too low), and the churn
        probability.
    cost_per_contact, save_rate : float
        In the currency of the value; share of churners that a contact keeps.
    value : float or array-like of shape (n,)
        Of keeping a customer, such as the annual value; missing ones count as the median.
    weighted : bool, default False
        Put the threshold on p times the value in typical values, as the policy ``cost`` does, instead of on p.
    thresholds : mapping of str to float, optional
        Thresholds to mark, by name, such as ``{"red from": light.red_from_}``, with what they cost.
    name, ax
        As in :func:`plot_lift`.

    Raises
    ------
    UsageError
        When the cost is not positive, the save rate no share, or no value is known.
    """
    if not (0 < save_rate <= 1 and cost_per_contact > 0):
        raise UsageError(
            f"expected 0 < save_rate <= 1 and cost_per_contact > 0, found save_rate={save_rate}, "
            f"cost_per_contact={cost_per_contact}. Give the share of churners that a contact keeps, and what one costs."
        )
    rows, axes = canvas.outcomes_of(y, p), canvas.axes_or_new(ax)
    n = len(rows.churned)
    values = known_values(np.full(n, value) if np.ndim(value) == 0 else value, n)
    typical = typical_value(values)
    values = np.where(np.isnan(values), typical, values)
    score = rows.probability * values / typical if weighted else rows.probability
    levels, costs = _cost_by_threshold(score, rows.churned * values, cost_per_contact, save_rate)
    style, best = canvas.next_style(axes), int(costs.argmin())
    name = f"{name} × value" if weighted else name
    axes.step(levels, costs, where="pre", **style.stroke, label=name)
    _floor(axes, costs[-1], "contact nobody")
    label = f"{name}, cheapest: from {levels[best]:.1%}, {_money(costs[best])}"
    axes.plot(levels[best], costs[best], "*", markersize=14, color=style.colour, mec="black", label=label)
    for (what, at), dashes in zip((thresholds or {}).items(), cycle(_DASHES), strict=False):
        paid = costs[np.searchsorted(levels, at)] if at <= levels[-1] else costs[-1]
        label = f"{what} {at:.1%}, {_money(paid)}"
        axes.axvline(max(at, _LEAST), color="black", linestyle=dashes, linewidth=1.2, label=label)
    axes.set_xscale("log")
    canvas.in_percent(axes, x=True)
    x, y_label = "everybody is contacted from this probability on", "cost per account and snapshot"
    return canvas.finish(axes, "Cost of a threshold", x, y_label, legend_below=True)


def _cost_by_threshold(
    score: Floats, lost: Floats, cost_per_contact: float, save_rate: float
) -> tuple[Floats, Floats]:
    """Return each threshold, ascending, and the mean cost when all from it on are contacted; none from the last."""
    levels, member = np.unique(np.maximum(score, _LEAST), return_inverse=True)
    by_level = np.bincount(member, weights=cost_per_contact - save_rate * lost)
    contacted = np.append(np.cumsum(by_level[::-1])[::-1], 0.0)
    return np.append(levels, levels[-1] * 1.1), (lost.sum() + contacted) / len(score)


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if abs(amount) >= 100 else f"{amount:,.2f}"


def plot_feature_effect(
    model: ChurnClassifier, X: pd.DataFrame, feature: str, *, name: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw what each value of one feature adds to the log-odds, with the density of the rows below.

    For a model with exact contributions this is its shape function, the same for every row; for others each point is
    one row. Contributions are calibrated where the calibration has one slope (sigmoid), else uncalibrated.

    Parameters
    ----------
    model : ChurnClassifier, fitted
    X : DataFrame of shape (n, d)
        At most 5,000 rows are used, 1,000 where contributions are not exact.
    feature : str
        Column of `X`.
    name, ax : str, Axes, optional
        Title, the column by default; axes to draw on.

    Raises
    ------
    ModelInputError
        When `X` has no such column.
    """
    if feature not in X.columns:
        raise ModelInputError(
            f"expected a column of X, found {feature!r}. It has {', '.join(map(str, X.columns))}."
        )
    rows, axes = _some(model, X), canvas.axes_or_new(ax)
    _draw(axes, model, rows, feature, _added(model, rows)[feature].to_numpy(dtype=np.float64))
    axes.set_title(name or feature)
    label = axes.set_ylabel if _is_numeric(rows[feature]) else axes.set_xlabel
    label("log-odds added")
    return axes


def plot_feature_effects(model: ChurnClassifier, X: pd.DataFrame, *, top: int = 12) -> Figure:
    """Draw the features that matter most, each as :func:`plot_feature_effect` does, on one figure.

    Parameters
    ----------
    model, X
        As in :func:`plot_feature_effect`.
    top : int, default 12
        Features with the largest mean absolute contribution.
    """
    from matplotlib.figure import Figure

    rows = _some(model, X)
    added = _added(model, rows)
    size = added.abs().mean().to_numpy()
    largest = [int(j) for j in np.argsort(-size, kind="stable")[:top] if size[j] > 0] or [0]
    columns = min(3, len(largest))
    deep = -(-len(largest) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.4 * deep), layout="constrained")
    for at, j in enumerate(largest, start=1):
        axes = figure.add_subplot(deep, columns, at)
        _draw(axes, model, rows, rows.columns[j], added.iloc[:, j].to_numpy(dtype=np.float64))
        axes.set_title(str(rows.columns[j]), fontsize=9)
        axes.tick_params(labelsize=8)
    figure.supylabel("log-odds added", fontsize=10)
    return figure


def _some(model: ChurnClassifier, X: pd.DataFrame) -> pd.DataFrame:
    most = 5_000 if model.exact_ else 1_000
    return X.iloc[:: -(-len(X) // most)]


def _added(model: ChurnClassifier, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the contributions that depend on nothing but the value, where the model has such."""
    # An isotonic map has no single slope: calibrated, the same value would add something else to each row.
    return model.contributions(rows, calibrated=isinstance(model.calibrator_, Affine))


def _is_numeric(values: pd.Series) -> bool:
    return values.dtype.kind in "iufb"


def _draw(axes: Axes, model: ChurnClassifier, rows: pd.DataFrame, feature: str, added: Floats) -> None:
    values = rows[feature]
    if not _is_numeric(values):
        _bars(axes, values, added)
        return
    axes.axhline(0.0, color=canvas.GREY, linewidth=0.8)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    known = ~np.isnan(numbers)
    if known.any():
        low, high = np.quantile(numbers[known], _SHOWN)
        shown = known & (numbers >= low) & (numbers <= high)
        if model.exact_:
            grid = np.linspace(low, high, _GRID)
            axes.plot(grid, _shape(model, rows, feature, grid), color=_COLOUR)
        if not model.exact_ or len(np.unique(numbers[shown])) <= _DOTS:
            axes.plot(numbers[shown], added[shown], "o", markersize=3, color=_COLOUR)
        _density(axes, numbers[shown])
    if not known.all():
        label = f"missing ({(~known).mean():.0%})"
        height = float(added[~known].mean())
        axes.axhline(height, color=canvas.MISSING, linestyle=":", linewidth=1.5, label=label)
        axes.legend(fontsize=8, frameon=False)


def _shape(model: ChurnClassifier, rows: pd.DataFrame, feature: str, grid: Floats) -> Floats:
    """Return what the values of a grid add; the other columns do not matter to an additive model."""
    on_grid = rows.iloc[np.zeros(len(grid), dtype=np.int64)].assign(**{feature: grid})
    return _added(model, on_grid)[feature].to_numpy(dtype=np.float64)


def _density(axes: Axes, numbers: Floats) -> None:
    """Draw a histogram along the lower edge, whatever the scale of the axes."""
    counts, edges = np.histogram(numbers, bins=_BARS)
    heights = np.append(counts, counts[-1]) / counts.max() * _HEIGHT
    axes.fill_between(
        edges, heights, step="post", color=canvas.GREY, alpha=0.35, lw=0, transform=axes.get_xaxis_transform()
    )


def _bars(axes: Axes, values: pd.Series, added: Floats) -> None:
    """Draw the mean of each name, the most frequent first, with its share of the rows."""
    names = values.astype(object).where(values.notna(), "missing").astype(str)
    levels, member, counts = np.unique(names.to_numpy(dtype=object), return_inverse=True, return_counts=True)
    mean = np.bincount(member, weights=added) / counts
    frequent = np.argsort(-counts, kind="stable")[:_LEVELS]
    labels = [f"{levels[k]} ({counts[k] / len(values):.0%})" for k in frequent]
    axes.barh(labels, mean[frequent], color=_COLOUR)
    axes.axvline(0.0, color=canvas.GREY, linewidth=0.8)
    axes.invert_yaxis()
