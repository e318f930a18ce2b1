"""The lifecycle stage of an account, which decides what it may be offered (practice 000, 001)."""

from __future__ import annotations

import numpy as np
import pandas as pd

ADOPTER_DAYS = 90
ADVOCATE_SCORE = 9


def lifecycle_stage(X: pd.DataFrame) -> pd.Series:
    """Return the stage of each account: adopter, loyalist or advocate; None where the tenure is unknown.

    An adopter signed up less than :data:`ADOPTER_DAYS` ago, whatever it says in surveys; an advocate
    stays and gave :data:`ADVOCATE_SCORE` or more in the last survey; everybody else is a loyalist.

    Parameters
    ----------
    X : DataFrame of shape (accounts, features)
        Reads ``tenure_days`` and ``last_survey_score``; an absent column is unknown for all.

    Returns
    -------
    Series of str indexed like X
    """
    tenure, score = _numbers(X, "tenure_days"), _numbers(X, "last_survey_score")
    stages = np.full(len(X), None, dtype=object)
    stages[tenure >= ADOPTER_DAYS] = "loyalist"
    stages[(tenure >= ADOPTER_DAYS) & (score >= ADVOCATE_SCORE)] = "advocate"
    stages[tenure < ADOPTER_DAYS] = "adopter"
    return pd.Series(stages, index=X.index, name="stage", dtype=object)


def _numbers(X: pd.DataFrame, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if name not in X.columns:
        return np.full(len(X), np.nan)
    return pd.to_numeric(X[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
