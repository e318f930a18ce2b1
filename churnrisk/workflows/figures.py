"""The pictures that a training run keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from churnrisk.features.facts import annual_value
from churnrisk.model import Blocks
from churnrisk.workflows.panel import TrainingPanel
from churnrisk.workflows.project import Project
from churnrisk.workflows.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRIFT_ROWS = 200_000


def training_figures(
    trained: Trained, panel: TrainingPanel, cut: Blocks, project: Project
) -> dict[str, Figure]:
    """Return the pictures of a model by name: what it does on the test block, and what it has learned.

    ``cost`` is for the policy of that name, ``drift`` needs two snapshots.
    """
    from churnrisk import plots

    X, decision = panel.X[cut.test], project.decision
    accounts, dates = X.index.get_level_values("account_id"), X.index.get_level_values("as_of")
    scored = (panel.y[cut.test].to_numpy(), trained.classifier.predict_proba(X)[:, 1])
    drawn = {
        "precision_recall": plots.plot_precision_recall(*scored),
        "calibration": plots.plot_calibration(*scored, groups=accounts),
        "lift": plots.plot_lift(*scored, groups=accounts),
        "gain": plots.plot_gain(*scored, groups=accounts),
        "recall_at_capacity": plots.plot_recall_at_capacity(
            *scored, snapshots=dates.nunique(), capacity=decision.capacity, groups=accounts
        ),
    }
    value = annual_value(X)
    if value is not None and (value > 0).any() and decision.save_rate and decision.cost_per_contact:
        drawn["cost"] = plots.plot_cost(
            *scored,
            cost_per_contact=decision.cost_per_contact,
            save_rate=decision.save_rate,
            value=value,
            weighted=True,
            thresholds={"amber from": trained.light.amber_from_, "red from": trained.light.red_from_},
        )
    if panel.X.index.get_level_values("as_of").nunique() > 1:
        # The index does not grow with the number of rows, the time it takes does.
        drawn["drift"] = plots.plot_drift(panel.X.sample(min(len(panel.X), _DRIFT_ROWS), random_state=0))
    figures = {name: cast("Figure", axes.figure) for name, axes in drawn.items()}
    return figures | {"feature_effects": plots.plot_feature_effects(trained.classifier, panel.X[cut.fit])}
