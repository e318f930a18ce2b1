"""Kinds of accounts: lifecycle stages, segments with their own thresholds, waves of newcomers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, stdtrit  # scipy publishes no types

from churnrisk.errors import UsageError
from churnrisk.lights.bounds import Ints, Mask, lower_bound, odds_times, upper_bound
from churnrisk.lights.config import BY_NOTHING, BY_TENURE
from churnrisk.lights.rules import UNUSUAL_SILENCE, conditions_hold, parse_conditions

ADOPTER_DAYS = 90
PROMOTER_SCORE = 9
#: Each says that a customer has not seen the value: unhappy, waiting for an answer, silent, used once in a year.
_VALUE_IN_DOUBT = ("last_survey_score <= 6", "open_complaints >= 1", UNUSUAL_SILENCE, "active_days_365 <= 1")
#: The part of segments too small for their own thresholds, and of those never seen.
REST = "the others"
# A colour that holds a third of a segment, at half the odds that it promises (twice for red), can be certified.
_COLOUR_SHARE = 1.0 / 3.0
_BETTER = 2.0
_SIZES = np.unique(np.geomspace(10, 1_000_000, 400).astype(int))
#: The column that the shipped rule "wave of newcomers" reads.
WAVE = "newcomer_wave"
_LEAST_DATES = 4
_CONFIDENCE = 0.975
#: A share below its mean times this factor in odds is never a wave, however steady the history.
_LEAST_RISE = 1.25


def lifecycle_stage(
    tenure_days: pd.Series, last_survey_score: pd.Series, signals: pd.DataFrame | None = None
) -> pd.Series:
    """Return "adopter", "loyalist" (stable, value proven) or "advocate" (last score 9 or 10) per account.

    Adopters are not yet sure that it was right: customers of under 90 days (unknown counts as long) and, by ``signals``
    in the same order, whoever scored 6 or less, has an open complaint, is unusually silent, or was active on one day of
    the year at most. A signal without a value, or that the tables do not feed, raises no doubt.
    """
    adopter = (tenure_days < ADOPTER_DAYS).to_numpy()
    if signals is not None:
        known = signals.assign(last_survey_score=last_survey_score.to_numpy())
        for doubt in _VALUE_IN_DOUBT:
            adopter = adopter | conditions_hold(parse_conditions(doubt, owner="stage"), known)
    promoter = (last_survey_score >= PROMOTER_SCORE).to_numpy()
    stages = np.select([adopter, promoter], ["adopter", "advocate"], default="loyalist")
    return pd.Series(stages, index=tenure_days.index, name="stage", dtype=object)


def segments_of(X: pd.DataFrame, by: str) -> npt.NDArray[np.object_] | None:
    """Return the segment of each row, shape (rows,); None where there is only one.

    `by` is "tenure" (the first 90 days, and later or unknown), "nothing", or a column of X such as ``plan``.
    """
    if by == BY_NOTHING or (by == BY_TENURE and "tenure_days" not in X):
        return None
    if by == BY_TENURE:
        return np.where((X["tenure_days"] < ADOPTER_DAYS).to_numpy(), "new", "established").astype(object)
    if by not in X:
        names = ", ".join(name for name in X.columns if not pd.api.types.is_numeric_dtype(X[name])) or "none"
        raise UsageError(
            f"segment_by expects {BY_TENURE!r}, {BY_NOTHING!r} or a signal of the model, found {by!r}. "
            f"Signals that name something: {names}. Fix it under [decision]."
        )
    return X[by].astype(object).where(X[by].notna(), "unknown").astype(str).to_numpy(dtype=object)


def accounts_needed(green_max: float, red_min: float, confidence: float, least: int) -> int:
    """Return how many accounts a segment needs for its own thresholds; from the promises alone, never from labels."""
    good, bad = odds_times(green_max, 1 / _BETTER), odds_times(red_min, _BETTER)
    enough = (upper_bound(np.ceil(_SIZES * good), _SIZES, confidence) <= green_max) & (
        lower_bound(np.floor(_SIZES * bad), _SIZES, confidence) >= red_min
    )
    # the first size after the last failure: rounding makes single sizes fail
    fails = np.flatnonzero(~enough)
    first = int(_SIZES[min(fails[-1] + 1, len(_SIZES) - 1)]) if len(fails) else int(_SIZES[0])
    return int(np.ceil(max(first, least) / _COLOUR_SHARE))


def part_segments(segments: npt.NDArray[np.object_], accounts: Ints, needed: int) -> dict[str, str]:
    """Return the part of each segment; empty where no second part is large enough.

    Segments of at least ``needed`` accounts stand alone. The others are pooled, and where they are too few even so,
    with the smallest that stands alone: every part is certified on exactly the kinds of accounts that it colours.
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


@dataclass(frozen=True, slots=True)
class Newcomers:
    """How large a share of the accounts is usually new: came within ``within_days``, at most ``usual_share``.

    A campaign or a free week brings accounts unlike those that the colours were certified on: they look busy and leave.
    The usual share is the upper end of the 95 % prediction interval of the next snapshot's log-odds, from the spread
    *between* past snapshots; so the alarm does not grow with the number of accounts, as a test of equal shares would.
    """

    within_days: float
    usual_share: float

    @classmethod
    def learn(cls, tenure_days: pd.Series, as_of: pd.Index) -> Self | None:
        """Learn from past snapshots, one row per (account, as_of); None where they are fewer than four."""
        dates = pd.DatetimeIndex(as_of.unique()).sort_values()
        if len(dates) < _LEAST_DATES:
            return None
        within = float(np.median(np.diff(dates.to_numpy()) / np.timedelta64(1, "D")))
        new = pd.Series((tenure_days <= within).to_numpy()).groupby(np.asarray(as_of))
        shares = logit(((new.sum() + 0.5) / (new.count() + 1.0)).to_numpy())
        spread = shares.std(ddof=1) * np.sqrt(1.0 + 1.0 / len(shares)) * stdtrit(len(shares) - 1, _CONFIDENCE)
        return cls(within, float(expit(shares.mean() + max(spread, np.log(_LEAST_RISE)))))

    def wave(self, X: pd.DataFrame, counted: Mask) -> Mask:
        """Return which rows came with a wave: the share among the `counted` rows, per ``as_of`` where X has it."""
        new = (X["tenure_days"] <= self.within_days).to_numpy() & counted
        dates = X.index.get_level_values("as_of") if "as_of" in X.index.names else np.zeros(len(X))
        sums = pd.DataFrame({"new": new, "counted": counted}).groupby(np.asarray(dates)).transform("sum")
        share = (sums["new"] + 0.5) / (sums["counted"] + 1.0)
        return new & (share > self.usual_share).to_numpy()


def mark_wave(X: pd.DataFrame, newcomers: Newcomers | None, counted: Mask) -> pd.DataFrame:
    """Return X with the column :data:`WAVE`: 1 for accounts that came with a wave, else 0."""
    if newcomers is None or "tenure_days" not in X:
        return X.assign(**{WAVE: 0.0})
    return X.assign(**{WAVE: newcomers.wave(X, counted).astype(float)})
