"""Colours that do not flap: they improve late and worsen at once.

Green is a promise, so an account comes back to it late; red is a call to act that promises many churners, so an
account leaves it sooner: half the margin is enough.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision.severity import GREY_CODE, severity, to_codes, to_colours
from churnrisk.records import Colour

_OUT_OF_RED = 0.5


def hold_back(
    raw: npt.ArrayLike | pd.Series,
    p: npt.ArrayLike | pd.Series,
    *,
    light: Callable[[npt.NDArray[np.float64]], npt.ArrayLike],
    previous: npt.ArrayLike | pd.Series,
    previous_raw: npt.ArrayLike | pd.Series,
    margin: float,
) -> npt.NDArray[np.object_]:
    """Return the colours after hysteresis, shape (rows,).

    A colour worse than the previous one holds at once. A better one holds as far as p has cleared the
    threshold by ``margin`` (red's by half of it), or as far as the run before already said so (twice in a
    row); otherwise the previous colour, or the part of the way that is supported, stays.

    Parameters
    ----------
    raw : array-like of shape (rows,)
        Colours of this run after the rules.
    p : array-like of shape (rows,)
        Churn probabilities of this run.
    light : callable
        From probabilities of the same rows to the model's colours.
    previous, previous_raw : array-like of shape (rows,)
        The colour shown by the run before, and that run's colour before hysteresis and override;
        missing or grey for accounts without one, which are left as they are.
    margin : float
        Log-odds by which p has to be below a threshold; 0 switches hysteresis off.
    """
    now, shown, before = to_codes(raw), to_codes(previous), to_codes(previous_raw)
    if margin == 0:
        return to_colours(now)
    scores = np.asarray(p, dtype=float)
    still_red = to_codes(light(_shift(scores, margin * _OUT_OF_RED))) == severity(Colour.RED)
    not_green = to_codes(light(_shift(scores, margin))) != severity(Colour.GREEN)
    cleared = np.where(still_red, severity(Colour.RED), np.where(not_green, severity(Colour.AMBER), now))
    cleared = np.maximum(now, cleared)
    twice = np.where(before == GREY_CODE, cleared, np.maximum(now, before))
    supported = np.minimum(cleared, twice)
    held = np.where(now < shown, np.minimum(shown, supported), now)
    known = (now != GREY_CODE) & (shown != GREY_CODE)
    return to_colours(np.where(known, held, now).astype(np.int8))


def _shift(p: npt.NDArray[np.float64], margin: float) -> npt.NDArray[np.float64]:
    """Return p moved up by a number of log-odds; 0 and 1 stay."""
    factor = np.exp(margin)
    return np.asarray(p * factor / (1.0 - p + p * factor))
