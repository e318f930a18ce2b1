"""Outcomes beside probabilities, as every picture of a model is given them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churnrisk.model.faults import ModelInputError
from churnrisk.model.panel import Bools, Floats


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What happened, what was said of it, and whose row it is."""

    churned: Bools
    probability: Floats
    accounts: npt.NDArray[np.object_] | None

    @property
    def base_rate(self) -> float:
        """Churned rows per row."""
        return float(self.churned.mean())


def outcomes_of(y: npt.ArrayLike, p: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Outcomes:
    """Return the rows of a picture, checked.

    Raises
    ------
    ModelInputError
        When lengths differ, a probability is missing, or the rows lack a class.
    """
    churned, probability = np.asarray(y).astype(bool), np.asarray(p, dtype=np.float64)
    accounts = None if groups is None else np.asarray(groups, dtype=object)
    if churned.shape != probability.shape or (accounts is not None and accounts.shape != churned.shape):
        raise ModelInputError(
            f"expected one probability (and one account) per label, found {churned.shape} labels, "
            f"{probability.shape} probabilities{'' if accounts is None else f', {accounts.shape} accounts'}. "
            "Pass predict_proba(X)[:, 1] of the rows of y."
        )
    if np.isnan(probability).any() or churned.all() or not churned.any():
        raise ModelInputError(
            f"a picture needs a probability per row and both churned and retained rows, found "
            f"{int(np.isnan(probability).sum())} missing and {int(churned.sum())} churned of {len(churned)}. "
            "Take more or later snapshots."
        )
    return Outcomes(churned, probability, accounts)
