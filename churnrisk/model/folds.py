"""Folds for choosing between candidates: by time where dates allow, else by account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from churnrisk.model.faults import ModelInputError
from churnrisk.model.panel import Bools, Ints, accounts_of, as_of_of
from churnrisk.model.splits import PanelSplit, uniform_of

Fold = tuple[Ints, Ints]


@dataclass(frozen=True)
class Folds:
    """(train, validation) row positions, and in words how they were cut."""

    pairs: list[Fold]
    how: str


def choose_folds(X: Any, churned: Bools, *, n_splits: int, embargo_days: int, seed: int) -> Folds:
    """Return the folds for a panel; folds in which a side lacks a class are left out.

    With two or more as-of dates the folds are those of ``PanelSplit``, fewer where the dates do not
    suffice. With one date, or none with an embargo between, accounts are kept together instead; without
    accounts in the index, rows are drawn stratified by class.
    """
    as_of = as_of_of(X)
    if as_of is not None:
        for n in range(n_splits, 0, -1):
            try:
                pairs = list(PanelSplit(n, embargo_days=embargo_days).split(X, groups=as_of))
            except ModelInputError:
                continue
            pairs = _with_both_classes(pairs, churned)
            if pairs:
                return Folds(pairs, f"{len(pairs)} time-ordered folds with an embargo of {embargo_days} days")
    return _by_account(accounts_of(X), churned, n_splits=n_splits, seed=seed)


def _by_account(accounts: npt.NDArray[Any] | None, churned: Bools, *, n_splits: int, seed: int) -> Folds:
    fewer = int(min(churned.sum(), (~churned).sum()))
    if accounts is None:
        n = min(n_splits, fewer)
        if n < 2:
            return Folds([], "no folds: too few rows of one class")
        draw = StratifiedKFold(n, shuffle=True, random_state=seed)
        return Folds(list(draw.split(churned, churned)), f"{n} stratified folds of rows")
    # A draw of its own: with that of account_blocks the folds would be its blocks again, and one be empty.
    member = (uniform_of(accounts, seed + 3) * max(2, n_splits)).astype(np.int64)
    pairs = [(np.flatnonzero(member != k), np.flatnonzero(member == k)) for k in range(max(2, n_splits))]
    pairs = _with_both_classes(pairs, churned)
    return Folds(pairs, f"{len(pairs)} account-disjoint folds")


def _with_both_classes(pairs: list[Fold], churned: Bools) -> list[Fold]:
    return [pair for pair in pairs if all(0 < churned[side].sum() < len(side) for side in pair)]
