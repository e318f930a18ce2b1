"""Time to churn: the survival curve that `train` learns beside the model, and what it predicts for accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ModelInputError
from churnrisk.model import Blocks, ChurnHazard
from churnrisk.model.hazard import mean_of, median_of
from churnrisk.snapshots import ChurnConfig, known_by
from churnrisk.workflows.panel import TrainingPanel
from churnrisk.workflows.project import Project

#: Signals that move with the calendar, in days per day.
AGEING = {"tenure_days": 1, "term_age_days": 1, "days_to_renewal": -1}

#: The columns of :func:`outlook`; the store does not hold them.
OUTLOOK = (
    "lost_by_renewal",
    "loss_by_renewal",
    "lost_by_end",
    "half_lost_days",
    "expected_days",
    "outlook_days",
)


def learn_hazard(
    panel: TrainingPanel, cut: Blocks, project: Project
) -> tuple[ChurnHazard | None, tuple[str, ...]]:
    """Fit the hazard of the windows after the first on all rows before the test block, as far as known by then.

    The hazard is None, with a note, if the data cover no later windows or too few losses.
    """
    if panel.follow_up is None:
        return None, ()
    as_of, rows = panel.dates, ~cut.test
    first_test = as_of[cut.test].min()
    # in a split by account the blocks share their dates
    end = first_test if first_test > as_of[rows].max() else panel.span.end
    known = known_by(panel.follow_up[rows], project.churn, end=end)
    hazard = ChurnHazard(
        period_days=project.churn.horizon_days,
        max_periods=max(1, int(known["windows"].max())),
        ageing=AGEING,
        monotone={feature.name: feature.monotone for feature in panel.features if feature.monotone},
        embargo_days=project.churn.outcome_delay.days,
        random_state=project.model.seed,
    )
    try:
        return hazard.fit(panel.X[rows], known["windows"] * hazard.period_days, known["churned"]), ()
    except ModelInputError as error:
        return None, (f"no time to churn: {error}",)


def outlook(
    classifier: Any,
    X: pd.DataFrame,
    *,
    churn: ChurnConfig,
    as_of: datetime,
    renewal_at: npt.ArrayLike,
    annual_value: npt.ArrayLike,
) -> pd.DataFrame | None:
    """Return when accounts are likely to be lost, aligned with X; None if the model has no time to churn.

    The first window is the churn probability itself, so that curve and score never disagree; the hazard covers the
    windows after it. ``lost_by_renewal`` is the probability of being lost by the end of the window of the next renewal
    (missing beyond ``outlook_days``), ``loss_by_renewal`` that times the value a year, ``lost_by_end`` the probability
    within ``outlook_days``, ``half_lost_days`` when half of such accounts are gone (missing if later than
    ``outlook_days``), ``expected_days`` the expected stay out of the next ``outlook_days``.
    """
    hazard = getattr(classifier, "hazard_", None)
    if hazard is None:
        return None
    first = classifier.predict_proba(X)[:, 1]
    curves = hazard.curves(X, first=first)
    beyond = np.full(len(X), np.nan)
    left = (pd.to_datetime(pd.Series(renewal_at)) - pd.Timestamp(as_of)) / pd.Timedelta(days=1)
    # a contract that is not renewed ends on its date, so the window of the renewal counts whole
    window = np.maximum((left.to_numpy() - churn.gap_days) // hazard.period_days + 1, 1)
    place = np.where(left >= 0, np.minimum(window, hazard.n_periods_ + 1), hazard.n_periods_ + 1)
    lost = 1.0 - np.column_stack([curves, beyond])[np.arange(len(X)), place.astype(np.int64)]
    return pd.DataFrame(
        {
            "lost_by_renewal": lost,
            "loss_by_renewal": lost * np.asarray(annual_value, dtype=np.float64),
            "lost_by_end": 1.0 - curves[:, -1],
            "half_lost_days": median_of(curves, hazard.period_days) + churn.gap_days,
            "expected_days": mean_of(curves, hazard.period_days) + churn.gap_days,
            "outlook_days": hazard.limit_days_ + churn.gap_days,
        },
        index=X.index,
    )


def add_outlook(
    scores: pd.DataFrame, classifier: Any, X: pd.DataFrame, *, churn: ChurnConfig, as_of: datetime
) -> None:
    """Add the columns of :func:`outlook` to scores; missing where an account has no score."""
    renewal_at, value = scores["renewal_at"], scores["annual_value"]
    found = outlook(classifier, X, churn=churn, as_of=as_of, renewal_at=renewal_at, annual_value=value)
    if found is not None:
        scores[list(OUTLOOK)] = found.set_axis(scores.index).where(scores["probability"].notna())
