"""Decide each account's colour: model, rules, hysteresis, overrides; and how stable colours are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.lights.config import DEFAULT_MARGIN
from churnrisk.lights.rules import DEFAULT_RULES, GREY_CODE, Rule, apply_rules, severity, to_codes, to_colours
from churnrisk.lights.segments import mark_wave, segments_of
from churnrisk.lights.traffic_light import TrafficLight
from churnrisk.records import NO_MODEL_YET, Colour, DecidedBy

# Red needs only this share of the margin: green is a promise, red a call to act.
_OUT_OF_RED = 0.5


def decide(
    p: npt.ArrayLike | pd.Series,
    X: pd.DataFrame,
    *,
    light: TrafficLight,
    rules: Iterable[Rule] = DEFAULT_RULES,
    previous: pd.DataFrame | None = None,
    overrides: pd.Series | None = None,
    grey: pd.Series | None = None,
    margin: float = DEFAULT_MARGIN,
    value: npt.ArrayLike | pd.Series | None = None,
) -> pd.DataFrame:
    """Decide the colours of one snapshot: model, then rules, hysteresis, override; grey where ineligible.

    X has one row per account, with the account id as index (or index level ``account_id``). `previous` is the run
    before (``colour``, ``raw_colour``, ``decided_by``), `overrides` the colours in force now, which leave grey
    accounts grey, `grey` why an account is not eligible (null where it is), all indexed by account id. `margin` is
    that of the hysteresis in log-odds, `value` the annual values for a light of policy ``cost``.

    Returns, indexed like X, ``colour`` (final), ``raw_colour`` (before hysteresis and override), ``model_colour``,
    ``decided_by`` and ``rule`` (the deciding rule, or why an account is grey; else None); ``attrs["notes"]`` names
    the rules not applicable. A blank `light` says that there is no model: the rules alone colour, and an account of
    which none speaks is grey, since green would be a promise.
    """
    scores = np.asarray(p, dtype=float)
    if len(scores) != len(X):
        raise UsageError(f"expected one probability per row of X, found {len(scores)} for {len(X)} rows.")
    accounts = _account_ids(X)
    reasons = None if grey is None else grey.reindex(accounts)
    colour_by_model = partial(light.predict, value=value, segments=segments_of(X, light.segment_by))
    model = colour_by_model(np.zeros_like(scores) if light.is_blank else scores)
    scored = ~np.isnan(scores) if reasons is None else ~np.isnan(scores) & reasons.isna().to_numpy()
    decided = colours_after_rules(X, model, light=light, rules=rules, scored=scored)
    decided["raw_colour"], decided["model_colour"] = decided["colour"], model
    if previous is not None and len(previous) and not light.is_blank:
        _hold_back(decided, scores, colour_by_model, previous.reindex(accounts), margin)
    if overrides is not None and len(overrides):
        codes = to_codes(overrides.reindex(accounts))
        _set(decided, codes != GREY_CODE, to_colours(codes), DecidedBy.OVERRIDE)
    unscored, why = np.isnan(scores), "no probability"
    if light.is_blank:
        unscored, why = (decided["decided_by"] == DecidedBy.MODEL).to_numpy(), NO_MODEL_YET
        decided["model_colour"] = str(Colour.GREY)
    _turn_grey(decided, unscored, reasons, why)
    return decided[["colour", "raw_colour", "model_colour", "decided_by", "rule"]]


def colours_after_rules(
    X: pd.DataFrame,
    model_colours: npt.ArrayLike | pd.Series,
    *,
    light: TrafficLight,
    rules: Iterable[Rule],
    scored: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    """Apply the rules to the model's colours, with newcomers counted among the `scored` rows of each ``as_of``."""
    return apply_rules(mark_wave(X, light.newcomers_, scored), model_colours, rules)


def _account_ids(X: pd.DataFrame) -> pd.Index:
    ids = X.index.get_level_values("account_id") if "account_id" in X.index.names else X.index
    if not ids.is_unique:
        raise UsageError(
            "expected one row per account, found repeated account ids. Decide one as_of at a time."
        )
    return ids


