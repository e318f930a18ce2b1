"""Time to churn: the survival curve that `train` learns beside the model, and what it tells of accounts."""

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

#: Signals that move with the calendar by themselves, in days a day.
AGEING = {"tenure_days": 1, "term_age_days": 1, "days_to_renewal": -1}

#: What `outlook` tells, beside what the history keeps of a score.
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
    """Fit the hazard of the coming windows on all rows but the test's, as far as they were known when it begins.

    Returns
    -------
    (ChurnHazard or None, notes)
        None, and why, where the data tell of no later windows or of too few losses.
    """
    if panel.follow_up is None:
        return None, ()
    as_of, rows = panel.X.index.get_level_values("as_of"), ~cut.test
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
    """Return when accounts are likely to be lost; None where the model knows no time to churn.

    The first window is the model's own churn probability, so that the curve and the score never disagree; the hazard
    tells of the windows after it.

    Parameters
    ----------
    classifier : ChurnClassifier
        With ``hazard_``, as `train` leaves it.
    X : DataFrame of shape (n, features)
        The model's columns, one row per account.
    churn : ChurnConfig
        The definition that the model was trained on.
    as_of : datetime
        The date of the rows.
    renewal_at, annual_value : array-like of shape (n,)
        Missing where an account has none.

    Returns
    -------
    DataFrame
        Aligned with X: ``lost_by_renewal`` (the chance of being lost by the end of the window of the next renewal;
        missing where that lies beyond ``outlook_days``), ``loss_by_renewal`` (times the value a year),
        ``lost_by_end`` (the chance of being lost within ``outlook_days``),
        ``half_lost_days`` (when half of such accounts are gone; missing where not by ``outlook_days``),
        ``expected_days`` (expected to stay out of the next ``outlook_days``) and ``outlook_days``.
    """
    hazard = getattr(classifier, "hazard_", None)
    if hazard is None:
        return None
    first = classifier.predict_proba(X)[:, 1]
    curves = hazard.curves(X, first=first)
    untold = np.full(len(X), np.nan)
    left = (pd.to_datetime(pd.Series(renewal_at)) - pd.Timestamp(as_of)) / pd.Timedelta(days=1)
    # a contract that is not renewed ends on its date, so the window of the renewal counts whole
    window = np.maximum((left.to_numpy() - churn.gap_days) // hazard.period_days + 1, 1)
    place = np.where(left >= 0, np.minimum(window, hazard.n_periods_ + 1), hazard.n_periods_ + 1)
    lost = 1.0 - np.column_stack([curves, untold])[np.arange(len(X)), place.astype(np.int64)]
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
    """Add the columns of :func:`outlook` to scores, missing where an account has no score."""
    values = scores["annual_value"]
    told = outlook(
        classifier, X, churn=churn, as_of=as_of, renewal_at=scores["renewal_at"], annual_value=values
    )
    if told is not None:
        scores[list(OUTLOOK)] = told.set_axis(scores.index).where(scores["probability"].notna())
