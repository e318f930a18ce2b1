"""The churn rate per account and snapshot, bounded with accounts as the independent units.

One account gives several rows, one per snapshot, and they depend on each other. To count rows as if they were accounts
promises too much; to keep one row per account wastes most of the data. Here every row counts, and the bounds come from
what each *account* did. With ``A`` an account's rows of a colour and ``B`` the churned ones among them, the rate is
churned rows per row, ``r = E[B] / E[A]``, over the accounts with such a row.

- **Churned at most once** (a contract that ended is over, label windows do not overlap): ``B`` is 0 or 1, so ``E[B]``
  is the share of accounts that churned, with its exact bound (Clopper & Pearson 1934, Biometrika 26, 404-413), whatever
  an account's rows have in common.
- **Churned several times** (silence in overlapping windows): ``E[B]`` is the sum of the shares of accounts with at
  least 1, 2, … churned rows, and the bound is the sum of their exact bounds: the Stringer bound (1963, Proceedings of
  the Business and Economic Statistics Section, American Statistical Association, 405-411) for integer values. It equals
  Clopper-Pearson when all of an account's rows agree, and is conservative in large samples (Bickel 1992, International
  Statistical Review 60, 197-209; Pap & van Zuijlen 1996, Statistica Neerlandica 50, 367-389). For small ones there is
  no proof: the tests of this package simulate them.
- **The mean exposure** ``E[A]`` is estimated too. Its error widens the bound as a smaller number of accounts would: the
  effective sample size (Korn & Graubard 1998, Survey Methodology 24, 193-201) with the variance of ``B - rA``. On the
  sample world that is 1 % fewer accounts for green and 6 to 16 % fewer for red. It is right to first order; with one
  row per account the bound is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaincinv  # scipy publishes no types

from churnrisk.errors import ContractError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: A promise counts as contradicted when a one-sided bound of this confidence lies on its wrong side.
CONTRADICTION = 0.95
# Where few churned, repeat churners may go unseen: with 30 churned accounts, a share of one in ten shows up in
# 96 of 100 blocks.
_ENOUGH_CHURNED = 30
_ROUNDING = 1e-9


def upper_bound(churned: npt.ArrayLike, accounts: npt.ArrayLike, confidence: float) -> Floats:
    """Return the one-sided upper Clopper-Pearson bound (1934) of a rate; 1 where nothing was counted."""
    k, n = np.broadcast_arrays(np.asarray(churned, float), np.asarray(accounts, float))
    certain = k >= n
    bound = betaincinv(k + 1, np.where(certain, 1.0, n - k), confidence)
    return np.where(certain, 1.0, bound)


def lower_bound(churned: npt.ArrayLike, accounts: npt.ArrayLike, confidence: float) -> Floats:
    """Return the one-sided lower Clopper-Pearson bound of a rate; 0 where nothing was counted."""
    n = np.asarray(accounts, float)
    return 1.0 - upper_bound(n - np.asarray(churned, float), n, confidence)


def odds_times(rate: float, factor: float) -> float:
    """Return the rate at so many times the odds."""
    odds = rate / (1.0 - rate) * factor
    return odds / (1.0 + odds)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over accounts in nested sets of rows, one column per set.

    ``rows`` is the sum of each account's rows ``A`` in the set, ``rows_squared`` of ``A²``, ``churned_exposure`` of
    ``A · B``. ``churned`` has shape (levels, sets): accounts with at least 1, 2, … churned rows.
    """

    accounts: Floats
    rows: Floats
    rows_squared: Floats
    churned: Floats
    churned_exposure: Floats

    @property
    def rate(self) -> Floats:
        """Churned rows per row; NaN where there is no row."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.churned.sum(axis=0) / self.rows)

    def times(self, factor: float) -> Tally:
        """Return the tally of so many times the accounts, all alike."""
        return Tally(**{name: getattr(self, name) * factor for name in self.__slots__})

    def upper(self, confidence: float) -> Floats:
        """Return the one-sided upper bound of the rate, shape (sets,); 1 where nothing was counted."""
        return self._bound(upper_bound, confidence, empty=1.0)

    def lower(self, confidence: float) -> Floats:
        """Return the one-sided lower bound of the rate, shape (sets,); 0 where nothing was counted."""
        return self._bound(lower_bound, confidence, empty=0.0)

    def _bound(
        self, bound: Callable[[Floats, Floats, float], Floats], confidence: float, empty: float
    ) -> Floats:
        mean_rows = self.rows / np.maximum(self.accounts, 1.0)
        # The spread at the bound: at the observed rate it is zero where nobody churned.
        effect = self._design_effect(bound(self.churned, self.accounts, confidence), mean_rows)
        widened = bound(self.churned / effect, self.accounts / effect, confidence)
        rate = np.minimum(widened.sum(axis=0) / np.maximum(mean_rows, 1.0), 1.0)
        return np.where(self.accounts > 0, rate, empty)

    def _design_effect(self, shares: Floats, mean_rows: Floats) -> Floats:
        """Return Var(B - rA) / Var(B), at least 1, at these shares of accounts."""
        churned_rows = shares.sum(axis=0)
        rate = churned_rows / np.maximum(mean_rows, 1.0)
        spread = np.sqrt(shares * (1.0 - shares)).sum(axis=0) ** 2
        rows_variance = self.rows_squared / np.maximum(self.accounts, 1.0) - mean_rows**2
        # Churners often have fewer rows, which adds to the variance; one account with a single, churned row
        # is added for those not observed.
        churners_rows = (self.churned_exposure + 1.0) / (self.churned.sum(axis=0) + 1.0)
        fewer = np.maximum(mean_rows - churners_rows, 0.0)
        extra = rate**2 * rows_variance + 2.0 * rate * churned_rows * fewer
        varies = (spread > 0.0) & (rows_variance > _ROUNDING)
        return np.where(varies, 1.0 + extra / np.where(varies, spread, 1.0), 1.0)


def account_codes(groups: npt.ArrayLike | pd.Series | None, rows: int) -> Ints:
    """Return a number per account, shape (rows,); without groups every row counts as an account."""
    if groups is None:
        return np.arange(rows)
    named = np.asarray(groups, dtype=object)
    codes = np.asarray(pd.factorize(named)[0], dtype=np.int64)
    if len(codes) != rows or (codes < 0).any():
        raise ContractError(
            f"expected one account id per row, found {len(codes)} for {rows} rows, {int((codes < 0).sum())} missing."
        )
    return codes


def churn_levels(accounts: Ints, y: Ints) -> int:
    """Return the most often that one account can churn in a block: its largest number of churned rows.

    It is read from the whole block, never from one colour; with fewer than 30 churned accounts it is the most rows.
    """
    rows, churned = np.bincount(accounts, minlength=1), np.bincount(accounts[y == 1], minlength=1)
    enough = int((churned > 0).sum()) >= _ENOUGH_CHURNED
    return max(int((churned if enough else rows).max()), 1)


def tally(enters: Ints, accounts: Ints, y: Ints, *, sets: int, levels: int) -> Tally:
    """Tally nested sets of rows, each set holding the ones before it.

    ``enters`` is the first set that holds the row, ``sets`` or more for none; ``levels`` is :func:`churn_levels`.
    """
    order = np.lexsort((enters, accounts))
    order = order[enters[order] < sets]
    enters, accounts, y = enters[order], accounts[order], y[order]
    first = np.flatnonzero(np.diff(accounts, prepend=-1))
    lengths = np.diff(np.append(first, len(accounts)))
    rank = np.arange(len(accounts)) - np.repeat(first, lengths) + 1
    total = np.cumsum(y)
    churned = total - np.repeat((total - y)[first], lengths)

    def summed(weights: npt.NDArray[np.generic]) -> Floats:
        return np.cumsum(np.bincount(enters, weights=weights, minlength=sets))

    rows_of = (y == 1) & (churned <= levels)
    cells = np.bincount((churned[rows_of] - 1) * sets + enters[rows_of], minlength=levels * sets)
    return Tally(
        accounts=summed(rank == 1),
        rows=summed(np.ones(len(rank))),
        rows_squared=summed(2 * rank - 1),
        churned=np.cumsum(cells.reshape(levels, sets), axis=1).astype(float),
        # each row's increment of A·B, in the order in which rows enter
        churned_exposure=summed(rank * churned - (rank - 1) * (churned - y)),
    )


def tally_of(counted: Mask, accounts: Ints, y: Ints, *, levels: int) -> Tally:
    """Return the tally of one set of rows, given as a mask."""
    return tally(np.where(counted, 0, 1), accounts, y, sets=1, levels=levels)
