"""Kinds of accounts that get thresholds of their own, where there are enough of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision.bounds import lower_bound, upper_bound
from churnrisk.decision.exposure import Ints
from churnrisk.decision.policy import BY_NOTHING, BY_TENURE
from churnrisk.decision.stage import ADOPTER_DAYS
from churnrisk.errors import UsageError

#: The part that takes segments too small for thresholds of their own, and those never seen.
REST = "the others"
# A colour that holds a third of a segment, at half the odds that it promises (twice for red), can be certified.
_COLOUR_SHARE = 1.0 / 3.0
_BETTER = 2.0
_SIZES = np.unique(np.geomspace(10, 1_000_000, 400).astype(int))


def segments_of(X: pd.DataFrame, by: str) -> npt.NDArray[np.object_] | None:
    """Return the segment of each row, shape (rows,); None where there is only one.

    Parameters
    ----------
    X : DataFrame of shape (rows, features)
        One row per (account, as_of).
    by : str
        "tenure" tells customers of the first 90 days from the established ones, since newcomers churn in
        their own way (no tenure counts as long); "nothing" makes one segment; else a column of X, such as
        ``plan`` or one listed under ``[features] static``.

    Raises
    ------
    UsageError
        If X has no such column.
    """
    if by == BY_NOTHING or (by == BY_TENURE and "tenure_days" not in X):
        return None
    if by == BY_TENURE:
        return np.where((X["tenure_days"] < ADOPTER_DAYS).to_numpy(), "new", "established").astype(object)
    if by not in X:
        names = ", ".join(name for name in X.columns if not pd.api.types.is_numeric_dtype(X[name])) or "none"
        raise UsageError(
            f"segment_by expects {BY_TENURE!r}, {BY_NOTHING!r} or a signal of the model, found {by!r}. "
            f"Signals that name something: {names}. Mend it under [decision]."
        )
    return X[by].astype(object).where(X[by].notna(), "unknown").astype(str).to_numpy(dtype=object)


def accounts_needed(green_max: float, red_min: float, confidence: float, least: int) -> int:
    """Return how many accounts a segment needs for thresholds of its own.

    With so many, a green that holds a third of them and churns at half the odds promised would be certified, and a
    red at twice the odds likewise. It depends on the promises alone, never on labels.
    """
    good, bad = _odds_times(green_max, 1 / _BETTER), _odds_times(red_min, _BETTER)
    enough = (upper_bound(np.ceil(_SIZES * good), _SIZES, confidence) <= green_max) & (
        lower_bound(np.floor(_SIZES * bad), _SIZES, confidence) >= red_min
    )
    # from this size on, whatever rounding does in between
    fails = np.flatnonzero(~enough)
    first = int(_SIZES[min(fails[-1] + 1, len(_SIZES) - 1)]) if len(fails) else int(_SIZES[0])
    return int(np.ceil(max(first, least) / _COLOUR_SHARE))


def part_segments(segments: npt.NDArray[np.object_], accounts: Ints, needed: int) -> dict[str, str]:
    """Return which part each segment belongs to; parts are certified one by one.

    Segments of at least ``needed`` accounts stand alone. The others go together, and where they are too few even
    so, with the smallest that stands alone. So every part is certified on exactly the kinds of accounts
    that it will colour. Empty where no second part has enough.
    """
    sizes = pd.Series(accounts).groupby(segments).nunique().sort_values(ascending=False, kind="stable")
    alone = [str(name) for name in sizes.index[sizes >= needed]]
    small = [str(name) for name in sizes.index[sizes < needed]]
    parts = {name: name for name in alone}
    rest = REST
    if small and int(sizes[small].sum()) < needed and alone:
        rest = alone.pop()
    parts |= dict.fromkeys(small, rest)
    return parts if len(set(parts.values())) > 1 else {}


def _odds_times(rate: float, factor: float) -> float:
    odds = rate / (1.0 - rate) * factor
    return odds / (1.0 + odds)
