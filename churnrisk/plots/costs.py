"""What a threshold costs: contacts made, and customers lost."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from churnrisk.decision.workload import known_values, typical_value
from churnrisk.errors import UsageError
from churnrisk.model.panel import Floats
from churnrisk.plots.canvas import GREY, axes_or_new, count_series, finish, has_label, in_percent, next_style
from churnrisk.plots.rows import outcomes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
_LEAST = 1e-4


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
    """Draw what an account costs on average when everybody from a threshold on is contacted.

    A contact costs `cost_per_contact` and keeps `save_rate` of those who would leave; who leaves costs the `value`.
    The cheapest threshold is marked, and a line says what contacting nobody costs.

    Parameters
    ----------
    y : array-like of shape (n,), 1 for churned
        As it went without a contact: where the team did call, its successes make every curve too low.
    p : array-like of shape (n,), churn probability
    cost_per_contact : float
        In the currency of the value.
    save_rate : float
        Share of churners whom a contact keeps.
    value : float or array-like of shape (n,)
        Of keeping a customer, such as the annual value; where it is missing the median stands in.
    weighted : bool, default False
        Put the threshold on p times the value in typical values, as the policy ``cost`` does, instead of on p.
    thresholds : mapping of str to float, optional
        Thresholds in use, by name, such as ``{"red from": light.red_from_}``: marked, with what they cost.
    name : str, default "model"
    ax : Axes, optional

    Raises
    ------
    UsageError
        When the cost is not positive, the save rate no share, or no value is known.
    ModelInputError
        When lengths differ, a probability is missing, or the rows lack a class.
    """
    _check_terms(cost_per_contact, save_rate)
    rows, axes = outcomes_of(y, p), axes_or_new(ax)
    n = len(rows.churned)
    values = known_values(np.full(n, value) if np.ndim(value) == 0 else value, n)
    typical = typical_value(values)
    values = np.where(np.isnan(values), typical, values)
    score = rows.probability * values / typical if weighted else rows.probability
    levels, costs = _curve(score, rows.churned * values, cost_per_contact, save_rate)
    style, best = next_style(axes), int(costs.argmin())
    name = f"{name} × value" if weighted else name
    (line,) = axes.step(levels, costs, where="pre", color=style.colour, linestyle=style.line, label=name)
    count_series(line)
    if not has_label(axes, "contact nobody"):
        axes.axhline(costs[-1], color=GREY, linestyle="--", linewidth=1, label="contact nobody")
    label = f"{name}, cheapest: from {levels[best]:.1%}, {_money(costs[best])}"
    axes.plot(levels[best], costs[best], "*", markersize=14, color=style.colour, mec="black", label=label)
    for (what, at), dashes in zip((thresholds or {}).items(), cycle(_DASHES), strict=False):
        paid = costs[np.searchsorted(levels, at)] if at <= levels[-1] else costs[-1]
        axes.axvline(
            max(at, _LEAST),
            color="black",
            linestyle=dashes,
            linewidth=1.2,
            label=f"{what} {at:.1%}, {_money(paid)}",
        )
    axes.set_xscale("log")
    in_percent(axes, x=True)
    x, y_label = "everybody is contacted from this probability on", "cost per account and snapshot"
    return finish(axes, "Cost of a threshold", x, y_label, legend_below=True)


def _check_terms(cost_per_contact: float, save_rate: float) -> None:
    if not (0 < save_rate <= 1 and cost_per_contact > 0):
        raise UsageError(
            f"expected 0 < save_rate <= 1 and cost_per_contact > 0, found save_rate={save_rate}, "
            f"cost_per_contact={cost_per_contact}. Give the share of churners that a contact keeps, and what one costs."
        )


def _curve(score: Floats, lost: Floats, cost_per_contact: float, save_rate: float) -> tuple[Floats, Floats]:
    """Return each threshold, ascending, and the mean cost when all from it on are contacted; nobody at the last."""
    levels, member = np.unique(np.maximum(score, _LEAST), return_inverse=True)
    by_level = np.bincount(member, weights=cost_per_contact - save_rate * lost)
    contacted = np.append(np.cumsum(by_level[::-1])[::-1], 0.0)
    return np.append(levels, levels[-1] * 1.1), (lost.sum() + contacted) / len(score)


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if abs(amount) >= 100 else f"{amount:,.2f}"
