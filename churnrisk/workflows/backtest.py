"""Backtest: the colours as they would have been at every mature snapshot, and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from churnrisk.decision import TrafficLight
from churnrisk.decision.decisions import Stability, decide, stability
from churnrisk.decision.evidence import Promise, colour_evidence
from churnrisk.errors import ContractError, UsageError
from churnrisk.features.facts import annual_value
from churnrisk.records import Colour, ColourEvidence
from churnrisk.workflows.panel import Progress, TrainingPanel, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import champion_of, cut_blocks, learn, tracking_of

#: Its reasons are exact and it is quick to fit, so it stands in for a missing champion.
_STAND_IN = "additive"

Outcome = Literal["kept", "broken", "unclear", ""]


@dataclass(frozen=True, slots=True)
class ColourAtSnapshot:
    """What one colour promised at one snapshot (``at_most``, ``at_least``: churn rates), and what happened.

    ``share`` is that of all accounts with a colour. ``outcome`` is "kept" if the rate keeps the promise, "broken" if an
    exact 95 % bound contradicts it, "unclear" if the rate misses it by no more than chance; empty without promise or
    accounts. ``model_outcome`` is the same for the model's own colour, before rules and hysteresis.
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
    """The final colours of every snapshot with enough history, oldest first, and what happened.

    One kind of model (``candidate``) was trained at every snapshot. ``final`` and ``without_hysteresis`` hold flaps and
    recall; the evidence is that of all snapshots together. ``notes`` are those of the latest training.
    """

    candidate: str
    why_candidate: str
    rows: tuple[ColourAtSnapshot, ...]
    skipped: tuple[tuple[datetime, str], ...]
    final: Stability
    without_hysteresis: Stability
    evidence: tuple[ColourEvidence, ...]
    evidence_without_hysteresis: tuple[ColourEvidence, ...]
    evidence_without_rules: tuple[ColourEvidence, ...]
    notes: tuple[str, ...]

    @property
    def snapshots(self) -> tuple[datetime, ...]:
        """Their as-of dates, oldest first."""
        return tuple(dict.fromkeys(row.as_of for row in self.rows))

    def outcomes(self, colour: Colour, last: int | None = None, *, of_model: bool = False) -> dict[str, int]:
        """Count kept, broken and unclear promises of a colour, at all snapshots or the last ones."""
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
        promising = (Colour.GREEN, Colour.RED)
        return {
            "candidate": self.candidate,
            "why_candidate": self.why_candidate,
            "summary": {
                "snapshots": len(self.snapshots),
                "promises": {str(colour): self.outcomes(colour) for colour in promising},
                "promises_last_5": {str(colour): self.outcomes(colour, last=5) for colour in promising},
                "promises_of_model": {
                    str(colour): self.outcomes(colour, of_model=True) for colour in promising
                },
                "shares": {str(c): self.share(c) for c in (Colour.GREEN, Colour.AMBER, Colour.RED)},
                "flap_rate": _plain(self.final.flap_rate),
                "flap_rate_without_hysteresis": _plain(self.without_hysteresis.flap_rate),
                "recall": _plain(self.final.recall),
                "recall_without_hysteresis": _plain(self.without_hysteresis.recall),
            },
            "rows": _dicts(self.rows),
            "evidence": _dicts(self.evidence),
            "evidence_without_hysteresis": _dicts(self.evidence_without_hysteresis),
            "evidence_without_rules": _dicts(self.evidence_without_rules),
            "skipped": [{"as_of": f"{date:%Y-%m-%d}", "why": why} for date, why in self.skipped],
            "notes": list(self.notes),
        }


