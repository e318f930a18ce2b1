"""How much colours flap from snapshot to snapshot, and how many churners they catch meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from churnrisk.decision.severity import GREY_CODE, severity, to_codes
from churnrisk.records import Colour


@dataclass(frozen=True, slots=True)
class Stability:
    """What a way to settle colours does over several snapshots.

    Attributes
    ----------
    flaps : int
        Times that an account changed its colour at one snapshot and was back at the next.
    chances : int
        Times that it could have: the account had a colour at three snapshots in a row.
    caught, churned : int
        Churned rows that were red or amber, and all churned rows that had a colour.
    """

    flaps: int
    chances: int
    caught: int
    churned: int

    @property
    def flap_rate(self) -> float:
        """Flaps per chance; NaN without a chance."""
        return self.flaps / self.chances if self.chances else float("nan")

    @property
    def recall(self) -> float:
        """Share of the churners that were red or amber; NaN without churners."""
        return self.caught / self.churned if self.churned else float("nan")


def stability(colours: pd.Series, churned: pd.Series) -> Stability:
    """Count flaps and caught churners.

    Parameters
    ----------
    colours : Series of colour names
        One row per (account_id, as_of), named so in the index. A missing row, like grey, is no colour.
    churned : Series of 0/1
        Aligned with ``colours``.
    """
    codes = pd.Series(to_codes(colours), index=colours.index)
    wide = codes.unstack("as_of", fill_value=GREY_CODE).sort_index(axis=1).to_numpy()
    first, second, third = wide[:, :-2], wide[:, 1:-1], wide[:, 2:]
    seen = (first != GREY_CODE) & (second != GREY_CODE) & (third != GREY_CODE)
    left = (churned.to_numpy() == 1) & (codes.to_numpy() != GREY_CODE)
    return Stability(
        flaps=int((seen & (first != second) & (first == third)).sum()),
        chances=int(seen.sum()),
        caught=int(np.sum(left & (codes.to_numpy() > severity(Colour.GREEN)))),
        churned=int(left.sum()),
    )
