"""Backtest: the honest history of the colours, as they would have been at every mature snapshot."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from churnrisk.decision import Promise, TrafficLight, colour_evidence, decide
from churnrisk.decision.decisions import Stability, stability
from churnrisk.errors import ContractError, NoChampionError, UsageError
from churnrisk.features.facts import annual_value
from churnrisk.model import ChurnClassifier
from churnrisk.records import Colour, ColourEvidence
from churnrisk.tracking import CHAMPION
from churnrisk.workflows.panel import Progress, TrainingPanel, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import cut_blocks, learn, tracking_of

#: Its reasons are exact and it is quick to fit, so it stands in where there is no champion to copy.
_STAND_IN = "additive"

Outcome = Literal["kept", "broken", "unclear", ""]


@dataclass(frozen=True, slots=True)
class ColourAtSnapshot:
    """What one colour promised at one snapshot, and what happened.

    Attributes
    ----------
    share : float
        Of all accounts that had a colour.
    at_most, at_least : float or None
        The promised churn rate.
    outcome : str
        "kept" when the rate keeps the promise, "broken" when an exact 95 % bound contradicts it, "unclear"
        when the rate misses it by no more than chance explains; empty without promise or accounts.
    model_outcome : str
        The same for the model's own colour, of which alone the lights promise anything: rules and hysteresis
        take accounts out of green and put accounts into red.
    """

    as_of: datetime
    colour: Colour
    accounts: int
    share: float
    churned: int
    churn_rate: float
    churn_low: float
    churn_high: float
    at_most: float | None
    at_least: float | None
    outcome: Outcome
    model_outcome: Outcome


@dataclass(frozen=True)
class Backtest:
    """The colours of every snapshot that could be looked back on, and what happened to them.

    Attributes
    ----------
    candidate, why_candidate : str
        The one kind of model that was trained at every snapshot, and why that one.
    rows : tuple of ColourAtSnapshot
        Final colours (rules and hysteresis included), oldest snapshot first.
    skipped : tuple of (datetime, str)
        Snapshots without enough history before them, and why.
    settled, without_hysteresis : Stability
        Flaps and recall of the final colours, and of those before hysteresis.
    evidence, evidence_without_hysteresis, evidence_without_rules : tuple of ColourEvidence
        All snapshots together: final colours; without hysteresis; the model's own, without both.
    notes : tuple of str
        Notes of the latest training.
    """

    candidate: str
    why_candidate: str
    rows: tuple[ColourAtSnapshot, ...]
    skipped: tuple[tuple[datetime, str], ...]
    settled: Stability
    without_hysteresis: Stability
    evidence: tuple[ColourEvidence, ...]
    evidence_without_hysteresis: tuple[ColourEvidence, ...]
    evidence_without_rules: tuple[ColourEvidence, ...]
    notes: tuple[str, ...]

    @property
    def snapshots(self) -> tuple[datetime, ...]:
        """As-of dates looked back on, oldest first."""
        return tuple(dict.fromkeys(row.as_of for row in self.rows))

    def outcomes(self, colour: Colour, last: int | None = None, *, of_model: bool = False) -> dict[str, int]:
        """Count kept, broken and unclear promises of a colour, of the last snapshots only if asked."""
        dates = self.snapshots[-last:] if last else self.snapshots
        rows = [row for row in self.rows if row.colour == colour and row.as_of in dates]
        found = [row.model_outcome if of_model else row.outcome for row in rows]
        return {name: found.count(name) for name in ("kept", "broken", "unclear")}

    def share(self, colour: Colour) -> float:
        """Return a colour's share, averaged over the snapshots."""
        shares = [row.share for row in self.rows if row.colour == colour]
        return sum(shares) / len(shares)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; NaN as None."""
        return {
            "candidate": self.candidate,
            "why_candidate": self.why_candidate,
            "summary": {
                "snapshots": len(self.snapshots),
                "promises": {str(colour): self.outcomes(colour) for colour in (Colour.GREEN, Colour.RED)},
                "promises_last_5": {
                    str(colour): self.outcomes(colour, last=5) for colour in (Colour.GREEN, Colour.RED)
                },
                "promises_of_model": {
                    str(colour): self.outcomes(colour, of_model=True) for colour in (Colour.GREEN, Colour.RED)
                },
                "shares": {str(c): self.share(c) for c in (Colour.GREEN, Colour.AMBER, Colour.RED)},
                "flap_rate": _plain(self.settled.flap_rate),
                "flap_rate_without_hysteresis": _plain(self.without_hysteresis.flap_rate),
                "recall": _plain(self.settled.recall),
                "recall_without_hysteresis": _plain(self.without_hysteresis.recall),
            },
            "rows": [{name: _plain(value) for name, value in asdict(row).items()} for row in self.rows],
            "evidence": _dicts(self.evidence),
            "evidence_without_hysteresis": _dicts(self.evidence_without_hysteresis),
            "evidence_without_rules": _dicts(self.evidence_without_rules),
            "skipped": [{"as_of": f"{date:%Y-%m-%d}", "why": why} for date, why in self.skipped],
            "notes": list(self.notes),
        }


def backtest(project: Project, *, now: datetime, progress: Progress) -> Backtest:
    """Train, calibrate, set the lights and score at every mature snapshot with what was known then.

    At each snapshot the labels end an embargo earlier, rules apply, and hysteresis goes on from the snapshot
    before. One kind of model is trained, the champion's, so that a snapshot takes seconds; its settings
    are chosen anew each time. That one choice knows the later snapshots, everything else does not.

    Raises
    ------
    UsageError
        If the project has no course of time ([model] split = "accounts").
    ContractError
        If no snapshot has enough history before it.
    """
    if project.model.split == "accounts":
        raise UsageError(
            '--backtest walks through time, found [model] split = "accounts". Give the project several snapshots, or '
            "measure it with `churnrisk evaluate --folds 5`."
        )
    panel = training_panel(project, now=now, progress=progress)
    candidate, why = _candidate(project)
    quick = replace(project, model=replace(project.model, candidates=(candidate,), test_snapshots=1))
    return _Walk(quick).through(panel, why, progress)


def _candidate(project: Project) -> tuple[Any, str]:
    try:
        return tracking_of(project).load(CHAMPION).classifier.chosen_, "the champion's"
    except NoChampionError:
        names = project.model.candidates
        return (_STAND_IN if _STAND_IN in names else names[0]), "there is no champion to copy"


class _Walk:
    """From snapshot to snapshot: colours, outcomes, and the colours of the one before."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._rows: list[ColourAtSnapshot] = []
        self._colours: list[pd.DataFrame] = []
        self._skipped: list[tuple[datetime, str]] = []
        self._notes: tuple[str, ...] = ()

    def through(self, panel: TrainingPanel, why: str, progress: Progress) -> Backtest:
        dates = panel.X.index.get_level_values("as_of").unique().sort_values()
        for number, date in enumerate(dates, start=1):
            progress(f"snapshot {number} of {len(dates)}, as of {date:%Y-%m-%d}")
            try:
                self._look_at(panel, date)
            except ContractError as error:
                self._skipped.append((date, str(error)))
        if not self._colours:
            raise ContractError(f"no snapshot can be looked back on; the latest: {self._skipped[-1][1]}")
        return self._summed_up(why)

    def _look_at(self, panel: TrainingPanel, date: pd.Timestamp) -> None:
        known = panel.X.index.get_level_values("as_of") <= date
        past = replace(panel, X=panel.X[known], y=panel.y[known])
        cut = cut_blocks(past.X, self._project)
        # It learns from the first two blocks; the third is the snapshot itself.
        classifier, light = learn(past, cut, self._project, progress=_in_silence)
        X, churned = past.X[cut.test], past.y[cut.test]
        settled = self._settle(classifier, light, X).assign(churned=churned.to_numpy())
        self._colours.append(settled)
        self._notes = (*cut.notes, *classifier.notes_, *light.notes_)
        self._rows += _at_snapshot(date, settled, light)

    def _settle(self, classifier: ChurnClassifier, light: TrafficLight, X: pd.DataFrame) -> pd.DataFrame:
        before = self._colours[-1].droplevel("as_of") if self._colours else None
        settled = decide(
            classifier.predict_proba(X)[:, 1],
            X,
            light=light,
            rules=self._project.decision.active_rules(),
            previous=before,
            margin=self._project.decision.hysteresis_margin,
            value=annual_value(X),
        )
        settled.attrs = {}  # pandas compares them when it puts frames together
        return settled

    def _summed_up(self, why: str) -> Backtest:
        every = pd.concat(self._colours)
        accounts, churned = every.index.get_level_values("account_id"), every["churned"]
        final, raw, own = (
            colour_evidence(every[name], churned, accounts)
            for name in ("colour", "raw_colour", "model_colour")
        )
        return Backtest(
            candidate=self._project.model.candidates[0],
            why_candidate=why,
            rows=tuple(self._rows),
            skipped=tuple(self._skipped),
            settled=stability(every["colour"], churned),
            without_hysteresis=stability(every["raw_colour"], churned),
            evidence=final,
            evidence_without_hysteresis=raw,
            evidence_without_rules=own,
            notes=self._notes,
        )


