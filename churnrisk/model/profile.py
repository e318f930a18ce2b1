"""What is usual for retained accounts, and an account's value beside it in words."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.model.splits import ACCOUNT, Floats
from churnrisk.records import Feature

#: Fewer retained accounts than this are compared with all others instead.
MIN_PEERS = 50
Value = float | str | None

_PARTS = {"low": 0.1, "median": 0.5, "high": 0.9}
_PLACED = {"segment": "in segment", "plan": "on plan", "stage": "at stage"}

# Units that add nothing to the number: the label carries the meaning.
_SILENT_UNITS = frozenset(
    "flag ratio score name category level index number count none trend 1-4 0-10".split(" ")  # noqa: SIM905
) | {""}
_SHARES = frozenset({"share", "fraction", "proportion"})
_FLAGS = frozenset({"flag", "bool", "boolean", "yes/no"})
_SINGULAR = {
    "product features": "product feature",
    "new product features": "new product feature",
    "active days": "active day",
    "events": "event",
    "days": "day",
    "complaints": "complaint",
    "hours": "hour",
    "people": "person",
    "times": "time",
    "units": "unit",
    "paid seats": "paid seat",
}
_ZERO = {"Active on only 0 of": "Not active on any of", "Only 0 ": "No ", "only 0 new": "no new"}
_ONE = re.compile(rf"(?<![\d.,])1 ({'|'.join(_SINGULAR)})\b")


@dataclass(frozen=True)
class ReasonProfile:
    """The usual range (10 %, 50 %, 90 % quantiles) of each numeric feature among retained accounts.

    ``peers`` are profiles by value of what peers share (`by`, like "segment"), those with at least :data:`MIN_PEERS`
    retained accounts; ``who`` names one of them: "in segment Enterprise".
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
        stayed = ~np.asarray(y).astype(bool)
        retained = X.loc[stayed, names].astype("float64")
        if groups is None:
            return cls(**_ranges(retained))
        by, kinds = str(groups.name), groups.to_numpy(dtype=object)[stayed]
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

    def usual(self, feature: Feature, value: Value) -> tuple[float | None, float | None]:
        """Return the usual range beside a value; none for a missing one ("never complained"), a name or a flag."""
        if value is None or isinstance(value, str) or feature.unit in _FLAGS:
            return None, None
        return self.low.get(feature.name), self.high.get(feature.name)

    def bounds(self, feature: str, kinds: npt.NDArray[np.object_]) -> tuple[Floats, Floats]:
        """Return a feature's usual low and high for accounts of some kinds, each shape (n,); NaN if unknown."""
        codes, distinct = pd.factorize(kinds, use_na_sentinel=False)
        profiles = [self.of(kind) for kind in distinct]
        low = np.array([profile.low.get(feature, np.nan) for profile in profiles], dtype=np.float64)
        high = np.array([profile.high.get(feature, np.nan) for profile in profiles], dtype=np.float64)
        return low[codes], high[codes]

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


def sentence(feature: Feature, value: Value, profile: ReasonProfile, *, for_churn: bool) -> str:
    """Describe one account's value of a feature.

    By ``Feature.why`` where the value speaks for churn and lies on the churn side of the retained median, or where the
    feature has no direction (then with the usual range); otherwise neutrally.
    """
    if value is None:
        return feature.why_missing or f"No {feature.label} on record"
    why = _why(feature, value)
    if why is not None and for_churn and on_churn_side(feature, value, profile):
        return why
    if why is None or feature.monotone != 0:
        why = f"{feature.label[:1].upper()}{feature.label[1:]}: {quantity(value, feature.unit)}"
    return why + _usually(feature, value, profile)


def on_churn_side(feature: Feature, value: Value, profile: ReasonProfile) -> bool:
    """Return whether the value lies on the side of the usual where its monotone direction expects more churn."""
    median = profile.median.get(feature.name)
    if feature.monotone == 0 or isinstance(value, str) or value is None or median is None:
        return False
    # a trend that merely rises less than others' is not falling
    middle = 0.0 if feature.unit == "trend" else median
    return (value - middle) * feature.monotone > 0


def _why(feature: Feature, value: Value) -> str | None:
    names = {name for _, name, _, _ in string.Formatter().parse(feature.why) if name is not None}
    if names - {"value"} or not feature.why:
        return None
    try:
        text = feature.why.format(value=value)
    except (ValueError, TypeError, IndexError):
        return None
    # What a template cannot know: "only 0 events" and "1 days".
    for found, better in _ZERO.items():
        text = text.replace(found, better)
    return _ONE.sub(lambda match: f"1 {_SINGULAR[match[1]]}", text)


def _usually(feature: Feature, value: Value, profile: ReasonProfile) -> str:
    low, high = profile.usual(feature, value)
    if low is None or high is None:
        return ""
    peers = f" {profile.who}" if profile.who else ""
    if low == high:
        return f" (usually {quantity(low, feature.unit)}{peers})"
    bare = feature.unit if feature.unit in _SHARES else ""
    return f" (usually {quantity(low, bare)}–{quantity(high, bare)}{peers})"


def plain(value: Any) -> Value:
    """Convert a NumPy or pandas value to a plain float or text; None where it is missing."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None if str(value) in ("<NA>", "NaT", "nan") else str(value)
    return None if np.isnan(number) else number + 0.0  # without the sign of a negative zero


def number(value: float) -> str:
    """Format a number for people: thousands separated, up to three significant digits below 100."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}".removesuffix(".0")
    if abs(value) >= 0.01:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.2g}"


def quantity(value: Value, unit: str) -> str:
    """Format a value with its unit: "12 days", "35 %", "yes"."""
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return value
    if unit in _SHARES:
        return f"{number(round(100 * value, 1))} %"
    if unit in _FLAGS and value in (0.0, 1.0):
        return "yes" if value else "no"
    if unit in _SILENT_UNITS:
        return number(value)
    if unit.endswith("s") and value == 1 and not unit.endswith("ss"):
        unit = unit[:-1]
    return f"{number(value)} {unit}"
