"""What each value of a feature adds to the log-odds: the exact shape functions of an additive model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from churnrisk.errors import ModelInputError
from churnrisk.model.panel import Floats
from churnrisk.plots.canvas import GREY, MISSING, STYLES, axes_or_new

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from churnrisk.model.classifier import ChurnClassifier

_COLOUR = STYLES[0].colour
_GRID = 400
#: Quantiles shown, so that a few extreme values do not squeeze the rest.
_SHOWN = (0.005, 0.995)
_BARS = 40
_HEIGHT = 0.18
_LEVELS = 10
_DOTS = 12


def plot_feature_effect(
    model: ChurnClassifier, X: pd.DataFrame, feature: str, *, name: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw what each value of one feature adds to the log-odds, with the density of the rows below.

    For a model whose contributions are exact this is its shape function, the same for every row. For others each point
    is one row. What is added is calibrated where the calibration has one slope (sigmoid), and as the model
    itself says otherwise.

    Parameters
    ----------
    model : ChurnClassifier, fitted
    X : DataFrame of shape (n, d)
        At most 5,000 rows are used, 1,000 where contributions are not exact.
    feature : str
        Column of `X`.
    name : str, optional
        What to call the feature; its column by default.
    ax : Axes, optional

    Raises
    ------
    ModelInputError
        When `X` has no such column.
    """
    if feature not in X.columns:
        raise ModelInputError(
            f"expected a column of X, found {feature!r}. It has {', '.join(map(str, X.columns))}."
        )
    rows, axes = _some(model, X), axes_or_new(ax)
    _draw(axes, model, rows, feature, _added(model, rows)[feature].to_numpy(dtype=np.float64))
    axes.set_title(name or feature)
    label = axes.set_ylabel if _is_numeric(rows[feature]) else axes.set_xlabel
    label("log-odds added")
    return axes


def plot_feature_effects(model: ChurnClassifier, X: pd.DataFrame, *, top: int = 12) -> Figure:
    """Draw the features that matter most, each as :func:`plot_feature_effect` does, on one figure.

    Parameters
    ----------
    model : ChurnClassifier, fitted
    X : DataFrame of shape (n, d)
        At most 5,000 rows are used, 1,000 where contributions are not exact.
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
    from churnrisk.model.calibration import Affine

    # An isotonic map has no single slope: calibrated, the same value would add something else to each row.
    return model.contributions(rows, calibrated=isinstance(model.calibrator_, Affine))


def _is_numeric(values: pd.Series) -> bool:
    return values.dtype.kind in "iufb"


def _draw(axes: Axes, model: ChurnClassifier, rows: pd.DataFrame, feature: str, added: Floats) -> None:
    values = rows[feature]
    if not _is_numeric(values):
        _bars(axes, values, added)
        return
    axes.axhline(0.0, color=GREY, linewidth=0.8)
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
        axes.axhline(float(added[~known].mean()), color=MISSING, linestyle=":", linewidth=1.5, label=label)
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
        edges, heights, step="post", color=GREY, alpha=0.35, linewidth=0, transform=axes.get_xaxis_transform()
    )


def _bars(axes: Axes, values: pd.Series, added: Floats) -> None:
    """Draw the mean of each name, the most frequent first, with its share of the rows."""
    names = values.astype(object).where(values.notna(), "missing").astype(str)
    levels, member, counts = np.unique(names.to_numpy(dtype=object), return_inverse=True, return_counts=True)
    mean = np.bincount(member, weights=added) / counts
    frequent = np.argsort(-counts, kind="stable")[:_LEVELS]
    labels = [f"{levels[k]} ({counts[k] / len(values):.0%})" for k in frequent]
    axes.barh(labels, mean[frequent], color=_COLOUR)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.invert_yaxis()
