"""Why scores and colours moved since the run before: the change in log-odds, divided without a rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churnrisk.model import ReasonProfile
from churnrisk.model.wording import Value, in_json, plain, quantity, sentence
from churnrisk.records import Colour, Feature, Move, MovePart, Run
from churnrisk.workflows.causes import colour_causes

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]

#: Smaller changes in log-odds of an account that keeps its colour are not worth a line.
WORTH_TELLING = 0.1
#: How many signals are named at most; the others are one part.
NAMED = 4
_WORTH_NAMING = 0.01
# Floating point leaves this much; three such parts left out keep the sum within 1e-9.
_NOTHING = 1e-10
# Beyond this slope of an isotonic calibration, signals that cancel each other would be blown up.
_STEEPEST = 25.0


@dataclass(frozen=True)
class RunBefore:
    """The run before, as it was published and as today's data show its snapshot.

    Attributes
    ----------
    run : Run
        The published run.
    scores : DataFrame indexed by account id
        colour, raw_colour, model_colour, decided_by, probability and log_odds as published.
    X : DataFrame with index (account_id, as_of)
        The features at its as-of date, computed now; without rows when they cannot be.
    log_odds : ndarray of shape (len(X),), optional
        What the model of that run says of ``X``; None when it cannot be told.
    """

    run: Run
    scores: pd.DataFrame
    X: pd.DataFrame
    log_odds: Floats | None = None


@dataclass(frozen=True)
class Mover:
    """What divides the moves of one scoring run.

    Attributes
    ----------
    classifier : ChurnClassifier
        The model of this run.
    model_version, policy_version : str
        Of this run.
    features : sequence of Feature
        Declarations of the model's columns.
    profile : ReasonProfile
        Decides on which side of the usual a value stands.
    light : callable
        From the probabilities of all rows of this run to the colours that this run's thresholds give them.
    ruled : callable
        From a snapshot, indexed by account, and the model's colours there to what this run's rules make of them.
    """

    classifier: Any
    model_version: str
    policy_version: str
    features: Sequence[Feature]
    profile: ReasonProfile
    light: Callable[[Floats], Objects]
    ruled: Callable[[pd.DataFrame, pd.Series], pd.Series]

    def tell(self, scores: pd.DataFrame, X: pd.DataFrame, before: RunBefore) -> pd.Series:
        """Return a JSON text per row of ``scores``, None where there is nothing to tell.

        Told are accounts that changed colour, and red and amber ones whose log-odds changed by at least
        :data:`WORTH_TELLING`. The change is published log-odds less those published at the run before. It
        is divided into

        - behaviour, per signal: this run's model on both snapshots as today's data show them. Contributions
          are differences of the raw ones times the mean slope of the calibration between the two, so
          they are exact for an additive model whatever its calibration;
        - freshness: the model of the run before, on its snapshot as today's data show it, less what it published;
        - model: this run's model less that of the run before, on that same snapshot.

        Parameters
        ----------
        scores : DataFrame
            One row per account: account_id, log_odds, and the columns of :func:`churnrisk.decision.decide`.
        X : DataFrame
            The features of the same rows.
        before : RunBefore
            The run before.
        """
        new = scores.set_index("account_id")
        old = before.scores.reindex(new.index)
        total = (new["log_odds"] - old["log_odds"]).to_numpy(dtype=float)
        recoloured = (old["colour"].notna() & (old["colour"] != new["colour"])).to_numpy()
        at_risk = new["colour"].isin(["red", "amber"]).to_numpy()
        rows = np.flatnonzero(recoloured | (at_risk & (np.abs(total) >= WORTH_TELLING)))
        told = np.full(len(scores), None, dtype=object)
        if len(rows):
            causes = self._causes(new, old, before)[rows]
            causes[~recoloured[rows]] = None
            parts = self._parts(new.iloc[rows], X.iloc[rows], before, total[rows])
            colours = old["colour"].iloc[rows]
            since = in_json(before.run.as_of.isoformat())
            told[rows] = [
                f'{{"since":{since},"previous_colour":{in_json(colour)},"because":{in_json(cause)},'
                f'"log_odds":{in_json(None if np.isnan(change) else change)},"parts":[{",".join(of_row)}]}}'
                for colour, cause, change, of_row in zip(
                    colours, causes, total[rows].tolist(), parts, strict=True
                )
            ]
        return pd.Series(told, index=scores.index, dtype=object)

    def _parts(self, new: pd.DataFrame, X: pd.DataFrame, before: RunBefore, total: Floats) -> list[list[str]]:
        """Return the parts of each row in JSON; none where there is no change in log-odds."""
        at = before.X.index.get_level_values("account_id").get_indexer(new.index)
        parts: list[list[str]] = [[] for _ in total]
        for i in np.flatnonzero(~np.isnan(total) & (at < 0)):
            parts[i] = [_part("undivided", float(total[i]), in_json("signals, data and model together"))]
        divided = np.flatnonzero(~np.isnan(total) & (at >= 0))
        if len(divided):
            now = new["log_odds"].to_numpy(dtype=float)[divided]
            found = self._divided(X.iloc[divided], now, before, at[divided], total[divided])
            for i, told in zip(divided, found, strict=True):
                parts[i] = told
        return parts

    def _divided(
        self, X: pd.DataFrame, now: Floats, before: RunBefore, at: npt.NDArray[np.intp], total: Floats
    ) -> list[list[str]]:
        then = before.X.iloc[at]
        model_then = np.asarray(self.classifier.decision_function(then), dtype=np.float64)
        behaviour = self._behaviour(X, then, now - model_then)
        wholes = self._wholes(model_then, before, at, now - total)
        # What an approximation leaves is a part of its own: nothing is dropped.
        rest = total - behaviour.sum(axis=1) - sum(amount for _, _, amount in wholes)
        wholes.append(("remainder", "not explained by single signals", rest))
        order = np.argsort(-np.abs(behaviour), axis=1, kind="stable")[:, :NAMED]
        largest = np.take_along_axis(behaviour, order, axis=1)
        named = np.abs(largest) >= _WORTH_NAMING
        others = behaviour.copy()
        np.put_along_axis(others, order, np.where(named, 0.0, largest), axis=1)
        listed = self._named(X, then, largest, order, named)
        for kind, words, amounts in (("behaviour", "other signals", others.sum(axis=1)), *wholes):
            text = in_json(words)
            for i in np.flatnonzero(np.abs(amounts) > _NOTHING).tolist():
                listed[i].append(_part(kind, float(amounts[i]), text))
        return listed

    def _behaviour(self, X: pd.DataFrame, then: pd.DataFrame, change: Floats) -> Floats:
        """Return what each signal added to the log-odds, shape (n, d)."""
        raw = self.classifier.contributions(X, calibrated=False).to_numpy(dtype=float)
        raw = raw - self.classifier.contributions(then, calibrated=False).to_numpy(dtype=float)
        moved = self.classifier.raw_log_odds(X) - self.classifier.raw_log_odds(then)
        slope = np.divide(change, moved, out=np.ones_like(moved), where=np.abs(moved) > 1e-9)
        return np.asarray(raw * np.clip(slope, 0.0, _STEEPEST)[:, None], dtype=np.float64)

    def _wholes(
        self, model_then: Floats, before: RunBefore, at: npt.NDArray[np.intp], published: Floats
    ) -> list[tuple[str, str, Floats]]:
        """Return kind, words and amounts of what is no behaviour."""
        late, words = "rows that came late", f"new model version {self.model_version}"
        if before.run.model_version == self.model_version:
            return [("freshness", late, model_then - published)]
        if before.log_odds is None:
            return [("model and data", f"{words} and {late}", model_then - published)]
        before_then = before.log_odds[at]
        return [("freshness", late, before_then - published), ("model", words, model_then - before_then)]

    def _named(
        self, X: pd.DataFrame, then: pd.DataFrame, largest: Floats, order: npt.NDArray[np.intp], named: Bools
    ) -> list[list[str]]:
        """Return the parts of the signals that are named, largest first, in JSON."""
        known = {feature.name: feature for feature in self.features}
        catalogue = [known.get(str(name)) or _unnamed(str(name)) for name in X.columns]
        keys = [in_json(str(name)) for name in X.columns]
        bare = replace(self.profile, low={}, high={})
        now, was = _cells(X, order), _cells(then, order)
        said: dict[tuple[int, Value, Value, bool], str] = {}
        listed: list[list[str]] = [[] for _ in range(len(X))]
        rows, ranks = np.nonzero(named)
        cells = zip(
            rows.tolist(),
            order[named].tolist(),
            largest[named].tolist(),
            now[rows, ranks],
            was[rows, ranks],
            strict=True,
        )
        for i, j, amount, value, before in cells:
            key = (j, value, before, amount > 0)
            if key not in said:
                said[key] = in_json(_sentence(catalogue[j], value, before, bare, for_churn=amount > 0))
            listed[i].append(_part("behaviour", amount, said[key], keys[j]))
        return listed

    def _causes(self, new: pd.DataFrame, old: pd.DataFrame, before: RunBefore) -> Objects:
        """Return what changed each row's colour, had it changed."""
        if before.run.policy_version == self.policy_version:
            return colour_causes(new, old, relit=old["model_colour"], reruled=old["raw_colour"])
        relit = self.light(old["probability"].to_numpy(dtype=float))
        return colour_causes(new, old, relit=relit, reruled=self._reruled(old, before.X))

    def _reruled(self, old: pd.DataFrame, X: pd.DataFrame) -> pd.Series:
        """Return the raw colours that today's rules make of the model's colours at the run before."""
        if X.empty:
            return old["raw_colour"]
        snapshot = X.droplevel("as_of")
        model_colours = old["model_colour"].reindex(snapshot.index).fillna(str(Colour.GREY))
        return self.ruled(snapshot, model_colours).reindex(old.index).fillna(old["raw_colour"])


