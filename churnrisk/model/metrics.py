"""How good a probability is: weighted figures, so that one bootstrap over accounts serves them all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from churnrisk.model.panel import Bools, Floats, Ints

BINS = 10
TOP_SHARE = 0.1
RANK_METRICS = ("auc", "average_precision", "lift_top_10", "recall_at_capacity")
PROPER_METRICS = ("log_loss", "brier", "calibration_error")
_EPS = 1e-12

Weighted = Callable[[Floats], Floats]


class Ranked:
    """Labels in the order of a score, tied scores joined; all figures take weights of shape (n_boot, n).

    Parameters
    ----------
    churned : ndarray of bool, shape (n,)
    score : ndarray of float64, shape (n,)
        Higher means riskier.
    """

    def __init__(self, churned: Bools, score: Floats) -> None:
        self.order: Ints = np.argsort(-score, kind="stable")
        self.churned = churned[self.order].astype(np.float64)
        descending = score[self.order]
        self.ends: Ints = np.append(np.flatnonzero(np.diff(descending) != 0), len(score) - 1)

    def _cumulated(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return weighted churned and weighted rows from the top down to each distinct score."""
        sorted_weights = weights[:, self.order]
        rows = np.cumsum(sorted_weights, axis=1)[:, self.ends]
        churned = np.cumsum(sorted_weights * self.churned, axis=1)[:, self.ends]
        return churned, rows

    def figures(self, weights: Floats, capacity: float) -> dict[str, Floats]:
        """Return AUC, average precision, lift at the top 10 % and recall at capacity, each shape (n_boot,).

        Ties share the value of their group. `capacity` is a share of the rows; where a cut falls within a
        group of tied scores, the group counts in proportion.
        """
        churned, rows = self._cumulated(weights)
        total, n = churned[:, -1:], rows[:, -1:]
        gained = np.diff(churned, axis=1, prepend=0.0)
        passed = np.diff(rows, axis=1, prepend=0.0) - gained
        retained_above = (rows - churned) - passed / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = 1.0 - (gained * retained_above).sum(axis=1) / (total * (n - total))[:, 0]
            precision = np.where(rows > 0, churned / np.where(rows > 0, rows, 1.0), 0.0)
            average = (gained * precision).sum(axis=1) / total[:, 0]
            top = _reached(churned, rows, TOP_SHARE) / total[:, 0] / TOP_SHARE
            recall = _reached(churned, rows, capacity) / total[:, 0]
        return {"auc": auc, "average_precision": average, "lift_top_10": top, "recall_at_capacity": recall}

    def recall(self, weights: Floats, shares: Floats) -> Floats:
        """Return the share of the churned within the top shares of the rows, shape (n_boot, shares).

        Where a cut falls within a group of tied scores, the group counts in proportion.
        """
        churned, rows = self._cumulated(weights)
        found = np.column_stack([_reached(churned, rows, float(share)) for share in shares])
        return np.asarray(found / churned[:, -1:])


def _reached(churned: Floats, rows: Floats, share: float) -> Floats:
    """Return the weighted churned within the top `share` of the weighted rows, shape (n_boot,)."""
    target = share * rows[:, -1]
    at = (rows < target[:, None] - 1e-9).sum(axis=1).clip(max=rows.shape[1] - 1)
    line = np.arange(len(rows))
    before = np.where(at > 0, rows[line, at - 1], 0.0)
    gained_before = np.where(at > 0, churned[line, at - 1], 0.0)
    width = rows[line, at] - before
    part = np.divide(target - before, width, out=np.ones_like(width), where=width > 0)
    return np.asarray(gained_before + part * (churned[line, at] - gained_before))


class Scored:
    """Probabilities beside labels; all figures take weights of shape (n_boot, n)."""

    def __init__(self, churned: Bools, probability: Floats) -> None:
        clipped = np.clip(probability, _EPS, 1 - _EPS)
        self.losses = -np.log(np.where(churned, clipped, 1 - clipped))
        self.squares = (probability - churned) ** 2
        self.gap = probability - churned
        self.member = equal_count_bins(probability)

    def figures(self, weights: Floats) -> dict[str, Floats]:
        """Return log loss, Brier score and expected calibration error, each shape (n_boot,).

        The calibration error is the mean of |mean probability - churn rate| over 10 bins of equal count (tied
        probabilities stay together), weighted by their rows.
        """
        n = weights.sum(axis=1)
        one_hot = (self.member[:, None] == np.arange(self.member.max() + 1)) * self.gap[:, None]
        return {
            "log_loss": weights @ self.losses / n,
            "brier": weights @ self.squares / n,
            "calibration_error": np.abs(weights @ one_hot).sum(axis=1) / n,
        }


def equal_count_bins(probability: Floats, bins: int = BINS) -> Ints:
    """Return the bin of each row, shape (n,), 0 … bins - 1: as equal in count as tied values allow."""
    values, member, counts = np.unique(probability, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    bin_of_value = np.minimum((middle / counts.sum() * bins).astype(np.int64), bins - 1)
    _, dense = np.unique(bin_of_value, return_inverse=True)
    del values
    return np.asarray(dense[member], dtype=np.int64)


def account_weights(account_id: npt.NDArray[np.object_], *, n_boot: int, seed: int) -> Floats:
    """Return weights per row, shape (n_boot + 1, n): accounts drawn with replacement, after a line of ones.

    Source: cluster bootstrap, Field and Welsh (2007), with accounts as clusters.
    """
    names, member = np.unique(np.asarray(account_id).astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    n = len(names)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_boot).astype(np.float64)
    return np.concatenate([np.ones((1, len(member))), drawn[:, member]])
