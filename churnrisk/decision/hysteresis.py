"""Colours that do not flap: they improve late and worsen at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision.lights import TrafficLight
from churnrisk.decision.severity import GREY_CODE, to_codes, to_colours


def hold_back(
    raw: npt.ArrayLike | pd.Series,
    p: npt.ArrayLike | pd.Series,
    *,
    light: TrafficLight,
    previous: npt.ArrayLike | pd.Series,
    previous_raw: npt.ArrayLike | pd.Series,
    margin: float,
    value: npt.ArrayLike | pd.Series | None = None,
) -> npt.NDArray[np.object_]:
    """Return the colours after hysteresis, shape (rows,).

    A colour worse than the previous one holds at once. A better one holds as far as p has cleared the
    threshold by ``margin``, or as far as the run before already said so (twice in a row); otherwise
    the previous colour, or the part of the way that is supported, stays.

    Parameters
    ----------
    raw : array-like of shape (rows,)
        Colours of this run after the rules.
    p : array-like of shape (rows,)
        Churn probabilities of this run.
    previous, previous_raw : array-like of shape (rows,)
        The colour shown by the run before, and that run's colour before hysteresis and override;
        missing or grey for accounts without one, which are left as they are.
    margin : float
        Log-odds by which p has to be below a threshold; 0 switches hysteresis off.
    value : array-like of shape (rows,), optional
        Annual values, for a light of policy ``cost``.
    """
    now, shown, before = to_codes(raw), to_codes(previous), to_codes(previous_raw)
    if margin == 0:
        return to_colours(now)
    cleared = np.maximum(now, to_codes(light.predict(_shift(np.asarray(p, dtype=float), margin), value)))
    twice = np.where(before == GREY_CODE, cleared, np.maximum(now, before))
    supported = np.minimum(cleared, twice)
    held = np.where(now < shown, np.minimum(shown, supported), now)
    known = (now != GREY_CODE) & (shown != GREY_CODE)
    return to_colours(np.where(known, held, now).astype(np.int8))


def _shift(p: npt.NDArray[np.float64], margin: float) -> npt.NDArray[np.float64]:
    """Return p moved up by a number of log-odds; 0 and 1 stay."""
    factor = np.exp(margin)
    return np.asarray(p * factor / (1.0 - p + p * factor))
