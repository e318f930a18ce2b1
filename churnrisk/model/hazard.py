"""Time to churn: a discrete-time hazard from the same features, Kaplan-Meier estimates, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, ndtri
from sklearn.base import BaseEstimator
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from churnrisk.errors import ModelInputError
from churnrisk.model.classifier import ChurnClassifier
from churnrisk.model.evaluation import Ranked, account_weights, interval_of
from churnrisk.model.splits import ACCOUNT, AS_OF, Bools, Floats, Ints, accounts_or_rows, as_of_of, uniform_of
from churnrisk.records import Interval

#: The column that numbers the periods.
AHEAD = "periods_ahead"


class ChurnHazard(BaseEstimator):  # type: ignore[misc]
    """Survival curve per (account_id, as_of): a discrete-time hazard over periods of equal length.

    Every row is repeated once for each period that it is known to have begun, with the outcome of that period, and one
    `ChurnClassifier` learns them all: its probability is the hazard, the chance to be lost in a period for those
    who were still there. A row that is known up to some period counts until then and no further (censoring).

    Parameters
    ----------
    period_days, max_periods : int
        Length of a period, and how many there are; later ones are ignored.
    ageing : dict of str to {-1, 1}, optional
        Columns that move with the calendar by themselves, by one a day: tenure grows, days to renewal shrink.
    monotone, candidates, embargo_days, min_class_count, random_state
        As in `ChurnClassifier`. The additive model evaluates a further period at the cost of a few columns.
    min_at_risk : int
        The curve ends before the first period that fewer rows are known to have begun.
    max_rows : int
        A sample of the accounts is used where the repeated rows are more than this.

    Attributes
    ----------
    model_ : ChurnClassifier
        Fitted on the repeated rows.
    n_periods_, limit_days_ : int
        Periods that the curve covers, and the day on which it ends.

    Notes
    -----
    Sources: Singer & Willett (1993), Journal of Educational Statistics 18, 155-195; Tutz & Schmid (2016), Modeling
    Discrete Time-to-Event Data, chapters 3 and 5.
    """

    def __init__(
        self,
        *,
        period_days: int = 30,
        max_periods: int = 12,
        ageing: Mapping[str, int] | None = None,
        monotone: Mapping[str, int] | None = None,
        candidates: tuple[str, ...] = ("additive",),
        embargo_days: int = 30,
        min_at_risk: int = 50,
        max_rows: int = 60_000,
        min_class_count: int = 10,
        random_state: int = 0,
    ) -> None:
        self.period_days = period_days
        self.max_periods = max_periods
        self.ageing = ageing
        self.monotone = monotone
        self.candidates = candidates
        self.embargo_days = embargo_days
        self.min_at_risk = min_at_risk
        self.max_rows = max_rows
        self.min_class_count = min_class_count
        self.random_state = random_state

    def fit(self, X: Any, y: Any, churned: Any = None) -> Self:
        """Learn the hazard of every period.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, d)
        y : array-like of shape (n,)
            Days until the account was lost, or until which it is known to have stayed.
        churned : array-like of bool, shape (n,), optional
            Whether it was lost then; all were by default.

        Raises
        ------
        ModelInputError
            When a number of days is missing or negative, too few rows begin a period, or losses are too rare.
        """
        frame = self._frame(X, reset=True)
        periods, lost = self._periods(frame, y, churned)
        begun = np.array([(periods >= k).sum() for k in range(1, self.max_periods + 1)])
        self.n_periods_ = int((begun >= self.min_at_risk).cumprod().sum())
        if not self.n_periods_:
            raise ModelInputError(
                f"expected {self.min_at_risk} rows or more that are known to have stayed or gone within a period of "
                f"{self.period_days} days, found {begun[0]}. Widen the history or lower min_at_risk."
            )
        self.limit_days_ = self.n_periods_ * self.period_days
        long, gone = self._repeated(frame, periods, lost)
        self.model_ = ChurnClassifier(
            candidates=self.candidates,
            monotone=self.monotone,
            embargo_days=self.embargo_days,
            min_class_count=self.min_class_count,
            n_models=1,
            n_splits=2,
            random_state=self.random_state,
        ).fit(long, gone)
        return self

    def calibrate(self, X: Any, y: Any, churned: Any = None) -> Self:
        """Fit the map from log-odds to hazards on a later block; see :meth:`ChurnClassifier.calibrate`."""
        check_is_fitted(self)
        frame = self._frame(X)
        self.model_.calibrate(*self._repeated(frame, *self._periods(frame, y, churned)))
        return self

    def hazards(self, X: Any) -> Floats:
        """Return the chance of being lost in each period for those still there, shape (n, n_periods_)."""
        check_is_fitted(self)
        frame = self._frame(X)
        now = frame.assign(**{AHEAD: 0.0})
        raw = self.model_.raw_log_odds(now)
        later = [
            self.model_.log_odds_if(now, self._aged(frame, np.full(len(frame), float(k))), raw=raw)
            for k in range(self.n_periods_)
        ]
        return np.asarray(expit(np.column_stack(later)), dtype=np.float64)

    def curves(self, X: Any, *, first: npt.ArrayLike | None = None) -> Floats:
        """Return the chance of still being there now and after each period, shape (n, n_periods_ + 1)."""
        hazards = self.hazards(X)
        if first is not None:
            hazards[:, 0] = np.asarray(first, dtype=np.float64)
        # keep curves above 0, for the logarithm
        stays = np.cumprod(1.0 - np.minimum(hazards, 1.0 - 1e-12), axis=1)
        return np.column_stack([np.ones(len(stays)), np.maximum(stays, 1e-300)])

    def predict_survival(self, X: Any, days: npt.ArrayLike, *, first: npt.ArrayLike | None = None) -> Floats:
        """Return the chance of still being there after so many days, shape (n, len(days)).

        Within a period the hazard is constant; beyond ``limit_days_`` the chance is NaN. `first` is the chance of being
        lost in the first period, shape (n,), from a better model.
        """
        at_ends = self.curves(X, first=first)
        at = np.atleast_1d(np.asarray(days, dtype=np.float64)) / self.period_days
        whole = np.clip(np.floor(at), 0, self.n_periods_ - 1).astype(np.int64)
        log_survival = np.log(at_ends)
        start, end = log_survival[:, whole], log_survival[:, whole + 1]
        found = np.exp(start + (at - whole) * (end - start))
        found[:, (at < 0) | (at > self.n_periods_)] = np.nan
        return np.asarray(found, dtype=np.float64)

    def median_days(self, X: Any, *, first: npt.ArrayLike | None = None) -> Floats:
        """Return after how many days half of such accounts are gone, shape (n,); NaN where not by ``limit_days_``."""
        return median_days_of(self.curves(X, first=first), self.period_days)

    def expected_days(self, X: Any, *, first: npt.ArrayLike | None = None) -> Floats:
        """Return how many of the next ``limit_days_`` an account is expected to stay (restricted mean), shape (n,)."""
        return mean_days_of(self.curves(X, first=first), self.period_days)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _frame(self, X: Any, *, reset: bool = False) -> pd.DataFrame:
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if AHEAD in X:
                raise ModelInputError(f"the column {AHEAD!r} is the model's own. Rename or drop yours.")
            return X
        finite: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        values = validate_data(self, X, reset=reset, ensure_min_samples=1 + reset, **finite)
        return pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])

    def _periods(self, frame: pd.DataFrame, y: Any, churned: Any) -> tuple[Ints, Bools]:
        """Return how many periods of each row are known, and whether it was lost in the last of them."""
        if y is None:
            raise ModelInputError("fit requires y to be passed, but the target y is None. Give the days.")
        days = np.asarray(column_or_1d(y, warn=True), dtype=np.float64)
        lost = np.ones(len(days), dtype=bool) if churned is None else np.asarray(churned).astype(bool)
        check_consistent_length(frame, days, lost)
        if not (np.isfinite(days) & (days >= 0)).all():
            raise ModelInputError(
                "expected days of 0 or more for every row, found missing, negative or infinity. "
                "Leave out rows that nothing is known of (NaN)."
            )
        lengths = days / self.period_days
        periods = np.where(lost, np.maximum(np.ceil(lengths), 1), np.floor(lengths)).astype(np.int64)
        return periods, lost

    def _repeated(self, frame: pd.DataFrame, periods: Ints, lost: Bools) -> tuple[pd.DataFrame, Bools]:
        """Return a row per row and period, and whether the account was lost in it."""
        counts = np.minimum(periods, self.n_periods_)
        accounts = accounts_or_rows(frame)
        if counts.sum() > self.max_rows:
            counts = np.where(
                uniform_of(accounts, self.random_state + 4) < self.max_rows / counts.sum(), counts, 0
            )
        row = np.repeat(np.arange(len(frame)), counts)
        ahead = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        long = frame.iloc[row].copy()
        aged = self._aged(long, ahead.astype(np.float64))
        long[aged.columns] = aged
        levels: dict[str, Any] = {ACCOUNT: accounts[row]}
        if (as_of := as_of_of(frame)) is not None:
            # each period gets its own date, so that folds stay in time order
            levels[AS_OF] = as_of[row] + ahead * np.timedelta64(self.period_days, "D")
        long.index = pd.MultiIndex.from_arrays(list(levels.values()), names=list(levels))
        return long, lost[row] & (ahead == periods[row] - 1)

    def _aged(self, frame: pd.DataFrame, ahead: Floats) -> pd.DataFrame:
        """Return the columns that change by themselves after so many periods."""
        days = ahead * self.period_days
        aged = {
            name: frame[name].to_numpy(dtype=np.float64, na_value=np.nan) + sign * days
            for name, sign in (self.ageing or {}).items()
            if name in frame
        }
        return pd.DataFrame({**aged, AHEAD: ahead}, index=frame.index)


def median_days_of(curves: Floats, period_days: int) -> Floats:
    """Return the days after which each of :meth:`ChurnHazard.curves` falls to one half, shape (n,); NaN: not at all."""
    before = np.clip((curves > 0.5).sum(axis=1) - 1, 0, curves.shape[1] - 2)
    row = np.arange(len(curves))
    start, end = np.log(curves[row, before]), np.log(curves[row, before + 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (before + (np.log(0.5) - start) / (end - start)) * period_days
    return np.where(curves[:, -1] <= 0.5, found, np.nan)


def mean_days_of(curves: Floats, period_days: int) -> Floats:
    """Return the area under each of :meth:`ChurnHazard.curves` in days, shape (n,)."""
    start, end = curves[:, :-1], curves[:, 1:]
    fall = np.log(start) - np.log(end)
    mean = np.divide(start - end, fall, out=start.copy(), where=fall > 1e-9)
    return np.asarray(mean.sum(axis=1) * period_days, dtype=np.float64)


@dataclass(frozen=True)
class KaplanMeier:
    """The product-limit estimate of the share that is still there, with log-log intervals.

    Attributes
    ----------
    days, at_risk, lost, survival, low, high : ndarray of float64, shape (k,)
        One per day of life on which an account was lost, ascending: how many were there until then and lost, the share
        still there afterwards, and its bounds.
    since, until : float
        The first and the last day of life that any account was seen on. With `since` above 0 the shares are those of
        the accounts that were still there on it.

    Notes
    -----
    Sources: Kaplan & Meier (1958), Journal of the American Statistical Association 53, 457-481; the variance is
    Greenwood's (1926), the interval that of its log-log transform (Kalbfleisch & Prentice 1980), which stays
    within 0 and 1; for lives that are seen from some day on only: Tsai, Jewell & Wang (1987), Biometrika 74, 883-886.
    """

    days: Floats
    at_risk: Floats
    lost: Floats
    survival: Floats
    low: Floats
    high: Floats
    accounts: int
    since: float
    until: float

    @classmethod
    def fit(
        cls,
        days: npt.ArrayLike,
        lost: npt.ArrayLike,
        *,
        entered: npt.ArrayLike | None = None,
        confidence: float = 0.95,
    ) -> Self:
        """Estimate from one life per account.

        Parameters
        ----------
        days : array-like of shape (n,)
            Length of the life, or of what is seen of it.
        lost : array-like of bool, shape (n,)
            False where the account was still there at the end (censored).
        entered : array-like of shape (n,), optional
            Days of life that had passed when the data begin: an earlier loss would not be in them, so the account
            counts from then on only.
        confidence : float

        Raises
        ------
        ModelInputError
            When lengths differ, there is no row, or a number of days is missing or negative.
        """
        ends, gone, starts = _checked(days, lost, np.zeros(np.shape(days)) if entered is None else entered)
        seen = ends > starts
        ends, gone, starts = ends[seen], gone[seen], starts[seen]
        when, counts = np.unique(ends[gone], return_counts=True)
        # at risk on a day: entered before it and observed up to it
        at_risk = np.searchsorted(np.sort(starts), when) - np.searchsorted(np.sort(ends), when)
        survival = np.cumprod(1 - counts / at_risk)
        low, high = _log_log(survival, _greenwood(counts, at_risk), float(ndtri(0.5 + confidence / 2)))
        return cls(
            when,
            at_risk.astype(np.float64),
            counts.astype(np.float64),
            survival,
            low,
            high,
            accounts=int(seen.sum()),
            since=float(starts.min()) if seen.any() else 0.0,
            until=float(ends.max(initial=0.0)),
        )

    def at(self, days: npt.ArrayLike) -> Floats:
        """Return the share still there after so many days, shape of `days`; NaN outside the days of life seen."""
        at = np.asarray(days, dtype=np.float64)
        found = np.append(1.0, self.survival)[np.searchsorted(self.days, at, side="right")]
        return np.where((at >= self.since) & (at <= self.until), found, np.nan)


def _checked(
    days: npt.ArrayLike, lost: npt.ArrayLike, entered: npt.ArrayLike
) -> tuple[Floats, Bools, Floats]:
    ends, starts = np.asarray(days, dtype=np.float64), np.asarray(entered, dtype=np.float64)
    gone = np.asarray(lost).astype(bool)
    if not len(ends) or not ends.shape == gone.shape == starts.shape:
        raise ModelInputError(
            f"expected one life per account, found {ends.shape} days, {gone.shape} losses, {starts.shape} entries."
        )
    if not (np.minimum(ends, starts) >= 0).all():
        raise ModelInputError(
            "expected days of 0 or more, found missing or negative ones. Leave out accounts without a sign-up date."
        )
    return ends, gone, starts


def _greenwood(lost: npt.NDArray[np.int64], at_risk: npt.NDArray[np.int64]) -> Floats:
    """Return the variance of the logarithm of the survival, infinite once no account is left."""
    with np.errstate(divide="ignore"):
        return np.cumsum(lost / (at_risk * (at_risk - lost).astype(np.float64)))


def _log_log(survival: Floats, variance: Floats, z: float) -> tuple[Floats, Floats]:
    left = survival > 0
    log_survival = np.log(np.where(left, survival, 0.5))
    spread = np.exp(z * np.sqrt(np.where(left, variance, 0.0)) / np.abs(log_survival))
    low = np.where(left, np.exp(log_survival * spread), 0.0)
    high = np.where(left, np.exp(log_survival / spread), np.nan)
    # The transform is undefined where no account is left; the bound of the day before still holds.
    return low, np.fmin.accumulate(np.where(np.isnan(high), 1.0, high))


@dataclass(frozen=True)
class SurvivalFigures:
    """Figures of survival curves at some days, with account-level bootstrap intervals."""

    days: tuple[float, ...]
    #: Per day: the chance that of two accounts, one lost by then and one not, the lost one had the lower curve there.
    auc: tuple[Interval, ...]
    #: Per day: mean squared gap between the curve and 1 (still there) or 0 (lost).
    brier: tuple[Interval, ...]
    #: Means over the days, the Brier score's by the area under it.
    mean_auc: Interval
    integrated_brier: Interval


def evaluate_survival(
    y: npt.ArrayLike,
    churned: npt.ArrayLike,
    survival: npt.ArrayLike,
    days: npt.ArrayLike,
    account_id: npt.ArrayLike,
    *,
    n_boot: int = 200,
    seed: int = 0,
) -> SurvivalFigures:
    """Measure survival curves on rows that the model has not seen.

    Parameters
    ----------
    y, churned : array-like of shape (n,)
        As :meth:`ChurnHazard.fit` takes them.
    survival : array-like of shape (n, m)
        The chance of still being there after each of `days`.
    days : array-like of shape (m,)
        Ascending; at each, a row must have been lost and another be known to be there.
    account_id : array-like of shape (n,)
        Units of the bootstrap.

    Raises
    ------
    ModelInputError
        When shapes differ, or a day has no row on one of its sides.

    Notes
    -----
    Sources: the cumulative/dynamic AUC with inverse-probability-of-censoring weights, Uno et al. (2007), Journal of the
    American Statistical Association 102, 527-537; the Brier score, Graf et al. (1999), Statistics in Medicine 18,
    2529-2545. The censoring distribution is its Kaplan-Meier estimate.
    """
    known, lost = np.asarray(y, dtype=np.float64), np.asarray(churned).astype(bool)
    curves, at_days = np.asarray(survival, dtype=np.float64), np.asarray(days, dtype=np.float64)
    if known.shape != lost.shape or curves.shape != (len(known), len(at_days)):
        raise ModelInputError(
            f"expected a curve per row and a value per day, shape {(len(known), len(at_days))}, found {curves.shape}."
        )
    drawn = account_weights(np.asarray(account_id), n_boot=n_boot, seed=seed)
    auc, brier = [], []
    for column, day in enumerate(at_days):
        weights = censoring_weights(known, lost, day=float(day))
        gone = lost & (known <= day)
        if not (weights[gone].any() and weights[~gone].any()):
            raise ModelInputError(
                f"expected rows that were lost by day {day:g} and rows known to be there, found one kind only. "
                "Pass other days."
            )
        weighed = drawn * weights
        with np.errstate(divide="ignore", invalid="ignore"):
            auc.append(Ranked(gone, -curves[:, column]).figures(weighed, capacity=0.1)["auc"])
        brier.append(weighed @ (curves[:, column] - ~gone) ** 2 / drawn.sum(axis=1))
    return SurvivalFigures(
        tuple(at_days),
        tuple(map(interval_of, auc)),
        tuple(map(interval_of, brier)),
        interval_of(np.mean(auc, axis=0)),
        interval_of(_area(at_days, np.array(brier))),
    )


def censoring_weights(y: Floats, churned: Bools, *, day: float) -> Floats:
    """Return how many rows each stands for on a day (inverse probability of censoring); 0 if cut off before."""
    if churned.all():
        return np.ones(len(y))
    censoring = KaplanMeier.fit(y, ~churned)
    gone = churned & (y <= day)
    # censored on a day counts as known through it
    at = np.nextafter(np.where(gone, y, day), -np.inf)
    left = np.append(1.0, censoring.survival)[np.searchsorted(censoring.days, at, side="right")]
    weights: Floats = np.divide(1.0, left, out=np.zeros(len(y)), where=(gone | (y >= day)) & (left > 0))
    return weights


def _area(days: Floats, brier: Floats) -> Floats:
    """Return the mean height of each draw's curve through its values at the days."""
    if len(days) == 1:
        return np.asarray(brier[0])
    return np.asarray(np.trapezoid(brier, days, axis=0) / (days[-1] - days[0]))