def backtest(project: Project, *, now: datetime, progress: Progress) -> Backtest:
    """Train, calibrate, set the lights and score at every mature snapshot with what was known then.

    At each snapshot the labels end an embargo earlier, rules apply, and hysteresis continues from the previous one. One
    kind of model is trained, the champion's, so that a snapshot takes seconds; its settings are chosen each time. Only
    that choice of the kind knows later snapshots.
    """
    if project.model.split == "accounts":
        raise UsageError(
            '--backtest walks through time, found [model] split = "accounts". Give the project several snapshots, or '
            "measure it with `churnrisk evaluate --folds 5`."
        )
    panel = training_panel(project, now=now, progress=progress)
    candidate, why = _candidate(project)
    quick = replace(project, model=replace(project.model, candidates=(candidate,), test_snapshots=1))
    dates = panel.dates.unique().sort_values()
    done: list[SnapshotColours] = []
    skipped: list[tuple[datetime, str]] = []
    for number, date in enumerate(dates, start=1):
        progress(f"snapshot {number} of {len(dates)}, as of {date:%Y-%m-%d}")
        try:
            done.append(colours_at(panel, date, quick, previous=done[-1].colours if done else None))
        except ContractError as error:
            skipped.append((date, str(error)))
    if not done:
        raise ContractError(f"no snapshot has enough history; the latest: {skipped[-1][1]}")
    every = pd.concat([snapshot.colours for snapshot in done])
    churned = every["churned"]
    final, raw, own = (
        colour_evidence(every[name], churned, every.index.get_level_values("account_id"))
        for name in ("colour", "raw_colour", "model_colour")
    )
    return Backtest(
        candidate=candidate,
        why_candidate=why,
        rows=tuple(row for snapshot in done for row in snapshot.rows()),
        skipped=tuple(skipped),
        final=stability(every["colour"], churned),
        without_hysteresis=stability(every["raw_colour"], churned),
        evidence=final,
        evidence_without_hysteresis=raw,
        evidence_without_rules=own,
        notes=done[-1].notes,
    )


def _candidate(project: Project) -> tuple[Any, str]:
    champion = champion_of(tracking_of(project))
    if champion is not None:
        return champion.classifier.chosen_, "the champion's"
    names = project.model.candidates
    return (_STAND_IN if _STAND_IN in names else names[0]), "there is no champion to copy"


@dataclass(frozen=True)
class SnapshotColours:
    """The colours of one snapshot with ``churned`` beside them, indexed by (account_id, as_of)."""

    date: pd.Timestamp
    colours: pd.DataFrame
    light: TrafficLight
    notes: tuple[str, ...]

    def rows(self) -> list[ColourAtSnapshot]:
        """Return what became of each colour."""
        promises = {promise.colour: promise for promise in self.light.promises_}
        accounts, churned = self.colours.index.get_level_values("account_id"), self.colours["churned"]
        final, own = (
            colour_evidence(self.colours[name], churned, accounts, self.light.promises_)
            for name in ("colour", "model_colour")
        )
        return [
            ColourAtSnapshot(
                as_of=self.date.to_pydatetime(),
                colour=row.colour,
                accounts=row.accounts,
                share=row.accounts / len(self.colours),
                churned=row.churned,
                churn_rate=row.churn_rate,
                churn_low=row.churn_low,
                churn_high=row.churn_high,
                at_most=promises.get(row.colour, Promise(row.colour)).at_most,
                at_least=promises.get(row.colour, Promise(row.colour)).at_least,
                outcome=_outcome(row),
                model_outcome=_outcome(of_model),
            )
            for row, of_model in zip(final, own, strict=True)
        ]


def colours_at(
    panel: TrainingPanel, date: pd.Timestamp, project: Project, *, previous: pd.DataFrame | None
) -> SnapshotColours:
    """Train on what was known before a snapshot and colour it; ``previous`` are the colours of the one before."""
    known = panel.dates <= date
    past = replace(panel, X=panel.X[known], y=panel.y[known])
    cut = cut_blocks(past.X, project)
    # It learns from the first two blocks; the third is the snapshot itself.
    classifier, light = learn(past, cut, project, progress=lambda _: None)
    X = past.X[cut.test]
    colours = decide(
        classifier.predict_proba(X)[:, 1],
        X,
        light=light,
        rules=project.decision.active_rules(),
        previous=None if previous is None else previous.droplevel("as_of"),
        margin=project.decision.hysteresis_margin,
        value=annual_value(X),
    ).assign(churned=past.y[cut.test].to_numpy())
    colours.attrs = {}  # pandas compares them when it concatenates frames
    return SnapshotColours(date, colours, light, (*cut.notes, *classifier.notes_, *light.notes_))


def _outcome(row: ColourEvidence) -> Outcome:
    if not row.promise or not row.accounts:
        return ""
    return "unclear" if row.kept is None else "kept" if row.kept else "broken"


def _dicts(rows: Sequence[ColourEvidence | ColourAtSnapshot]) -> list[dict[str, Any]]:
    return [{name: _plain(value) for name, value in asdict(row).items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    return None if value != value else value
