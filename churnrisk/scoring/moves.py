"""Why scores and colours moved since the previous run: the whole change in log-odds, split into parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.lights import to_codes
from churnrisk.model import ReasonProfile, Value, cells, declared, quantity, sentence
from churnrisk.records import Colour, DecidedBy, Feature, Move, MovePart, Run
from churnrisk.scoring.batches import Bools, Floats, Ints, Objects

#: Smaller changes in log-odds are left out where an account keeps its colour.
MIN_CHANGE = 0.1
#: At most so many signals are named; the others are one part.
MOST_NAMED = 4
_MIN_NAMED = 0.01
# Floating point leaves this much; three such parts left out keep the sum within 1e-9.
_NOTHING = 1e-10
# Beyond this slope of an isotonic calibration, signals that cancel each other would be blown up.
_STEEPEST = 25.0


@dataclass(frozen=True)
class PreviousRun:
    """The previous run as published (``scores``, by account id) and its snapshot as today's data show it.

    ``X`` has no rows when it cannot be computed any more; ``log_odds`` is what that run's model makes of it, if other.
    """

    run: Run
    scores: pd.DataFrame
    X: pd.DataFrame
    log_odds: Floats | None = None


@dataclass(frozen=True)
class Mover:
    """Splits the moves of one scoring run into parts, by this run's ``light`` (of all rows) and ``apply_rules``.

    The latter maps a snapshot, by account, and the model's colours there to what this run's rules make of them.
    """

    classifier: Any
    model_version: str
    policy_version: str
    features: Sequence[Feature]
    profile: ReasonProfile
    light: Callable[[Floats], Objects]
    apply_rules: Callable[[pd.DataFrame, pd.Series], pd.Series]

    def moves(self, scores: pd.DataFrame, X: pd.DataFrame, previous: PreviousRun) -> pd.Series:
        """Return a :class:`Move` per row of ``scores``, None where the move is too small.

        Described are accounts that changed colour, and red and amber ones whose log-odds changed by at least
        :data:`MIN_CHANGE`. The change is published log-odds less those published at the previous run. It is split
        into

        - behaviour, per signal: this run's model on both snapshots as today's data show them. Contributions
          are differences of the raw ones times the mean slope of the calibration between the two, so
          they are exact for an additive model whatever its calibration;
        - freshness: the previous run's model, on its snapshot as today's data show it, less what it published;
        - model: this run's model less that of the previous run, on that same snapshot.

        ``scores`` has one row per account: account_id, log_odds, and the columns of
        :func:`churnrisk.lights.decide`; ``X`` the features of the same rows.
        """
        new = scores.set_index("account_id")
        old = previous.scores.reindex(new.index)
        total = (new["log_odds"] - old["log_odds"]).to_numpy(dtype=float)
        recoloured = (old["colour"].notna() & (old["colour"] != new["colour"])).to_numpy()
        at_risk = new["colour"].isin(["red", "amber"]).to_numpy()
        rows = np.flatnonzero(recoloured | (at_risk & (np.abs(total) >= MIN_CHANGE)))
        moves = np.full(len(scores), None, dtype=object)
        if len(rows):
            causes = self._causes(new, old, previous)[rows]
            causes[~recoloured[rows]] = None
            parts = self._parts(new.iloc[rows], X.iloc[rows], previous, total[rows])
            colours = map(Colour, old["colour"].iloc[rows])
            for row, colour, cause, change, of_row in zip(
                rows.tolist(), colours, causes, total[rows].tolist(), parts, strict=True
            ):
                log_odds = None if np.isnan(change) else change
                moves[row] = Move(previous.run.as_of, colour, cause, log_odds, tuple(of_row))
        return pd.Series(moves, index=scores.index, dtype=object)

    def _parts(
        self, new: pd.DataFrame, X: pd.DataFrame, previous: PreviousRun, total: Floats
    ) -> list[list[MovePart]]:
        """Return the parts of each row; none where its log-odds are unknown now or then."""
        at = previous.X.index.get_level_values("account_id").get_indexer(new.index)
        parts: list[list[MovePart]] = [[] for _ in total]
        for i in np.flatnonzero(~np.isnan(total) & (at < 0)):
            parts[i] = [MovePart("undivided", float(total[i]), "signals, data and model together")]
        divided = np.flatnonzero(~np.isnan(total) & (at >= 0))
        if len(divided):
            now = new["log_odds"].to_numpy(dtype=float)[divided]
            found = self._divided(X.iloc[divided], now, previous, at[divided], total[divided])
            for i, of_row in zip(divided, found, strict=True):
                parts[i] = of_row
        return parts

    def _divided(
        self, X: pd.DataFrame, now: Floats, previous: PreviousRun, at: Ints, total: Floats
    ) -> list[list[MovePart]]:
        then = previous.X.iloc[at]
        model_then = np.asarray(self.classifier.decision_function(then), dtype=np.float64)
        behaviour = self._behaviour(X, then, now - model_then)
        by_cause = self._data_and_model(model_then, previous, at, now - total)
        # What an approximation leaves is a part of its own: nothing is dropped.
        rest = total - behaviour.sum(axis=1) - sum(amount for _, _, amount in by_cause)
        by_cause.append(("remainder", "not explained by single signals", rest))
        order = np.argsort(-np.abs(behaviour), axis=1, kind="stable")[:, :MOST_NAMED]
        largest = np.take_along_axis(behaviour, order, axis=1)
        named = np.abs(largest) >= _MIN_NAMED
        others = behaviour.copy()
        np.put_along_axis(others, order, np.where(named, 0.0, largest), axis=1)
        parts = self._named(X, then, largest, order, named)
        for kind, text, amounts in (("behaviour", "other signals", others.sum(axis=1)), *by_cause):
            for i in np.flatnonzero(np.abs(amounts) > _NOTHING).tolist():
                parts[i].append(MovePart(kind, float(amounts[i]), text))
        return parts

    def _behaviour(self, X: pd.DataFrame, then: pd.DataFrame, change: Floats) -> Floats:
        """Return what each signal added to the log-odds, shape (n, d)."""
        raw = self.classifier.contributions(X, calibrated=False).to_numpy(dtype=float)
        raw = raw - self.classifier.contributions(then, calibrated=False).to_numpy(dtype=float)
        moved = self.classifier.raw_log_odds(X) - self.classifier.raw_log_odds(then)
        slope = np.divide(change, moved, out=np.ones_like(moved), where=np.abs(moved) > 1e-9)
        return np.asarray(raw * np.clip(slope, 0.0, _STEEPEST)[:, None], dtype=np.float64)

    def _data_and_model(
        self, model_then: Floats, previous: PreviousRun, at: Ints, published: Floats
    ) -> list[tuple[str, str, Floats]]:
        """Return kind, text and amounts of everything but behaviour."""
        late, model = "rows that came late", f"new model version {self.model_version}"
        if previous.run.model_version == self.model_version:
            return [("freshness", late, model_then - published)]
        if previous.log_odds is None:
            return [("model and data", f"{model} and {late}", model_then - published)]
        previous_then = previous.log_odds[at]
        return [("freshness", late, previous_then - published), ("model", model, model_then - previous_then)]

    def _named(
        self, X: pd.DataFrame, then: pd.DataFrame, largest: Floats, order: Ints, named: Bools
    ) -> list[list[MovePart]]:
        """Return the parts of the named signals, largest first."""
        catalogue = declared(X.columns, self.features)
        bare = replace(self.profile, low={}, high={})
        rows, columns = np.nonzero(named)[0], order[named]
        sentences: dict[tuple[int, Value, Value, bool], str] = {}
        parts: list[list[MovePart]] = [[] for _ in range(len(X))]
        for i, j, amount, now, was in zip(
            rows.tolist(),
            columns.tolist(),
            largest[named].tolist(),
            cells(X, rows, columns),
            cells(then, rows, columns),
            strict=True,
        ):
            key = (j, now, was, amount > 0)
            if key not in sentences:
                sentences[key] = _sentence(catalogue[j], now, was, bare, for_churn=amount > 0)
            parts[i].append(MovePart("behaviour", amount, sentences[key], catalogue[j].name))
        return parts

    def _causes(self, new: pd.DataFrame, old: pd.DataFrame, previous: PreviousRun) -> Objects:
        """Return the cause of each row's colour change, as if each had changed."""
        model_then, raw_then = old["model_colour"], old["raw_colour"]
        if previous.run.policy_version == self.policy_version:
            return colour_causes(new, old, by_thresholds=model_then, by_rules=raw_then)
        if not previous.X.empty:
            snapshot = previous.X.droplevel("as_of")
            colours = model_then.reindex(snapshot.index).fillna(str(Colour.GREY))
            raw_then = self.apply_rules(snapshot, colours).reindex(old.index).fillna(raw_then)
        lights = self.light(old["probability"].to_numpy(dtype=float))
        return colour_causes(new, old, by_thresholds=lights, by_rules=raw_then)


