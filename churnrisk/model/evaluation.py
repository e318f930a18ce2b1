"""The model beside the base rate, the recency rule and the champion, on the same rows, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from churnrisk.model.faults import ModelInputError
from churnrisk.model.metrics import (
    PROPER_METRICS,
    RANK_METRICS,
    Ranked,
    Scored,
    account_weights,
)
from churnrisk.model.panel import Bools, Floats
from churnrisk.records import Interval

if TYPE_CHECKING:
    import pandas as pd

METRICS = RANK_METRICS + PROPER_METRICS
HIGHER_IS_BETTER = frozenset(RANK_METRICS)
MODEL = "model"
_SCRATCH_CELLS = 4_000_000


@dataclass(frozen=True)
class Evaluation:
    """Figures on one block of rows.

    Attributes
    ----------
    rows, accounts, churned : int
    base_rate : float
        Share of churned rows.
    capacity : int
        Rows that the team can review; the top of the ranking of that size counts for the recall.
    figures : dict of str to dict of str to Interval
        Per scorer ("model", "base rate", …) and metric; a metric that says nothing about a scorer is absent.
    differences : dict of str to dict of str to Interval
        Per baseline and metric: model minus baseline, paired by account. For log_loss, brier and
        calibration_error less is better.
    n_boot, seed : int
        Draws of accounts behind the intervals (2.5 % and 97.5 % quantiles).
    """

    rows: int
    accounts: int
    churned: int
    base_rate: float
    capacity: int
    figures: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    n_boot: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and numbers, ready for JSON."""
        return asdict(self)

    def to_frame(self) -> pd.DataFrame:
        """Return the figures as a table: one row per (scorer, metric), columns value, low, high."""
        import pandas as pd

        rows = {
            (scorer, metric): asdict(interval)
            for scorer, figures in self.figures.items()
            for metric, interval in figures.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["scorer", "metric"])

    def beats(self, baseline: str, metric: str = "auc") -> bool:
        """Return whether the whole interval of the paired difference is on the model's side."""
        interval = self.differences[baseline][metric]
        return interval.low > 0 if metric in HIGHER_IS_BETTER else interval.high < 0


def evaluate(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    account_id: npt.ArrayLike,
    *,
    baselines: Mapping[str, npt.ArrayLike] | None = None,
    capacity: int | None = None,
    n_boot: int = 200,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities on rows that the model has not seen.

    Parameters
    ----------
    y : array-like of shape (n,)
        1 or True for churned.
    p : array-like of shape (n,)
        Churn probability.
    account_id : array-like of shape (n,)
        Accounts are the units of the bootstrap: all rows of one are drawn together.
    baselines : dict of str to array-like, optional
        Scores of others on the same rows. Outside [0, 1] they are ranks only, without log loss and the like.
        "base rate" is always added.
    capacity : int, optional
        Rows that the team can review, a tenth of the rows by default.
    n_boot : int, default 200
    seed : int, default 0

    Raises
    ------
    ModelInputError
        When lengths differ, a score is NaN, or the rows lack a class.
    """
    churned, scores = _checked(y, {MODEL: p, **(baselines or {})}, account_id)
    n = len(churned)
    scores.setdefault("base rate", np.full(n, churned.mean()))
    reviewed = max(1, min(n, round(n / 10) if capacity is None else capacity))
    draws = _draws(churned, scores, np.asarray(account_id), reviewed / n, n_boot, seed)
    rivals = [name for name in scores if name != MODEL]
    return Evaluation(
        rows=n,
        accounts=len(np.unique(np.asarray(account_id).astype(str))),
        churned=int(churned.sum()),
        base_rate=float(churned.mean()),
        capacity=reviewed,
        figures={name: {m: _interval(v) for m, v in found.items()} for name, found in draws.items()},
        differences={
            name: {m: _interval(draws[MODEL][m] - v) for m, v in draws[name].items() if m in draws[MODEL]}
            for name in rivals
        },
        n_boot=n_boot,
        seed=seed,
    )


def _checked(
    y: npt.ArrayLike, scores: Mapping[str, npt.ArrayLike], account_id: npt.ArrayLike
) -> tuple[Bools, dict[str, Floats]]:
    churned = np.asarray(y).astype(bool)
    found = {name: np.asarray(score, dtype=np.float64) for name, score in scores.items()}
    lengths = {"account_id": np.asarray(account_id).shape, **{name: s.shape for name, s in found.items()}}
    wrong = {name: shape for name, shape in lengths.items() if shape != churned.shape}
    if wrong:
        raise ModelInputError(f"expected one value per label, shape {churned.shape}, found {wrong}.")
    missing = [name for name, score in found.items() if np.isnan(score).any()]
    if missing:
        raise ModelInputError(f"expected a number per row, found NaN in the scores of {missing}. Fill them.")
    if churned.all() or not churned.any():
        raise ModelInputError(
            f"an evaluation needs both churned and retained accounts, found {int(churned.sum())} churned of "
            f"{len(churned)}. Take more or later snapshots into the test block."
        )
    return churned, found


def _draws(
    churned: Bools,
    scores: dict[str, Floats],
    accounts: npt.NDArray[Any],
    share: float,
    n_boot: int,
    seed: int,
) -> dict[str, dict[str, Floats]]:
    """Return each figure on all rows (first) and on each bootstrap draw, shape (n_boot + 1,)."""
    weights = account_weights(accounts, n_boot=n_boot, seed=seed)
    # A draw without churners has no AUC.
    drawn = weights @ churned
    weights = weights[(drawn > 0) & (drawn < weights.sum(axis=1))]
    at_once = max(1, _SCRATCH_CELLS // len(churned))
    parts = [weights[i : i + at_once] for i in range(0, len(weights), at_once)]
    found: dict[str, dict[str, Floats]] = {}
    for name, score in scores.items():
        ranked = Ranked(churned, score)
        pieces = [ranked.figures(part, share) for part in parts]
        if score.min() >= 0 and score.max() <= 1:
            scored = Scored(churned, score)
            pieces = [{**piece, **scored.figures(part)} for piece, part in zip(pieces, parts, strict=True)]
        found[name] = {m: np.concatenate([piece[m] for piece in pieces]) for m in pieces[0]}
    return found


def _interval(values: Floats) -> Interval:
    low, high = np.quantile(values[1:], [0.025, 0.975]) if len(values) > 1 else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))
