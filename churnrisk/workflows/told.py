"""What is told about each score: reasons, why it moved, what to do next, what would turn it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.decision import Playbook, TrafficLight, mark_wave, policy_version, ruled, segments_of
from churnrisk.features import select_levers
from churnrisk.model import ReasonProfile, explain
from churnrisk.records import Colour, Feature, Run
from churnrisk.sources import Tables
from churnrisk.tracking import LoadedModel
from churnrisk.workflows.inputs import log_odds_of
from churnrisk.workflows.moved import Mover, RunBefore, compact_rows
from churnrisk.workflows.peers import kinds_of
from churnrisk.workflows.plays import add_next_steps
from churnrisk.workflows.project import Project
from churnrisk.workflows.turnaround import Finder, add_turnarounds


@dataclass(frozen=True)
class Before:
    """The run before, and what it was made from as today's data show it.

    Attributes
    ----------
    run : Run
        The run.
    scores : DataFrame indexed by account id
        Its colours and probabilities.
    X : DataFrame of shape (accounts, features)
        The model's columns at its as-of date.
    model : LoadedModel or None
        Its model; None where it is today's or cannot be used any more.
    X_of_model : DataFrame
        The columns of both models at its as-of date.
    light : TrafficLight, optional
        Today's, with the newcomers of that date; None takes that of this run.
    """

    run: Run
    scores: pd.DataFrame
    X: pd.DataFrame
    model: LoadedModel | None
    X_of_model: pd.DataFrame
    light: TrafficLight | None = None


@dataclass(frozen=True)
class Teller:
    """Tells about the scores of one run.

    Attributes
    ----------
    project, model, light, playbook, features
        Of this run.
    X : DataFrame of shape (accounts, features)
        The model's columns, one row per row of the scores.
    facts : DataFrame indexed by account id
        What the tables say of each account, in the order of X.
    scored : ndarray of bool, shape (accounts,)
        The eligible accounts.
    """

    project: Project
    model: LoadedModel
    light: TrafficLight
    playbook: Playbook
    features: tuple[Feature, ...]
    X: pd.DataFrame
    facts: pd.DataFrame
    scored: npt.NDArray[np.bool_]

    def tell(self, scores: pd.DataFrame, before: Before | None, tables: Tables, moment: datetime) -> None:
        """Add the columns of the reasons, the move, the next step and the turnaround to the scores."""
        profile = self.model.profile
        kinds = kinds_of(profile.by, self.X, self.facts["segment"])
        self._add_reasons(scores, profile, kinds, None if before is None else before.X_of_model)
        scores["moved"] = None if before is None else self._moves(scores, profile, before)
        add_next_steps(scores, self.X, self.playbook, moment)
        finder = Finder(
            self.model.classifier,
            self.project.decision.active_rules(),
            self._coloured,
            profile,
            self.features,
            select_levers(self.project.features, tables.available),
        )
        marked = mark_wave(self.X, self.light.newcomers_, self.scored)
        add_turnarounds(scores, marked, finder, tables, kinds=kinds, as_of=moment)

    def _add_reasons(
        self, scores: pd.DataFrame, profile: ReasonProfile, kinds: Any, previous: pd.DataFrame | None
    ) -> None:
        """Put reasons on the red and amber rows."""
        shown = scores["colour"].isin(["red", "amber"]).to_numpy()
        scores["reasons"], scores["contributions"] = "[]", None
        if not shown.any():
            return
        contributions = self.model.classifier.contributions(self.X[shown])
        explained = explain(
            contributions,
            self.X[shown],
            self.features,
            profile,
            previous=previous if previous is not None and len(previous) else None,
            kinds=None if kinds is None else kinds[shown],
        )
        scores.loc[shown, "reasons"] = explained["reasons"].to_numpy()
        scores.loc[shown, "contributions"] = compact_rows(contributions)

    def _moves(self, scores: pd.DataFrame, profile: ReasonProfile, before: Before) -> pd.Series:
        ran = RunBefore(before.run, before.scores, before.X, log_odds_of(before.model, before.X_of_model))
        everyone = np.arange(len(self.X))
        mover = Mover(
            self.model.classifier,
            model_version=str(self.model.version),
            policy_version=policy_of(self.model, self.project),
            features=self.features,
            profile=profile,
            light=lambda p: self._coloured(everyone, p),
            ruled=partial(self._ruled, before.light or self.light),
        )
        return mover.tell(scores, self.X, ran)

    def _coloured(self, rows: Any, p: Any) -> Any:
        """Return the model's colours of some rows at other probabilities."""
        worth = self.facts["annual_value"].to_numpy(dtype=float)[rows]
        segments = segments_of(self.X, self.light.segment_by)
        return self.light.predict(p, worth, None if segments is None else segments[rows])

    def _ruled(self, light: TrafficLight, X: pd.DataFrame, colours: pd.Series) -> pd.Series:
        scored = (colours != str(Colour.GREY)).to_numpy()
        rules = self.project.decision.active_rules()
        return ruled(X, colours, light=light, rules=rules, scored=scored)["colour"]


def policy_of(model: LoadedModel, project: Project) -> str:
    """Return the version of everything that turns the model's probabilities into colours today."""
    decision = project.decision
    return policy_version(model.thresholds, decision.active_rules(), decision.hysteresis_margin)
