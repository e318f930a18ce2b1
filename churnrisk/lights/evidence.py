"""What happened to the accounts of each colour and of each rule, with account-level bounds.

Rates are churned rows per row: an account that is green at three snapshots and churns after the third gives three
rows, one of them churned. It counts once among ``accounts``; the bounds are those that certified the lights.
:func:`efficiency` says how much of the model's information the colours keep, :class:`LightVerdict` whether they help.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import chdtri  # scipy publishes no types

from churnrisk.errors import UsageError
from churnrisk.lights.bounds import CONTRADICTION, Ints, Mask, Tally, account_codes, churn_levels, tally_of
from churnrisk.lights.rules import (
    GREY_CODE,
    ORDER,
    Codes,
    Rule,
    apply_rules,
    conditions_hold,
    to_codes,
    to_colours,
)
from churnrisk.records import Colour, ColourEvidence, Interval

#: A light below the first is useless, below the second weak.
USELESS_BELOW, WEAK_BELOW = 0.25, 0.60
_TWO_SIDED = 0.975
_BINS = 20
# Of the G-test that the probability has any information about the outcome.
_BY_CHANCE = 0.05


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

    ``moved`` and ``moved_churned`` count accounts whose colour this rule alone would change against the model's,
    ``efficiency_change`` is what that does to :func:`efficiency`, NaN where that cannot be measured. ``misplaced``: the
    accounts it moves clearly do not churn like the others of their new colour. ``note`` says why the rule was not
    measured, else it is empty.
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
    efficiency_change: float = float("nan")
    misplaced: bool = False


@dataclass(frozen=True)
class LightVerdict:
    """Whether a light helps on a later block, by how much, and what would help most, the most important first.

    ``efficiency`` is that of the final colours, ``model_efficiency`` that of the model's own before the rules.
    """

    verdict: Literal["useful", "weak", "useless"]
    efficiency: float
    model_efficiency: float
    advice: tuple[str, ...] = ()


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
    totals = len(block.y), int(block.y.sum())
    return tuple(
        _of_colour(colour, block.tally(codes == code), by_colour.get(colour, Promise(colour)), *totals)
        for colour, code in zip(shown, names, strict=True)
    )


def rule_evidence(
    X: pd.DataFrame,
    y: npt.ArrayLike | pd.Series,
    account_id: npt.ArrayLike | pd.Series | None,
    model_colours: npt.ArrayLike | pd.Series,
    rules: Iterable[Rule],
    p: npt.ArrayLike | pd.Series | None = None,
) -> tuple[RuleEvidence, ...]:
    """Measure each rule by itself: who meets it, whom it moves, how many of those churned.

    With the probabilities ``p``, also what the rule alone does to the efficiency of the model's colours.
    """
    labels, before = np.asarray(y, dtype=float), to_codes(model_colours)
    scores = np.full(len(labels), np.nan) if p is None else np.asarray(p, dtype=float)
    block = _block(labels, account_id)
    return tuple(_of_rule(rule, X, block, before, scores, labels) for rule in rules)


def efficiency(
    colours: npt.ArrayLike | pd.Series, p: npt.ArrayLike | pd.Series, y: npt.ArrayLike | pd.Series
) -> float:
    """Return the share of the probability's information about the outcome that the colours keep, 0 to 1.

    Parameters
    ----------
    colours, p, y : array-like of shape (rows,)
        Colour, churn probability and label (0/1) of each (account, as_of) row of a later block. Grey rows and those
        without a probability or label are left out.

    Returns
    -------
    float
        I(colour; outcome) / I(probability in 20 bins; outcome). NaN where a G-test at 5 % finds nothing in the
        probability, so that there is nothing to keep or there are too few rows to see it.

    Notes
    -----
    I is the mutual information in the rows (Shannon 1948), the bins hold equal numbers of rows, equal probabilities
    stay together. Counts overstate it, more so in 20 bins than in three colours, which would make every light of a
    small block look bad; both are corrected by the number of occupied cells (Miller 1955; Roulston 1999, Physica D
    125, 285-294). The correction takes rows as independent. By chance the ratio can lie a little below 0 or above 1;
    it is not clipped.
    """
    codes, scores, labels = to_codes(colours), np.asarray(p, dtype=float), np.asarray(y, dtype=float)
    known = (codes != GREY_CODE) & ~np.isnan(scores) & ~np.isnan(labels)
    codes, scores, churned = codes[known], scores[known], labels[known].astype(np.int64)
    if not len(scores):
        return float("nan")
    edges = np.quantile(scores, np.arange(1, _BINS) / _BINS)
    known, by_chance = _information(np.searchsorted(edges, scores, side="right"), churned)
    return (
        _information(codes.astype(np.int64), churned)[0] / known
        if known > 0 and not by_chance
        else float("nan")
    )


def _information(groups: Ints, churned: Ints) -> tuple[float, bool]:
    """Return the mutual information in nats, corrected for its bias, and whether chance alone explains it."""
    counts = (
        np.bincount(2 * groups + churned, minlength=2 * (int(groups.max()) + 1)).reshape(-1, 2).astype(float)
    )
    counts = counts[counts.sum(axis=1) > 0]
    rows = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / rows
    cells = counts > 0
    found = float((counts[cells] * np.log(counts[cells] / expected[cells])).sum() / rows)
    free = len(counts) - 1
    by_chance = free == 0 or 2.0 * rows * found <= float(chdtri(free, _BY_CHANCE))
    occupied = int(cells.sum()) - len(counts) - int((counts.sum(axis=0) > 0).sum()) + 1
    return found - occupied / (2.0 * rows), by_chance


def light_verdict(
    evidence: Iterable[ColourEvidence],
    *,
    auc: Interval,
    efficiency: float,
    model_efficiency: float,
    advice: Iterable[str] = (),
) -> LightVerdict:
    """Judge a light by its final colours on a later block.

    Useless: the model's AUC may be 0.5, all rows have one colour, green churns as much as red, or the efficiency is
    below :data:`USELESS_BELOW`. Weak: it is below :data:`WEAK_BELOW` or cannot be measured, green or red is empty, or a
    promise is broken. Where nothing is known that would help, more accounts do.
    """
    rows = {row.colour: row for row in evidence if row.rows and row.colour != Colour.GREY}
    shares = {colour: row.share for colour, row in rows.items()}
    broken = [
        f"{colour} breaks its promise on the test block: churn {row.churn_rate:.1%}, {row.promise}. Newer data, or "
        "more calibration_snapshots"
        for colour, row in rows.items()
        if row.kept is False
    ]
    both = {Colour.GREEN, Colour.RED} <= set(shares)
    inverted = both and rows[Colour.GREEN].churn_rate >= rows[Colour.RED].churn_rate
    useful = efficiency >= WEAK_BELOW and both and not broken
    helps = (*broken, *advice)
    if not useful and not helps:
        amber = shares.get(Colour.AMBER, 0.0)
        helps = (
            f"amber holds {amber:.0%} of all rows: more accounts or calibration_snapshots certify more of them",
        )
    if not auc.low > 0.5 or len(shares) < 2 or inverted or efficiency < USELESS_BELOW:
        return LightVerdict("useless", efficiency, model_efficiency, helps)
    return LightVerdict("useful" if useful else "weak", efficiency, model_efficiency, helps)


def _block(labels: npt.NDArray[np.float64], account_id: npt.ArrayLike | pd.Series | None) -> _Block:
    labelled = ~np.isnan(labels)
    accounts, y = account_codes(account_id, len(labels))[labelled], labels[labelled].astype(np.int64)
    return _Block(labelled, accounts, y, churn_levels(accounts, y))


def _of_colour(
    colour: Colour, found: Tally, promise: Promise, all_rows: int, all_churned: int
) -> ColourEvidence:
    accounts, churned, rate, low, high, rows = _figures(found)
    kept = promise.kept(rate, float(found.lower(CONTRADICTION)[0]), float(found.upper(CONTRADICTION)[0]))
    share = rows / all_rows if all_rows else float("nan")
    churned_rows = int(found.churned.sum())
    recall = churned_rows / all_churned if all_churned else float("nan")
    return ColourEvidence(
        colour, accounts, churned, rate, low, high, promise.text, kept, rows, churned_rows, share, recall
    )


def _of_rule(
    rule: Rule,
    X: pd.DataFrame,
    block: _Block,
    before: Codes,
    p: npt.NDArray[np.float64],
    labels: npt.NDArray[np.float64],
) -> RuleEvidence:
    if absent := rule.absent_from(X):
        note = f"not measured: no feature {', '.join(absent)}"
        return RuleEvidence(rule.name, 0, 0, float("nan"), 0.0, 1.0, 0, 0, note)
    after = to_codes(apply_rules(X, to_colours(before), [rule])["colour"])
    accounts, churned, rate, low, high, rows = _figures(block.tally(conditions_hold(rule.conditions, X)))
    joined = block.tally(after != before)
    moved, moved_churned, *_ = _figures(joined)
    # what accounts churn that have the colours of the moved ones by the model
    joins = np.bincount(after[block.labelled & (after != before)], minlength=len(ORDER))
    own = sum(
        share * float(block.tally(before == code).rate[0])
        for code, share in enumerate(joins / max(joins.sum(), 1))
        if share
    )
    safer, riskier = joined.upper(CONTRADICTION)[0] < own, joined.lower(CONTRADICTION)[0] > own
    change = efficiency(to_colours(after), p, labels) - efficiency(to_colours(before), p, labels)
    return RuleEvidence(
        rule.name,
        accounts,
        churned,
        rate,
        low,
        high,
        moved=moved,
        moved_churned=moved_churned,
        rows=rows,
        efficiency_change=change,
        misplaced=bool(riskier if Colour(rule.colour) == Colour.GREEN else safer),
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