def _at_snapshot(date: pd.Timestamp, settled: pd.DataFrame, light: TrafficLight) -> list[ColourAtSnapshot]:
    promises = {promise.colour: promise for promise in light.promises_}
    accounts = settled.index.get_level_values("account_id")
    evidence, own = (
        colour_evidence(settled[name], settled["churned"], accounts, light.promises_)
        for name in ("colour", "model_colour")
    )
    return [
        ColourAtSnapshot(
            as_of=date.to_pydatetime(),
            colour=row.colour,
            accounts=row.accounts,
            share=row.accounts / len(settled),
            churned=row.churned,
            churn_rate=row.churn_rate,
            churn_low=row.churn_low,
            churn_high=row.churn_high,
            at_most=promises.get(row.colour, Promise(row.colour)).at_most,
            at_least=promises.get(row.colour, Promise(row.colour)).at_least,
            outcome=_outcome(row),
            model_outcome=_outcome(of_model),
        )
        for row, of_model in zip(evidence, own, strict=True)
    ]


def _outcome(row: ColourEvidence) -> Outcome:
    if not row.promise or not row.accounts:
        return ""
    return "unclear" if row.kept is None else "kept" if row.kept else "broken"


def _dicts(evidence: tuple[ColourEvidence, ...]) -> list[dict[str, Any]]:
    return [{name: _plain(value) for name, value in asdict(row).items()} for row in evidence]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    return None if value != value else value


def _in_silence(_: str) -> None:
    """Say nothing: the walk reports one line per snapshot."""