def _hold_back(
    decided: pd.DataFrame,
    scores: npt.NDArray[np.float64],
    light: Callable[[npt.NDArray[np.float64]], npt.ArrayLike],
    previous: pd.DataFrame,
    margin: float,
) -> None:
    """Apply hysteresis: colours worsen at once and improve late.

    A better colour than the previous one holds as far as p has cleared the threshold by ``margin`` log-odds, or as far
    as the run before already agreed (twice in a row); otherwise the previous colour, or the supported part of the way,
    stays. So nothing is worse than the worse of its last two raw colours, and no colour is held for more than one run.
    Without a previous colour, or with a grey one, the row stays as it is.
    """
    if margin == 0:
        return
    raw_before = previous["raw_colour"] if "raw_colour" in previous else previous["colour"]
    colour_before = previous["colour"]
    if "decided_by" in previous:
        # An override ends with itself: it must neither hold back later colours nor release them.
        colour_before = colour_before.mask(previous["decided_by"] == DecidedBy.OVERRIDE, raw_before)
    now, shown, before = to_codes(decided["raw_colour"]), to_codes(colour_before), to_codes(raw_before)
    still_red = to_codes(light(_shift(scores, margin * _OUT_OF_RED))) == severity(Colour.RED)
    not_green = to_codes(light(_shift(scores, margin))) != severity(Colour.GREEN)
    cleared = np.where(still_red, severity(Colour.RED), np.where(not_green, severity(Colour.AMBER), now))
    cleared = np.maximum(now, cleared)
    twice = np.where(before == GREY_CODE, cleared, np.maximum(now, before))
    supported = np.minimum(cleared, twice)
    held = np.where(now < shown, np.minimum(shown, supported), now)
    known = (now != GREY_CODE) & (shown != GREY_CODE)
    _set(decided, known & (held != now), to_colours(held.astype(np.int8)), DecidedBy.HYSTERESIS)


def _shift(p: npt.NDArray[np.float64], margin: float) -> npt.NDArray[np.float64]:
    """Return p moved up by a number of log-odds; 0 and 1 stay."""
    factor = np.exp(margin)
    return np.asarray(p * factor / (1.0 - p + p * factor))


def _turn_grey(
    decided: pd.DataFrame, unscored: npt.NDArray[np.bool_], reasons: pd.Series | None, otherwise: str
) -> None:
    ineligible = np.zeros(len(decided), dtype=bool) if reasons is None else reasons.notna().to_numpy()
    grey = ineligible | unscored
    why = np.full(len(decided), otherwise, dtype=object)
    if reasons is not None:
        why[ineligible] = reasons.to_numpy(dtype=object)[ineligible]
    _set(decided, grey, np.full(len(decided), str(Colour.GREY), dtype=object), DecidedBy.ELIGIBILITY)
    decided.loc[grey, ["raw_colour", "model_colour"]] = str(Colour.GREY)
    decided["rule"] = np.where(grey, why, decided["rule"])


def _set(
    decided: pd.DataFrame, where: npt.NDArray[np.bool_], colours: npt.NDArray[np.object_], by: DecidedBy
) -> None:
    decided["colour"] = np.where(where, colours, decided["colour"].to_numpy())
    decided["decided_by"] = np.where(where, str(by), decided["decided_by"].to_numpy())
    decided["rule"] = decided["rule"].mask(where, None)


def policy_version(light: TrafficLight, rules: Iterable[Rule], margin: float = DEFAULT_MARGIN) -> str:
    """Return 12 hexadecimal digits that change whenever the same p and features could get another colour."""
    active = [asdict(rule) for rule in rules if rule.enabled]
    thresholds = [float(light.amber_from_).hex(), float(light.red_from_).hex()]
    if light.policy == "cost":  # the same thresholds on p, scaled by what an account is worth
        thresholds.append(float(light.value_).hex())
    state: dict[str, object] = {"thresholds": thresholds, "rules": active, "margin": margin}
    if len(light.parts_) > 1:
        state["parts"] = [asdict(part) for part in light.parts_]
        state["segment_by"] = light.segment_by
    if light.newcomers_ is not None:
        state["newcomers"] = asdict(light.newcomers_)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Stability:
    """How colours behave over several snapshots.

    ``flaps`` counts accounts that changed their colour at one snapshot and were back at the next, ``chances`` those
    with a colour at three snapshots in a row; ``caught`` of the ``churned`` rows with a colour were red or amber.
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
    """Count flaps and caught churners; one row per (account_id, as_of), a missing row is no colour, like grey."""
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
