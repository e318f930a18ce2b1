"""Usual ranges: the middle 80 % of each feature among retained accounts, of the same kind where there are enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.model.panel import ACCOUNT, Floats
from churnrisk.records import Feature

#: Fewer retained accounts than this are compared with all others instead.
MIN_PEERS = 50
_PARTS = {"low": 0.1, "median": 0.5, "high": 0.9}
_PLACED = {"segment": "in segment", "plan": "on plan", "stage": "at stage"}


@dataclass(frozen=True)
class ReasonProfile:
    """The usual range (10 %, 50 %, 90 % quantiles) of each numeric feature among retained accounts.

    ``peers`` are profiles by value of what peers share (`by`, like "segment"), those with at least :data:`MIN_PEERS`
    retained accounts; ``who`` names one of them: "in segment Enterprise". A feature that no retained account has is
    absent.
    """

    low: dict[str, float]
    median: dict[str, float]
    high: dict[str, float]
    by: str = ""
    peers: dict[str, ReasonProfile] = field(default_factory=dict)
    who: str = ""

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: npt.ArrayLike,
        features: Sequence[Feature],
        *,
        groups: pd.Series | None = None,
    ) -> Self:
        """Learn the ranges from rows with ``y == 0``; `groups` holds each row's kind, its name the sort of kind."""
        names = [f.name for f in features if not f.categorical and f.name in X.columns]
        kept = ~np.asarray(y).astype(bool)
        retained = X.loc[kept, names].astype("float64")
        if groups is None:
            return cls(**_ranges(retained))
        by, kinds = str(groups.name), groups.to_numpy(dtype=object)[kept]
        peers = {
            str(kind): ReasonProfile(
                **_ranges(retained[kinds == kind]), who=f"{_PLACED.get(by, f'of {by}')} {kind}"
            )
            for kind in kinds_with_peers(retained, pd.Series(kinds))
        }
        return cls(**_ranges(retained), by=by if peers else "", peers=peers)

    def of(self, kind: str | None) -> ReasonProfile:
        """Return the profile of the peers of one kind; of all retained accounts where there are too few."""
        return self.peers.get(kind, self) if isinstance(kind, str) else self

    def bounds(self, feature: str, kinds: npt.NDArray[np.object_]) -> tuple[Floats, Floats]:
        """Return a feature's usual low and high for accounts of some kinds, each shape (n,); NaN if unknown."""
        codes, distinct = pd.factorize(kinds, use_na_sentinel=False)
        profiles = [self.of(kind) for kind in distinct]
        low, high = (
            np.array([part.get(feature, np.nan) for part in parts], dtype=np.float64)[codes]
            for parts in ([p.low for p in profiles], [p.high for p in profiles])
        )
        return low, high

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, ready for JSON."""
        own: dict[str, Any] = {part: dict(getattr(self, part)) for part in _PARTS}
        if not self.peers:
            return own
        peers = {kind: profile.to_dict() | {"who": profile.who} for kind, profile in self.peers.items()}
        return own | {"by": self.by, "peers": peers}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Restore from ``to_dict``."""
        low, median, high = ({str(k): float(v) for k, v in stored[part].items()} for part in _PARTS)
        peers = {str(kind): ReasonProfile.from_dict(part) for kind, part in stored.get("peers", {}).items()}
        return cls(low, median, high, by=stored.get("by", ""), peers=peers, who=stored.get("who", ""))


def kinds_with_peers(X: pd.DataFrame, kinds: pd.Series) -> list[str]:
    """Return the kinds that at least :data:`MIN_PEERS` accounts (rows, where X names no accounts) are of."""
    named = ACCOUNT in X.index.names
    accounts = X.index.get_level_values(ACCOUNT) if named else pd.RangeIndex(len(X))
    counts = pd.Series(np.asarray(accounts)).groupby(kinds.to_numpy(dtype=object)).nunique()
    return sorted(str(kind) for kind in counts.index[counts >= MIN_PEERS])


def _ranges(retained: pd.DataFrame) -> dict[str, Any]:
    quantiles: pd.DataFrame = retained.dropna(axis="columns", how="all").quantile(list(_PARTS.values()))
    return {
        part: dict(zip(map(str, quantiles), map(float, quantiles.loc[q]), strict=True))
        for part, q in _PARTS.items()
    }
