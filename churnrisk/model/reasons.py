"""Why each account has its probability: the largest contributions, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ModelInputError
from churnrisk.model.profile import ReasonProfile, Value, plain, sentence
from churnrisk.model.splits import ACCOUNT, AS_OF, Bools, Floats, Ints
from churnrisk.records import Feature, Reason

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
