"""Pictures of a model on one block of rows, in the manner of scikit-learn's displays.

Each takes ``ax=None`` and returns the Axes; only the axes are drawn on, no window is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from churnrisk.model.metrics import equal_count_bins
from churnrisk.model.panel import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from churnrisk.model.classifier import ChurnClassifier

_BLUE, _GREY = "#1f4e79", "#8a8a8a"
_COLOURS = {"green": "#2e7d32", "amber": "#e0a100", "red": "#c62828"}


def plot_precision_recall(y: npt.ArrayLike, p: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw precision over recall with the base rate as the floor.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    ax : Axes, optional
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    axes, churned = _axes(ax), np.asarray(y).astype(bool)
    precision, recall, _ = precision_recall_curve(churned, np.asarray(p))
    average = average_precision_score(churned, np.asarray(p))
    axes.step(recall, precision, where="post", color=_BLUE, label=f"model, average precision {average:.3f}")
    axes.axhline(churned.mean(), color=_GREY, linestyle="--", label=f"base rate {churned.mean():.3f}")
    return _finish(axes, "Precision and recall", "recall: share of churners found", "precision")


def plot_calibration(y: npt.ArrayLike, p: npt.ArrayLike, *, bins: int = 10, ax: Axes | None = None) -> Axes:
    """Draw the churn rate over the mean probability in bins of equal count, with exact 95 % intervals.

    The intervals (Clopper and Pearson, 1934) take the rows of a bin as independent.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    bins : int, default 10
    ax : Axes, optional
    """
    axes, churned = _axes(ax), np.asarray(y).astype(np.float64)
    probability = np.asarray(p, dtype=np.float64)
    member = equal_count_bins(probability, bins)
    rows = np.bincount(member)
    hits = np.bincount(member, weights=churned)
    said, rate = np.bincount(member, weights=probability) / rows, hits / rows
    low = np.where(hits > 0, beta.ppf(0.025, np.maximum(hits, 1), rows - hits + 1), 0.0)
    high = np.where(hits < rows, beta.ppf(0.975, hits + 1, np.maximum(rows - hits, 1)), 1.0)
    # Rounding may put a bound past the rate by a last digit.
    around = np.maximum(np.vstack([rate - low, high - rate]), 0.0)
    top = float(max(said.max(), high.max())) * 1.05
    axes.plot([0, top], [0, top], color=_GREY, linestyle="--", label="perfect")
    axes.errorbar(said, rate, yerr=around, fmt="o-", color=_BLUE, capsize=3, label="churn rate, 95 %")
    return _finish(axes, "Calibration", "mean predicted probability", "churn rate")


def plot_lift(y: npt.ArrayLike, p: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw how many times the base rate the churn rate is, over the share of accounts contacted.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
    p : array-like of shape (n,), churn probability
    ax : Axes, optional
    """
    axes, churned = _axes(ax), np.asarray(y).astype(np.float64)
    order = np.argsort(-np.asarray(p, dtype=np.float64), kind="stable")
    contacted = np.arange(1, len(order) + 1)
    lift = np.cumsum(churned[order]) / contacted / churned.mean()
    # The first few rows jump between 0 and the maximum and say nothing.
    shown = contacted >= max(1, len(order) // 100)
    axes.plot(100 * contacted[shown] / len(order), lift[shown], color=_BLUE, label="model")
    axes.axhline(1.0, color=_GREY, linestyle="--", label="no model")
    return _finish(axes, "Lift", "accounts contacted, riskiest first, %", "churn rate ÷ base rate")


def plot_promises(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what green and red promised and what happened, per snapshot, with 95 % bounds.

    Parameters
    ----------
    history : DataFrame
        One row per (as_of, colour) with ``churn_rate``, ``churn_low``, ``churn_high``, ``at_most``,
        ``at_least`` (the promise, missing where there is none) and ``outcome``; broken ones are marked.
    ax : Axes, optional
    """
    axes = _axes(ax)
    for colour, shade in _COLOURS.items():
        rows = history[(history["colour"] == colour) & history["churn_rate"].notna()]
        if rows.empty:
            continue
        rate = rows["churn_rate"].to_numpy(dtype=np.float64)
        around = np.vstack([rate - rows["churn_low"], rows["churn_high"] - rate])
        axes.errorbar(
            rows["as_of"], rate, yerr=np.maximum(around, 0.0), fmt="o-", color=shade, capsize=3, label=colour
        )
        limit = rows["at_most"].fillna(rows["at_least"]).astype(float)
        if limit.notna().any():
            axes.plot(rows["as_of"], limit, color=shade, linestyle="--", label=f"{colour}, promised")
        broken = (rows["outcome"] == "broken").to_numpy()
        if broken.any():
            axes.plot(rows["as_of"][broken], rate[broken], "kx", markersize=10, label=f"{colour}, broken")
    axes.tick_params(axis="x", labelrotation=45)
    return _finish(axes, "Promised and observed", "as of", "churn rate")


def plot_shares(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the shares of the colours per snapshot, stacked.

    Parameters
    ----------
    history : DataFrame
        One row per (as_of, colour) with ``share``.
    ax : Axes, optional
    """
    axes = _axes(ax)
    wide = history.pivot(index="as_of", columns="colour", values="share").fillna(0.0).sort_index()
    labels, floor = [f"{date:%Y-%m-%d}" for date in wide.index], np.zeros(len(wide))
    for colour, shade in _COLOURS.items():
        if colour in wide:
            axes.bar(labels, 100 * wide[colour], bottom=floor, color=shade, label=colour)
            floor = floor + 100 * wide[colour].to_numpy()
    axes.tick_params(axis="x", labelrotation=45)
    axes.set_ylim(0.0, 115.0)  # room for the legend above the bars
    _finish(axes, "Shares of the colours", "as of", "accounts, %")
    axes.legend(frameon=False, fontsize=8, loc="upper center", ncols=len(_COLOURS))
    return axes


def plot_feature_effects(model: ChurnClassifier, X: Any, *, top: int = 12) -> Figure:
    """Draw each of the `top` features' contribution over its value, with the density of the rows.

    For an additive model these are its exact shape functions: all rows of one value lie on one
    point. For others the points scatter.

    Parameters
    ----------
    model : ChurnClassifier, fitted
    X : DataFrame of shape (n, d)
        Rows to draw; at most 5,000 of them are used, 1,000 where contributions are not exact.
    top : int, default 12
        Features with the largest mean absolute contribution.
    """
    from matplotlib.figure import Figure

    most = 5_000 if model.exact_ else 1_000
    sample = X.iloc[:: -(-len(X) // most)]
    shares = model.contributions(sample)
    size = shares.abs().mean().to_numpy()
    largest = [int(j) for j in np.argsort(-size, kind="stable")[:top] if size[j] > 0] or [0]
    columns = min(4, len(largest))
    figure = Figure(figsize=(3.4 * columns, 2.7 * -(-len(largest) // columns)), layout="constrained")
    for at, j in enumerate(largest, start=1):
        axes = figure.add_subplot(-(-len(largest) // columns), columns, at)
        _effect(axes, sample.iloc[:, j], shares.iloc[:, j].to_numpy(dtype=np.float64))
        axes.set_title(str(sample.columns[j]), fontsize=9)
    figure.supylabel("log-odds added")
    return figure


def _effect(axes: Axes, values: Any, share: Floats) -> None:
    axes.axhline(0.0, color=_GREY, linewidth=0.8)
    if values.dtype.kind not in "iufb":
        means = _by_level(values, share)
        axes.barh(list(means), list(means.values()), color=_BLUE)
        axes.tick_params(labelsize=7)
        return
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    known = ~np.isnan(numbers)
    order = np.argsort(numbers[known], kind="stable")
    axes.plot(numbers[known][order], share[known][order], ".", markersize=2, color=_BLUE)
    density = axes.twinx()
    density.hist(numbers[known], bins=30, color=_GREY, alpha=0.25)
    density.set_yticks([])
    if (~known).any():
        axes.axhline(float(share[~known].mean()), color="#b5651d", linestyle=":", label="missing")
        axes.legend(fontsize=7, frameon=False)
    axes.tick_params(labelsize=7)


def _by_level(values: Any, share: Floats, most: int = 10) -> dict[str, float]:
    text = np.asarray(values.astype(object).where(values.notna(), "missing"), dtype=object).astype(str)
    levels, member, counts = np.unique(text, return_inverse=True, return_counts=True)
    mean = np.bincount(member, weights=share) / counts
    kept = np.argsort(-counts, kind="stable")[:most]
    return {str(levels[k]): float(mean[k]) for k in kept}


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    # A Figure of its own keeps pyplot, and with it any window system, out.
    from matplotlib.figure import Figure

    return Figure(figsize=(5.5, 4.0), layout="constrained").add_subplot()


def _finish(axes: Axes, title: str, x: str, y: str) -> Axes:
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.legend(frameon=False, fontsize=8)
    return axes