def read_move(stored: str | None) -> Move | None:
    """Return what one cell of :meth:`Mover.tell` holds; None for an empty one."""
    if not stored:
        return None
    found = json.loads(stored)
    return Move(
        since=datetime.fromisoformat(found["since"]),
        previous_colour=Colour(found["previous_colour"]),
        because=found["because"],
        log_odds=found["log_odds"],
        parts=tuple(MovePart(**part) for part in found["parts"]),
    )


def _part(kind: str, log_odds: float, text: str, feature: str = "null") -> str:
    """Return a :class:`MovePart` in JSON; its words and its signal are JSON already."""
    return f'{{"kind":"{kind}","log_odds":{in_json(log_odds)},"text":{text},"feature":{feature}}}'


def _cells(frame: pd.DataFrame, columns: npt.NDArray[np.intp]) -> npt.NDArray[np.object_]:
    """Return the values of the cells (row, columns[row, k]) as plain Python objects."""
    values = np.full(columns.shape, None, dtype=object)
    for j in np.unique(columns):
        i, k = np.nonzero(columns == j)
        values[i, k] = [plain(value) for value in frame.iloc[i, int(j)].astype(object)]
    return values


def _sentence(feature: Feature, now: Value, was: Value, profile: ReasonProfile, *, for_churn: bool) -> str:
    text = sentence(feature, now, profile, for_churn=for_churn)
    if text[1:2].islower() or text[1:2] == " ":
        text = text[0].lower() + text[1:]
    return text + (" (as before)" if now == was else f" (was {quantity(was, feature.unit)})")


def _unnamed(name: str) -> Feature:
    return Feature(name, family="attributes", unit="", sql="", label=name.replace("_", " "), why="")


def compact_rows(contributions: pd.DataFrame) -> list[str]:
    """Return one JSON object per row, of the finite columns that are not 0, to 15 decimals."""
    cells = []
    for name, values in contributions.items():
        rounded = pa.array(np.round(values.to_numpy(dtype=np.float64), 15))
        told = pc.binary_join_element_wise(f",{json.dumps(str(name))}:", rounded.cast(pa.string()), "")
        worth = pc.and_(pc.is_finite(rounded), pc.not_equal(rounded, 0.0))
        cells.append(pc.if_else(worth, told, ""))
    inside = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*cells, ""), 1)
    rows: list[str] = pc.binary_join_element_wise("{", inside, "}", "").to_pylist()
    return rows
