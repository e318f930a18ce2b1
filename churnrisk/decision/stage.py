"""Lifecycle stages: they decide what may be offered (an adopter is never sold more)."""

from __future__ import annotations

import numpy as np
import pandas as pd

ADOPTER_DAYS = 90
PROMOTER_SCORE = 9


def lifecycle_stage(tenure_days: pd.Series, last_survey_score: pd.Series) -> pd.Series:
    """Return "adopter", "loyalist" or "advocate" per account.

    Parameters
    ----------
    tenure_days : Series of float
        Days as a customer; missing when unknown, which counts as long.
    last_survey_score : Series of float
        Last answer, 0-10; missing when never asked.

    Returns
    -------
    Series of str
        Adopter in the first ``ADOPTER_DAYS`` days, advocate with a promoter's last answer (9 or 10),
        loyalist otherwise.
    """
    stages = np.select(
        [(tenure_days < ADOPTER_DAYS).to_numpy(), (last_survey_score >= PROMOTER_SCORE).to_numpy()],
        ["adopter", "advocate"],
        default="loyalist",
    )
    return pd.Series(stages, index=tenure_days.index, name="stage", dtype=object)
