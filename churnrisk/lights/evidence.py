"""What happened to the accounts of each colour and of each rule, with account-level bounds.

Rates are churned rows per row: an account that is green at three snapshots and churns after the third gives three
rows, one of them churned. It counts once among ``accounts``; the bounds are those that certified the lights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.lights.bounds import CONTRADICTION, Ints, Mask, Tally, account_codes, churn_levels, tally_of
from churnrisk.lights.rules import Rule, apply_rules, conditions_hold, to_codes, to_colours
from churnrisk.records import Colour, ColourEvidence

_TWO_SIDED = 0.975


@dataclass(frozen=True)
class Promise:
    """What a colour promises about its churn rate: ``at_most``, ``at_least``, or both."""

    colour: Colour
    at_most: float | None = None
    at_least: float | None = None

    @property
    def text(self) -> str:
        """The promise in words, empty when there is none."""
        limits = (("at most", self.at_most), ("at least", self.at_least))
        parts = [f"{words} {limit:.2%}" for words, limit in limits if limit is not None]
        return f"churn of {' and '.join(parts)}" if parts else ""

    def kept(self, rate: float, low: float, high: float) -> bool | None:
        """Return whether a measured churn rate with one-sided 95 % bounds keeps the promise.

        None: the rate misses it by no more than chance can explain, or there is nothing to judge.
        """
        if np.isnan(rate) or (self.at_most is None and self.at_least is None):
            return None
        most = 1.0 if self.at_most is None else self.at_most
        least = 0.0 if self.at_least is None else self.at_least
        if least <= rate <= most:
            return True
        return False if low > most or high < least else None


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """What happened to the accounts that meet one rule on a later block; rates as in ``ColourEvidence``.

    ``moved`` and ``moved_churned`` count accounts whose colour this rule alone would change against the model's.
    ``note`` says why the rule was not measured, else it is empty.
    """

    rule: str
    accounts: int
    churned: int
    churn_rate: float
    churn_low: float
    churn_high: float
    moved: int
    moved_churned: int
    note: str = ""
    rows: int = 0


@dataclass(frozen=True)
class _Block:
    """The labelled rows of a block."""

    labelled: Mask
    accounts: Ints
    y: Ints
    levels: int

    def tally(self, rows: Mask) -> Tally:
        return tally_of(rows[self.labelled], self.accounts, self.y, levels=self.levels)


def colour_evidence(
    colours: npt.ArrayLike | pd.Series,
    y: npt.ArrayLike | pd.Series,
    account_id: npt.ArrayLike | pd.Series | None = None,
    promises: Iterable[Promise] = (),
) -> tuple[ColourEvidence, ...]:
    """Count rows, accounts and churners per final colour: green, amber, red, and grey if there are any.

    Colours and labels (0/1) have one row per (account, as_of); without `account_id` every row counts as an account,
    which may be in several colours, at different snapshots. Bounds are two-sided (95 %); the rate of an empty colour
    is NaN.
    """
    codes, labels = to_codes(colours), np.asarray(y, dtype=float)
    if len(codes) != len(labels):
        raise UsageError(
            f"expected one label per colour, found {len(codes)} colours and {len(labels)} labels."
        )
    block = _block(labels, account_id)
    by_colour = {promise.colour: promise for promise in promises}
    shown = [Colour.GREEN, Colour.AMBER, Colour.RED]
    if (codes[block.labelled] < 0).any():
        shown.append(Colour.GREY)
    names = to_codes(np.array([str(colour) for colour in shown], dtype=object))
    return tuple(
        _of_colour(colour, block.tally(codes == code), by_colour.get(colour, Promise(colour)))
        for colour, code in zip(shown, names, strict=True)
    )


def rule_evidence(
    X: pd.DataFrame,
    y: npt.ArrayLike | pd.Series,
    account_id: npt.ArrayLike | pd.Series | None,
    model_colours: npt.ArrayLike | pd.Series,
    rules: Iterable[Rule],
) -> tuple[RuleEvidence, ...]:
    """Measure each rule by itself: who meets it, whom it moves, and how many of those churned."""
    block, before = _block(np.asarray(y, dtype=float), account_id), to_codes(model_colours)
    return tuple(_of_rule(rule, X, block, before) for rule in rules)


def _block(labels: npt.NDArray[np.float64], account_id: npt.ArrayLike | pd.Series | None) -> _Block:
    labelled = ~np.isnan(labels)
    accounts, y = account_codes(account_id, len(labels))[labelled], labels[labelled].astype(np.int64)
    return _Block(labelled, accounts, y, churn_levels(accounts, y))


def _of_colour(colour: Colour, found: Tally, promise: Promise) -> ColourEvidence:
    accounts, churned, rate, low, high, rows = _figures(found)
    kept = promise.kept(rate, float(found.lower(CONTRADICTION)[0]), float(found.upper(CONTRADICTION)[0]))
    return ColourEvidence(colour, accounts, churned, rate, low, high, promise.text, kept, rows)


def _of_rule(rule: Rule, X: pd.DataFrame, block: _Block, before: npt.NDArray[np.int8]) -> RuleEvidence:
    if absent := rule.absent_from(X):
        note = f"not measured: no feature {', '.join(absent)}"
        return RuleEvidence(rule.name, 0, 0, float("nan"), 0.0, 1.0, 0, 0, note)
    after = to_codes(apply_rules(X, to_colours(before), [rule])["colour"])
    accounts, churned, rate, low, high, rows = _figures(block.tally(conditions_hold(rule.conditions, X)))
    moved, moved_churned, *_ = _figures(block.tally(after != before))
    return RuleEvidence(
        rule.name, accounts, churned, rate, low, high, moved=moved, moved_churned=moved_churned, rows=rows
    )


def _figures(found: Tally) -> tuple[int, int, float, float, float, int]:
    return (
        int(found.accounts[0]),
        int(found.churned[0, 0]),
        float(found.rate[0]),
        float(found.lower(_TWO_SIDED)[0]),
        float(found.upper(_TWO_SIDED)[0]),
        int(found.rows[0]),
    )
