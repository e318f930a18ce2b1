"""What changed a colour, in one word, found by deciding the earlier score and snapshot again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision.rules import to_codes
from churnrisk.records import DecidedBy


def colour_causes(
    new: pd.DataFrame,
    old: pd.DataFrame,
    *,
    relit: npt.ArrayLike | pd.Series,
    reruled: npt.ArrayLike | pd.Series,
) -> npt.NDArray[np.object_]:
    """Return in one word what made each colour another one; rows that kept it get some word too.

    Parameters
    ----------
    new, old : DataFrame
        colour, raw_colour, model_colour and decided_by of this run and of the run before, row by row.
    relit : array-like of shape (rows,)
        What this run's thresholds make of the probability at the run before.
    reruled : array-like of shape (rows,)
        What this run's rules make of the snapshot and the model's colour at the run before.
    """
    shown, raw, model = (
        (to_codes(old[name]).astype(int), to_codes(new[name]).astype(int))
        for name in ("colour", "raw_colour", "model_colour")
    )
    lit, ruled = to_codes(relit).astype(int), to_codes(reruled).astype(int)
    by_override = (old["decided_by"] == str(DecidedBy.OVERRIDE)) | (
        new["decided_by"] == str(DecidedBy.OVERRIDE)
    )
    worse = raw[1] > raw[0]
    by_rule = (model[0] == model[1]) | np.where(worse, raw[1] != model[1], raw[0] != model[0])
    direction = np.sign(model[1] - model[0])
    choices = {
        str(DecidedBy.ELIGIBILITY): (shown[0] < 0) | (shown[1] < 0),
        str(DecidedBy.OVERRIDE): by_override.to_numpy(),
        # The colour moved though what it follows stood still or went the other way: it was held before.
        str(DecidedBy.HYSTERESIS): (raw[1] - raw[0]) * (shown[1] - shown[0]) <= 0,
        "policy": np.where(
            by_rule,
            (ruled == raw[1]) & (ruled != raw[0]),
            (lit - model[0]) * direction > (model[1] - lit) * direction,
        ),
        str(DecidedBy.RULE): by_rule,
    }
    return np.select(list(choices.values()), list(choices), default="score").astype(object)
