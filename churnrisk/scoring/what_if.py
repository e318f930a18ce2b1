"""What-if: the smallest realistic change that would turn a red or amber account, by one lever of the team or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churnrisk.features import Lever, LeverEffects, pairs_of
from churnrisk.lights import Codes, Rule, apply_rules, severity, to_codes
from churnrisk.records import ChangedSignal, Colour, Feature, WhatIf
from churnrisk.scoring.batches import Bools, Floats, Ints, Objects
from churnrisk.sources import Engine

if TYPE_CHECKING:
    from churnrisk.model import ChurnClassifier, ReasonProfile

_GREEN = severity(Colour.GREEN)
_NONE = np.iinfo(np.int64).max
_MOST_ATTEMPTS = 1_000_000


@dataclass(frozen=True)
class WhatIfFinder:
    """Finds the what-ifs of one scoring run, by enumeration; ``levers`` are in order of preference.

    A change is realistic when every feature that a lever aims at stays within what retained peers show (or where it
    was), for each lever alone and for both. Smaller means fewer levers, then smaller doses, then the preference. The
    colour is what model and rules would say: hysteresis or an override may hold the old one. Idea: actionable recourse
    (Ustun, Spangher, Liu 2019).
    """

    classifier: ChurnClassifier
    rules: Sequence[Rule]
    light: Callable[[Ints, Floats], Objects]
    profile: ReasonProfile
    features: Sequence[Feature]
    levers: Sequence[Lever]

    def find(
        self, effects: LeverEffects, X: pd.DataFrame, colours: Sequence[str], kinds: Objects | None = None
    ) -> list[WhatIf]:
        """Return the what-if of each row; ``colours`` are those of model and rules, before hysteresis and overrides."""
        if X.empty:
            return []
        search = _Search(self, X, to_codes(list(colours)), kinds)
        singly = {lever.name: search.attempt(effects, [lever]) for lever in self.levers}
        left = pa.array(search.unturned)
        doses = {
            name: realistic.filter(pc.is_in(realistic["place"], left)) for name, realistic in singly.items()
        }
        for pair in pairs_of(self.levers):
            offered = [doses[lever.name] for lever in pair]
            if all(table.num_rows for table in offered):
                search.attempt(effects, pair, offered)
        return search.found


class _Search:
    """The smallest what-if found so far of each row."""

    def __init__(self, finder: WhatIfFinder, X: pd.DataFrame, codes: Codes, kinds: Objects | None) -> None:
        self._finder, self._X, self._codes = finder, X, codes
        self._signals = X[[feature.name for feature in finder.features]]
        self._kinds = np.full(len(X), None, dtype=object) if kinds is None else kinds
        self._bounds: dict[str, tuple[Floats, Floats]] = {}
        self._raw = finder.classifier.raw_log_odds(self._signals)
        self._parts = finder.classifier.parts_of(self._signals)
        self._log_odds = finder.classifier.calibrator_.apply(self._raw)
        self._size = np.where(codes <= _GREEN, 0, _NONE)
        already, nothing = WhatIf(Colour.GREEN), WhatIf(None)
        self.found = [already if code <= _GREEN else nothing for code in codes]
        self._attempts = 0

    @property
    def unturned(self) -> Ints:
        """Places of the rows that nothing has turned yet."""
        return np.flatnonzero(self._size == _NONE)

    def attempt(
        self, effects: LeverEffects, levers: Sequence[Lever], doses: Sequence[pa.Table] | None = None
    ) -> pa.Table:
        """Give a what-if to rows that the levers turn with none smaller; return realistic doses of the first."""
        self._attempts += 1
        realistic = []
        for changed in effects.features(levers, doses):
            rows = changed["place"].to_numpy()
            use = self._realistic(rows, changed, levers)
            realistic.append(pa.table({"place": rows[use], "dose": changed["dose_0"].to_numpy()[use]}))
            sizes = self._sizes(levers, changed)
            use &= sizes < self._size[rows]
            if use.any():
                self._try(levers, rows[use], changed[use], sizes[use])
        return pa.concat_tables(realistic)

    def _sizes(self, levers: Sequence[Lever], changed: pd.DataFrame) -> Ints:
        """Return the sort key of changes: smaller doses first, then levers in order of preference."""
        ranks = np.zeros(len(changed), dtype=np.int64)
        for i, lever in enumerate(levers):
            ranks += np.searchsorted(lever.doses, changed[f"dose_{i}"].to_numpy())
        return ranks * _MOST_ATTEMPTS + self._attempts

    def _try(self, levers: Sequence[Lever], rows: Ints, changed: pd.DataFrame, sizes: Ints) -> None:
        touched = changed[[name for name in self._signals if name in changed]]
        log_odds = self._finder.classifier.log_odds_if(
            self._signals, touched, raw=self._raw, rows=rows, parts=self._parts
        )
        codes = self._assign_colours(rows, touched, log_odds)
        turned = (codes < self._codes[rows]) & (log_odds <= self._log_odds[rows])
        if not turned.any():
            return
        # of two doses of the same size the one with less of the first lever: rows come in no order
        order = np.flatnonzero(turned)[np.lexsort((changed["dose_0"].to_numpy()[turned], sizes[turned]))]
        first = order[np.unique(rows[order], return_index=True)[1]]
        what_ifs = self._what_ifs(
            levers, rows[first], changed.iloc[first], codes[first], _probability(log_odds[first])
        )
        for row, what_if in zip(rows[first].tolist(), what_ifs, strict=True):
            self.found[row] = what_if
        self._size[rows[first]] = sizes[first]

    def _realistic(self, rows: Ints, changed: pd.DataFrame, levers: Sequence[Lever]) -> Bools:
        realistic = np.ones(len(rows), dtype=bool)
        for name in {aim for lever in levers for aim in lever.aims} & set(changed.columns):
            least, most = self._within(name)
            then = changed[name].to_numpy(dtype=np.float64)
            # comparisons with an unknown bound or value are false
            realistic &= ~((then > most[rows]) | (then < least[rows]))
        return realistic

    def _within(self, name: str) -> tuple[Floats, Floats]:
        """Return the realistic range of a feature for every row."""
        if name not in self._bounds:
            low, high = self._finder.profile.bounds(name, self._kinds)
            now = self._X[name].to_numpy(dtype=np.float64)
            self._bounds[name] = np.fmin(low, now), np.fmax(high, now)
        return self._bounds[name]

    def _assign_colours(self, rows: Ints, changed: pd.DataFrame, log_odds: Floats) -> Codes:
        """Return the colours of model and rules; of the model alone where it turns nothing."""
        rules = self._finder.rules
        model_colours = self._finder.light(rows, _probability(log_odds))
        codes = to_codes(model_colours)
        affected = codes < self._codes[rows]
        if any(rule.may_improve for rule in rules):
            affected[:] = True
        after = {
            name: changed[name].to_numpy()[affected]
            if name in changed
            else self._X[name].to_numpy()[rows[affected]]
            for name in {name for rule in rules for name in rule.requires if name in self._X}
        }
        X = pd.DataFrame(after, index=range(int(affected.sum())))
        codes[affected] = to_codes(apply_rules(X, model_colours[affected], rules)["colour"])
        return codes

    def _what_ifs(
        self, levers: Sequence[Lever], rows: Ints, changed: pd.DataFrame, codes: Codes, p: Floats
    ) -> Iterator[WhatIf]:
        labels = {feature.name: feature.label for feature in self._finder.features}
        aims = [aim for aim in dict.fromkeys(chain(*(lever.aims for lever in levers))) if aim in changed]
        now = self._X[aims].iloc[rows].to_numpy(dtype=np.float64)
        then = changed[aims].to_numpy(dtype=np.float64)
        counts = [
            self._X[lever.count].to_numpy()[rows]
            if lever.count in self._X
            else changed[f"dose_{i}"].to_numpy()
            for i, lever in enumerate(levers)
        ]
        names = tuple(lever.name for lever in levers)
        steps: dict[tuple[float, ...], tuple[str, ...]] = {}
        doses = list(zip(*(count.tolist() for count in counts), strict=True))
        for i, (before, after) in enumerate(zip(now.tolist(), then.tolist(), strict=True)):
            if doses[i] not in steps:
                steps[doses[i]] = tuple(map(Lever.step, levers, map(int, doses[i])))
            changes = tuple(
                ChangedSignal(aim, labels[aim], _number(a), _number(b))
                for aim, a, b in zip(aims, before, after, strict=True)
                if a != b
            )
            colour = (Colour.GREEN, Colour.AMBER)[codes[i]]
            yield WhatIf(colour, names, steps[doses[i]], float(p[i]), changes)


def add_what_ifs(
    scores: pd.DataFrame,
    X: pd.DataFrame,
    finder: WhatIfFinder,
    engine: Engine,
    inputs: str,
    *,
    kinds: pd.Series | None,
    as_of: datetime,
) -> None:
    """Add the column ``turnaround`` to the scores: a :class:`WhatIf` for red and amber accounts, else None."""
    scores["turnaround"] = None
    rows = np.flatnonzero(scores["colour"].isin(["red", "amber"]).to_numpy())
    if not len(rows) or not finder.levers:
        return
    accounts = pd.Index(scores["account_id"].iloc[rows])
    effects = LeverEffects(engine, inputs, finder.features, accounts, as_of=as_of)
    shown = replace(finder, light=lambda places, p: finder.light(rows[places], p))
    found = shown.find(
        effects,
        X.iloc[rows],
        scores["raw_colour"].iloc[rows].tolist(),
        None if kinds is None else kinds.to_numpy(dtype=object)[rows],
    )
    scores.loc[scores.index[rows], "turnaround"] = pd.Series(found, index=scores.index[rows], dtype=object)


def _number(value: float) -> float | None:
    """Return a number without the sign of a negative zero, None where it is missing."""
    return None if value != value else value + 0.0


def _probability(log_odds: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(log_odds), dtype=np.float64)