def colour_causes(
    new: pd.DataFrame,
    old: pd.DataFrame,
    *,
    by_thresholds: npt.ArrayLike | pd.Series,
    by_rules: npt.ArrayLike | pd.Series,
) -> Objects:
    """Return in one word what changed each row's colour, by deciding the earlier score and snapshot again.

    ``by_thresholds`` is what this run's thresholds make of the earlier probability, ``by_rules`` what its rules make
    of the earlier snapshot and the model's colour there.
    """
    shown, raw, model = (
        (to_codes(old[name]).astype(int), to_codes(new[name]).astype(int))
        for name in ("colour", "raw_colour", "model_colour")
    )
    model_again, raw_again = (to_codes(colours).astype(int) for colours in (by_thresholds, by_rules))
    override = str(DecidedBy.OVERRIDE)
    worse = raw[1] > raw[0]
    rule = (model[0] == model[1]) | np.where(worse, raw[1] != model[1], raw[0] != model[0])
    direction = np.sign(model[1] - model[0])
    choices = {
        str(DecidedBy.ELIGIBILITY): (shown[0] < 0) | (shown[1] < 0),
        override: ((old["decided_by"] == override) | (new["decided_by"] == override)).to_numpy(),
        # The colour moved though what it follows stood still or went the other way: it was held before.
        str(DecidedBy.HYSTERESIS): (raw[1] - raw[0]) * (shown[1] - shown[0]) <= 0,
        "policy": np.where(
            rule,
            (raw_again == raw[1]) & (raw_again != raw[0]),
            (model_again - model[0]) * direction > (model[1] - model_again) * direction,
        ),
        str(DecidedBy.RULE): rule,
    }
    return np.select(list(choices.values()), list(choices), default="score").astype(object)


def _sentence(feature: Feature, now: Value, was: Value, profile: ReasonProfile, *, for_churn: bool) -> str:
    text = sentence(feature, now, profile, for_churn=for_churn)
    if text[1:2].islower() or text[1:2] == " ":
        text = text[0].lower() + text[1:]
    return text + (" (as before)" if now == was else f" (was {quantity(was, feature.unit)})")
