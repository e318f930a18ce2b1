"""What really happened to the accounts of each colour and of each rule, with exact bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision.bounds import independent_rows, lower_bound, upper_bound
from churnrisk.decision.rules import Rule, apply_rules, matches
from churnrisk.decision.severity import to_codes, to_colours
from churnrisk.errors import UsageError
from churnrisk.records import Colour, ColourEvidence

Mask = npt.NDArray[np.bool_]
_TWO_SIDED = 0.975
_CONTRADICTED = 0.95


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

    def kept(self, churned: int, accounts: int) -> bool | None:
        """Tell whether the counts keep the promise.

        Returns
        -------
        bool or None
            True when the observed rate keeps it; False when the exact one-sided 95 % bound contradicts it;
            None when the rate misses it by no more than chance can explain, or nothing was counted.
        """
        if not accounts or (self.at_most is None and self.at_least is None):
            return None
        rate = churned / accounts
        most = 1.0 if self.at_most is None else self.at_most
        least = 0.0 if self.at_least is None else self.at_least
        if least <= rate <= most:
            return True
        low = float(lower_bound(churned, accounts, _CONTRADICTED))
        high = float(upper_bound(churned, accounts, _CONTRADICTED))
        return False if low > most or high < least else None


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """What happened to the accounts of one rule on a later block.

    Attributes
    ----------
    rule : str
        The rule's name.
    accounts, churned, churn_rate, churn_low, churn_high
        Of all accounts that meet its conditions; the rate is NaN when there are none.
    moved, moved_churned : int
        Of those whose colour this rule alone would change against the model's.
    note : str
        Why the rule was not measured; empty when it was.
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


def colour_evidence(
    colours: npt.ArrayLike | pd.Series,
    y: npt.ArrayLike | pd.Series,
    account_id: npt.ArrayLike | pd.Series | None = None,
    promises: Iterable[Promise] = (),
) -> tuple[ColourEvidence, ...]:
    """Count accounts and churners per final colour: green, amber, red, and grey if there are any.

    Parameters
    ----------
    colours, y : array-like of shape (rows,)
        Final colours and labels (0/1); one row per (account, as_of).
    account_id : array-like of shape (rows,), optional
        With it, an account is counted once: see :func:`churnrisk.decision.independent_rows`.
    promises : iterable of Promise
        What each colour has promised; see :meth:`Promise.kept` for when it is kept.

    Returns
    -------
    tuple of ColourEvidence
        Bounds are two-sided 95 % Clopper-Pearson bounds; the rate of an empty colour is NaN.
    """
    codes, labels = to_codes(colours), np.asarray(y, dtype=float)
    if len(codes) != len(labels):
        raise UsageError(
            f"expected one label per colour, found {len(codes)} colours and {len(labels)} labels."
        )
    counted = independent_rows(account_id, len(codes)) & ~np.isnan(labels)
    by_colour = {promise.colour: promise for promise in promises}
    shown = [Colour.GREEN, Colour.AMBER, Colour.RED]
    if (codes[counted] < 0).any():
        shown.append(Colour.GREY)
    names = to_codes(np.array([str(colour) for colour in shown], dtype=object))
    return tuple(
        _of_colour(colour, labels[counted & (codes == code)], by_colour.get(colour, Promise(colour)))
        for colour, code in zip(shown, names, strict=True)
    )


def rule_evidence(
    X: pd.DataFrame,
    y: npt.ArrayLike | pd.Series,
    account_id: npt.ArrayLike | pd.Series | None,
    model_colours: npt.ArrayLike | pd.Series,
    rules: Iterable[Rule],
) -> tuple[RuleEvidence, ...]:
    """Measure each rule by itself: who meets it, whom it moves, and how many of those churned.

    For the colours with and without rules, call :func:`colour_evidence` on both.
    """
    labels = np.asarray(y, dtype=float)
    counted = independent_rows(account_id, len(X)) & ~np.isnan(labels)
    before = to_codes(model_colours)
    return tuple(_of_rule(rule, X, labels, counted, before) for rule in rules)


def _of_colour(colour: Colour, labels: npt.NDArray[np.float64], promise: Promise) -> ColourEvidence:
    accounts, churned, rate, low, high = _figures(labels)
    kept = promise.kept(churned, accounts)
    return ColourEvidence(colour, accounts, churned, rate, low, high, promise.text, kept)


def _of_rule(
    rule: Rule, X: pd.DataFrame, labels: npt.NDArray[np.float64], counted: Mask, before: npt.NDArray[np.int8]
) -> RuleEvidence:
    absent = [name for name in rule.requires if name not in X.columns]
    if absent:
        nan = float("nan")
        return RuleEvidence(
            rule.name, 0, 0, nan, 0.0, 1.0, 0, 0, f"not measured: no feature {', '.join(absent)}"
        )
    after = to_codes(apply_rules(X, to_colours(before), [rule])["colour"])
    moved = labels[counted & (after != before)]
    figures = _figures(labels[counted & matches(rule, X)])
    return RuleEvidence(rule.name, *figures, moved=len(moved), moved_churned=int(moved.sum()))


def _figures(labels: npt.NDArray[np.float64]) -> tuple[int, int, float, float, float]:
    accounts, churned = len(labels), int(labels.sum())
    rate = churned / accounts if accounts else float("nan")
    low, high = lower_bound(churned, accounts, _TWO_SIDED), upper_bound(churned, accounts, _TWO_SIDED)
    return accounts, churned, rate, float(low), float(high)
