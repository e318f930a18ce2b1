"""Why each account has its probability: the largest contributions, in words, beside what is usual."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ModelInputError
from churnrisk.model.splits import ACCOUNT, AS_OF, Bools, Floats, Ints
from churnrisk.records import Feature, Reason

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


FAMILY_MOST = 2
# Less log-odds than this move no probability visibly.
NEGLIGIBLE = 1e-4


def explain(
    contributions: pd.DataFrame,
    X: pd.DataFrame,
    features: Sequence[Feature] | Mapping[str, Feature],
    profile: ReasonProfile,
    *,
    top: int = 3,
    previous: pd.DataFrame | None = None,
    kinds: npt.NDArray[np.object_] | None = None,
) -> pd.DataFrame:
    """Return account_id, as_of and a tuple of :class:`churnrisk.records.Reason` for each row of `X`, in its order.

    Reasons are the ``top`` largest positive contributions, at most two per family; a row without any gets the largest
    of the family that speaks least against churn, worded neutrally. Columns without a declaration go by their name.
    ``previous`` has the values at the previous run, by account id; ``kinds`` the peer group of each row.
    """
    if top < 1:
        raise ModelInputError(f"expected at least one reason per row, found top={top}. Ask for 1 or more.")
    if not X.index.equals(contributions.index) or not {ACCOUNT, AS_OF} <= set(X.index.names):
        raise ModelInputError(
            "expected contributions and X on one index (account_id, as_of), found "
            f"{list(contributions.index.names)} and {list(X.index.names)}. Give the same rows to both."
        )
    catalogue = declared(contributions.columns, features)
    rows, columns, parts = _chosen(
        contributions.to_numpy(dtype=np.float64), [f.family for f in catalogue], top
    )
    values = cells(X.loc[:, list(contributions.columns)], rows, columns)
    before = _before(previous, X, contributions.columns, rows, columns)
    write = _ReasonFactory(catalogue, profile).reason
    kind_of = [None] * len(X) if kinds is None else kinds.tolist()
    chosen = zip(rows.tolist(), columns.tolist(), parts.tolist(), values, before, strict=True)
    reasons = [write(j, part, now, then, kind_of[i]) for i, j, part, now, then in chosen]
    ends = np.cumsum(np.bincount(rows, minlength=len(X))).tolist()
    by_row = [tuple(reasons[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    keys = {level: X.index.get_level_values(level) for level in (ACCOUNT, AS_OF)}
    return pd.DataFrame({**keys, "reasons": pd.Series(by_row, dtype=object)})


def declared(columns: pd.Index, features: Sequence[Feature] | Mapping[str, Feature]) -> list[Feature]:
    """Return the feature of each column; one made from its name where none is declared."""
    known = features if isinstance(features, Mapping) else {feature.name: feature for feature in features}
    return [
        known.get(name) or Feature(name, "attributes", unit="", sql="", label=name.replace("_", " "), why="")
        for name in map(str, columns)
    ]


def cells(frame: pd.DataFrame, rows: Ints, columns: Ints) -> list[Value]:
    """Return the values at (rows[k], columns[k]) as plain Python objects."""
    values = np.empty(len(rows), dtype=object)
    for j in np.unique(columns):
        here = columns == j
        values[here] = frame.iloc[:, int(j)].iloc[rows[here]].astype(object).to_numpy()
    return [plain(value) for value in values]


def _chosen(parts: Floats, families: Sequence[str], top: int) -> tuple[Ints, Ints, Floats]:
    """Return (row, column, contribution) of the reasons, sorted by row, then largest first."""
    n, d = parts.shape
    if n == 0 or d == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    names, family = np.unique(np.asarray(families), return_inverse=True)
    allowed = _within_family(parts, family, len(names)) & (parts > NEGLIGIBLE)
    score = np.where(allowed, parts, -np.inf)
    most = min(top, d)
    best = np.argpartition(-score, most - 1, axis=1)[:, :most]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(score, best, axis=1), axis=1), axis=1)
    taken = np.isfinite(np.take_along_axis(score, best, axis=1))
    bare = ~taken.any(axis=1)
    best[bare, 0] = _least_against(parts[bare], family, len(names))
    taken[bare, 0] = True
    rows, rank = np.nonzero(taken)
    columns = best[rows, rank].astype(np.int64)
    return rows.astype(np.int64), columns, parts[rows, columns]


def _within_family(parts: Floats, family: npt.NDArray[Any], count: int) -> Bools:
    """Mask the cells that are among the two largest of their family in their row."""
    allowed = np.ones(parts.shape, dtype=bool)
    for k in range(count):
        members = np.flatnonzero(family == k)
        if len(members) <= FAMILY_MOST:
            continue
        keep = np.argpartition(-parts[:, members], FAMILY_MOST - 1, axis=1)[:, :FAMILY_MOST]
        mask = np.zeros((len(parts), len(members)), dtype=bool)
        np.put_along_axis(mask, keep, True, axis=1)
        allowed[:, members] = mask
    return allowed


def _least_against(parts: Floats, family: npt.NDArray[Any], count: int) -> Ints:
    sums = np.column_stack([parts[:, family == k].sum(axis=1) for k in range(count)])
    within = family[None, :] == sums.argmax(axis=1)[:, None]
    return np.asarray(np.where(within, parts, -np.inf).argmax(axis=1), dtype=np.int64)


def _before(
    previous: pd.DataFrame | None, X: pd.DataFrame, names: pd.Index, rows: Ints, columns: Ints
) -> list[Value]:
    if previous is None or previous.empty:
        return [None] * len(rows)
    stored = previous.droplevel(AS_OF) if AS_OF in previous.index.names else previous
    stored = stored[~stored.index.duplicated(keep="last")].reindex(columns=names)
    at = stored.index.get_indexer(X.index.get_level_values(ACCOUNT))[rows]
    known = at >= 0
    values = np.full(len(rows), None, dtype=object)
    values[known] = cells(stored, at[known], columns[known])
    return list(values)


class _ReasonFactory:
    """Builds reasons; many accounts share a value, so its sentence is written once."""

    def __init__(self, catalogue: Sequence[Feature], profile: ReasonProfile) -> None:
        self._catalogue, self._profile = catalogue, profile
        self._sentences: dict[tuple[int, Value, bool, Any], str] = {}

    def reason(self, column: int, part: float, now: Value, then: Value, kind: Any) -> Reason:
        feature, profile = self._catalogue[column], self._profile.of(kind)
        key = (column, now, part > NEGLIGIBLE, kind)
        text = self._sentences.get(key)
        if text is None:
            text = self._sentences[key] = sentence(feature, now, profile, for_churn=key[2])
        low, high = profile.usual(feature, now)
        return Reason(feature.name, feature.family, text, now, part, low, high, then, profile.who)
