"""The rows that a traffic light is set on: checked, and told apart by date and segment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision.bounds import Floats
from churnrisk.decision.exposure import Ints, Mask
from churnrisk.errors import ContractError


def last_dates(dates: npt.NDArray[np.int64] | None, blocks: int) -> list[Mask]:
    """Return the rows of each of the latest dates, one mask per date."""
    if dates is None:
        return []
    latest = int(dates.max())
    return [dates == date for date in range(max(latest - blocks + 1, 0), latest + 1)]


def checked(p: npt.ArrayLike | pd.Series, y: npt.ArrayLike | pd.Series) -> tuple[Floats, Ints]:
    """Return scores and labels as numbers.

    Raises
    ------
    ContractError
        If they do not fit together, or are no probabilities and no labels.
    """
    scores, labels = np.asarray(p, dtype=float), np.asarray(y, dtype=float)
    if scores.ndim != 1 or scores.shape != labels.shape or not len(scores):
        raise ContractError(
            f"the lights expect one probability and one label per row, found shapes {scores.shape} "
            f"and {labels.shape}. Check that the calibration block holds mature snapshots."
        )
    if not ((scores >= 0) & (scores <= 1)).all() or not np.isin(labels, (0.0, 1.0)).all():
        raise ContractError(
            "the lights expect probabilities in [0, 1] and labels 0 or 1, found values outside or missing. "
            "Leave out rows without a mature label."
        )
    return scores, labels.astype(np.int64)


def named_segments(segments: npt.ArrayLike | pd.Series | None, rows: int) -> npt.NDArray[np.object_] | None:
    """Return one segment per row; None where none are told.

    Raises
    ------
    ContractError
        If they are not one per row.
    """
    if segments is None:
        return None
    named = np.asarray(segments, dtype=object)
    if len(named) != rows:
        raise ContractError(f"expected one segment per row, found {len(named)} for {rows} rows.")
    return named
