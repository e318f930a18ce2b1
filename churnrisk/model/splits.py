"""Time-ordered folds and blocks of a panel, the index levels they read, and array types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from churnrisk.errors import ContractError, ModelInputError, TooYoungError

ACCOUNT = "account_id"
AS_OF = "as_of"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Dates = npt.NDArray[np.datetime64]

# Shares of the accounts in a split by account; the rest tests.
_FIT_SHARE, _CALIBRATION_SHARE = 0.6, 0.2
#: Share of the accounts that calibrate where no later block of dates can.
HELD_OUT_SHARE = 0.3

HINT = (
    "Widen the history, reduce the horizon or the number of test snapshots, "
    'or set split = "accounts" under [model] in churnrisk.toml.'
)


class PanelSplit(BaseCrossValidator):  # type: ignore[misc]
    """Expanding, time-ordered folds over a panel, with an embargo before each validation block.

    Every validation row is at least `embargo_days` later than the last training row of its fold, so
    with ``embargo_days = gap + horizon`` no training label reaches into the validation block.

    Parameters
    ----------
    n_splits : int, default 3
        Number of folds; each validates on a later block of as-of dates than the fold before.
    embargo_days : int, default 30
        Least distance in days between the last training and the first validation date.
    """

    def __init__(self, n_splits: int = 3, *, embargo_days: int = 30) -> None:
        self.n_splits = n_splits
        self.embargo_days = embargo_days

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:
        """Yield (train, validation) row positions, oldest fold first.

        Parameters
        ----------
        X : DataFrame of shape (n, d)
            Its index level ``as_of`` gives the dates.
        groups : array-like of dates, shape (n,), optional
            As-of date of each row, where `X` has no such level; else ignored, since searches pass accounts as
            groups.

        Raises
        ------
        ModelInputError
            When no dates are given, or they are too few for the folds and the embargo.
        """
        as_of = as_of_of(X)
        if as_of is None:
            as_of = _dates_of(groups)
        for last_train, dates in date_folds(as_of, self.n_splits, self.embargo_days):
            yield np.flatnonzero(as_of <= last_train), np.flatnonzero(np.isin(as_of, dates))


def _dates_of(groups: Any) -> Dates:
    """Return groups as dates; refuse account ids, which a search may pass on."""
    values = np.asarray(groups)
    if values.dtype.kind == "M" or (values.size and isinstance(values.flat[0], date)):
        return as_dates(groups)
    raise ModelInputError(
        f"PanelSplit needs an as-of date per row, found {'none' if groups is None else 'groups that are no dates'}. "
        "Give X an index with a level 'as_of', or pass the dates as groups."
    )


def date_folds(as_of: Dates, n_splits: int, embargo_days: int) -> list[tuple[np.datetime64, Dates]]:
    """Return (last training date, validation dates) per fold, oldest first."""
    dates = np.unique(as_of)
    embargo = np.timedelta64(embargo_days, "D")
    usable = dates[(dates >= dates[0] + embargo) & (dates > dates[0])] if len(dates) else dates
    if n_splits < 1 or len(usable) < n_splits:
        raise ModelInputError(
            f"{n_splits} time-ordered folds need at least {n_splits} as-of dates that lie {embargo_days} "
            f"days or more after the first one, found {len(usable)} of {len(dates)} dates. {HINT}"
        )
    # The first third stays for training where there is enough, so that the oldest fold learns something.
    keep = min(len(usable), max(n_splits, len(dates) - len(dates) // 3))
    chunks = np.array_split(usable[-keep:], n_splits)
    return [(_before(dates, chunk, embargo)[-1], chunk) for chunk in chunks]


@dataclass(frozen=True)
class Blocks:
    """Masks of rows, shape (n,): fit, later calibration, latest test; ``notes`` say what is smaller than requested."""

    fit: Bools
    calibration: Bools
    test: Bools
    notes: tuple[str, ...] = ()


def blocks(
    as_of: Sequence[Any] | npt.NDArray[Any] | pd.Index,
    *,
    embargo_days: int,
    test_snapshots: int,
    calibration_snapshots: int,
    account_id: Sequence[Any] | npt.NDArray[Any] | pd.Index | None = None,
    seed: int = 0,
) -> Blocks:
    """Cut a panel into fit, calibration and test blocks of as-of dates in time order.

    The requested sizes hold where the dates suffice; else the calibration block shrinks first, then the test block,
    and ``notes`` says so. Where the history is too short for a calibration block between the other two, and
    `account_id` is given, held-out accounts of the latest training dates calibrate instead. ``embargo_days = gap +
    horizon`` is the least distance between two blocks.
    """
    row_dates = as_dates(as_of)
    dates = np.unique(row_dates)
    embargo = np.timedelta64(embargo_days, "D")
    for test, calibration in product(range(test_snapshots, 0, -1), range(calibration_snapshots, 0, -1)):
        cut = _cut(dates, embargo, test, calibration)
        if cut is None:
            continue
        sizes = (("test", test_snapshots, test), ("calibration", calibration_snapshots, calibration))
        notes = tuple(
            f"the {name} block has {got} as-of dates instead of {requested}: only {len(dates)} dates are mature"
            for name, requested, got in sizes
            if got < requested
        )
        fit, calibrates, tests = (np.isin(row_dates, block) for block in cut)
        return Blocks(fit, calibrates, tests, notes)
    for test in range(test_snapshots if account_id is not None else 0, 0, -1):
        before = _before(dates, dates[-test:], embargo)
        if not len(before):
            continue
        held_out = uniform_of(account_id, seed + 3) < HELD_OUT_SHARE
        note = (
            f"the history is too short for a later calibration block: {HELD_OUT_SHARE:.0%} of the accounts, held out "
            "of training, calibrate on the latest training dates instead"
        )
        calibrates = np.isin(row_dates, before[-calibration_snapshots:]) & held_out
        tests = np.isin(row_dates, dates[-test:])
        return Blocks(np.isin(row_dates, before) & ~held_out, calibrates, tests, (note,))
    raise TooYoungError(
        f"a fit, a calibration and a test block with {embargo_days} days between them need at least 3 as-of "
        f"dates that span {2 * embargo_days} days, found {_span(dates)}. {HINT}"
    )


def _cut(
    dates: Dates, embargo: np.timedelta64, test: int, calibration: int
) -> tuple[Dates, Dates, Dates] | None:
    """Return the dates of the three blocks; None where they are too few."""
    last = dates[-test:]
    middle = _before(dates, last, embargo)[-calibration:]
    first = _before(dates, middle, embargo)
    return (first, middle, last) if len(middle) == calibration and len(first) else None


def _before(dates: Dates, block: Dates, embargo: np.timedelta64) -> Dates:
    """Return the dates whose label windows end before a block begins; none before an empty block."""
    if not len(block):
        return block
    before: Dates = dates[(dates <= block[0] - embargo) & (dates < block[0])]
    return before


def _span(dates: Dates) -> str:
    if len(dates) == 0:
        return "none"
    days = int((dates[-1] - dates[0]) / np.timedelta64(1, "D"))
    return f"{len(dates)} as-of date{'s' if len(dates) > 1 else ''} that span {days} days"


def account_blocks(account_id: Sequence[Any] | npt.NDArray[Any] | pd.Index, *, seed: int) -> Blocks:
    """Cut rows into account-disjoint blocks of about 60, 20 and 20 %, by id and seed alone, for data of one date."""
    place = uniform_of(account_id, seed)
    fit, test = place < _FIT_SHARE, place >= _FIT_SHARE + _CALIBRATION_SHARE
    cut = Blocks(fit, ~fit & ~test, test, ("split by account, not by time",))
    if not (cut.fit.any() and cut.calibration.any() and cut.test.any()):
        raise ContractError(
            f"a split by account needs accounts in each of its three blocks, found {len(pd.unique(place))} "
            "accounts in all. Add accounts."
        )
    return cut


def uniform_of(account_id: Any, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) per row, shape (n,), that depends on the account and the seed alone."""
    ids = np.asarray(account_id).astype(str).astype(object)
    key = f"churnrisk{seed:07d}"[:16].ljust(16, "0")
    hashed = pd.util.hash_array(ids, hash_key=key, categorize=True)
    # Only 53 bits fit a float64 exactly.
    return np.asarray((hashed >> np.uint64(11)) / float(1 << 53), dtype=np.float64)


def level_of(X: Any, name: str) -> npt.NDArray[Any] | None:
    """Return one index level of a frame as an array; None when `X` has no such level."""
    index = getattr(X, "index", None)
    if not isinstance(index, pd.Index) or name not in index.names:
        return None
    return np.asarray(index.get_level_values(name))


def as_of_of(X: Any) -> Dates | None:
    """Return the as-of dates of the rows, shape (n,); None when the index lacks them."""
    values = level_of(X, AS_OF)
    return None if values is None else values.astype("datetime64[ns]")


def accounts_or_rows(X: Any) -> npt.NDArray[Any]:
    """Return the account of each row, shape (n,); without accounts in the index every row is its own."""
    accounts = level_of(X, ACCOUNT)
    return np.arange(len(X)).astype(str) if accounts is None else accounts


def as_dates(values: Any) -> Dates:
    """Return any date-like values as datetime64[ns], shape (n,)."""
    return np.asarray(pd.to_datetime(np.asarray(values)), dtype="datetime64[ns]")
