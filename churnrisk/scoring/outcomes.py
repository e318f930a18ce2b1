"""Compare the colours of earlier runs with what became of their accounts, and store it with the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from churnrisk.contract import timestamp_literal
from churnrisk.errors import ChurnRiskError
from churnrisk.lights import CONTRADICTION, Promise, lower_bound, upper_bound
from churnrisk.records import Colour, Run
from churnrisk.scoring.local import scores_path
from churnrisk.scoring.prepare import ScoringTask
from churnrisk.snapshots import build_panel
from churnrisk.store import ColourOutcome, read_outcomes, write_outcomes
from churnrisk.tracking import LoadedModel, Models

#: So long after a run's outcomes are known, late data no longer change them.
FINAL_AFTER = timedelta(days=90)
# A panel of a million accounts at so many dates fits into memory.
_DATES_AT_ONCE = 8
_TWO_SIDED = 0.975
_COLOURS = tuple(str(colour) for colour in Colour)


@dataclass(frozen=True)
class _Promised:
    """What a model promises of its colours, and what its test block showed."""

    promises: Mapping[str, Promise]
    evidence: Mapping[str, Mapping[str, Any]]


def record_outcomes(task: ScoringTask, *, data_are_new: bool) -> int:
    """Store what each live run promised and, once its label window is over, what became of its accounts.

    Doing it again changes nothing unless late data changed the outcomes. Without ``data_are_new`` only incomplete runs
    are looked at. Return how many runs were written.
    """
    with task.store.database.reading() as connection:
        live = read_outcomes(connection)
    # the promises of the champion need not be loaded
    versions = {str(task.model.version): _promised(task.model)}
    changed: dict[int, tuple[ColourOutcome, ...]] = {}
    for run, outcomes in live:
        if not outcomes:
            known_at = run.as_of + task.project.churn.outcome_delay
            changed[run.run_id] = _unknown_yet(run, _promises_of(task.models, run, versions), known_at)
    known = {run: changed.get(run.run_id, outcomes) for run, outcomes in live}
    due = [run for run, its in known.items() if _is_due(its, task.checked.span.end, data_are_new)]
    if due:
        task.progress(f"counting the outcomes of {len(due)} earlier {'run' if len(due) == 1 else 'runs'}")
    for first in range(0, len(due), _DATES_AT_ONCE):
        changed |= _counted(task, {run: known[run] for run in due[first : first + _DATES_AT_ONCE]})
    write_outcomes(task.store, [one for outcomes in changed.values() for one in outcomes])
    return len(changed)


def _is_due(outcomes: Sequence[ColourOutcome], data_end: datetime, data_are_new: bool) -> bool:
    one = outcomes[0]
    if one.known_at > data_end:
        return False
    if one.data_end is None:
        return True
    return data_are_new and one.data_end < one.known_at + FINAL_AFTER


def _promised(model: LoadedModel) -> _Promised:
    promises = model.thresholds.promises_
    evidence = {str(row["colour"]): row for row in model.documents.get("evidence.json", [])}
    return _Promised({str(promise.colour): promise for promise in promises}, evidence)


def _promises_of(models: Models, run: Run, versions: dict[str, _Promised]) -> _Promised:
    if run.model_version not in versions:
        try:
            versions[run.model_version] = _promised(models.load(run.model_version))
        except ChurnRiskError:
            # a model that is gone or cannot be loaded by this version: count without its promises
            versions[run.model_version] = _Promised({}, {})
    return versions[run.model_version]


def _unknown_yet(run: Run, promised: _Promised, known_at: datetime) -> tuple[ColourOutcome, ...]:
    """Return the run's colours with their promises, their outcomes unknown."""
    outcomes = []
    for colour in _COLOURS:
        promise = promised.promises.get(colour, Promise(Colour(colour)))
        tested = promised.evidence.get(colour, {})
        outcomes.append(
            ColourOutcome(
                run_id=run.run_id,
                colour=colour,
                promise=promise.text,
                known_at=known_at,
                accounts=getattr(run, colour),
                at_most=promise.at_most,
                at_least=promise.at_least,
                tested_accounts=tested.get("accounts"),
                tested_rate=tested.get("churn_rate"),
                tested_low=tested.get("churn_low"),
                tested_high=tested.get("churn_high"),
                tested_kept=tested.get("kept"),
            )
        )
    return tuple(outcomes)


def _counted(
    task: ScoringTask, due: Mapping[Run, tuple[ColourOutcome, ...]]
) -> dict[int, tuple[ColourOutcome, ...]]:
    """Return the outcomes of the runs where they are new or changed."""
    tables, end = task.checked.tables, task.checked.span.end
    panel = build_panel(tables, task.project.churn, [run.as_of for run in due], data_end=end)
    labelled = f"from {panel.rows} where churned is not null"
    # A fingerprint that needs no order, so that only runs whose outcomes changed are read from the store. A sum
    # of hashes per account: two accounts that change the same way must not cancel each other out.
    prints = {
        as_of: f"{count}:{bits}"
        for as_of, count, bits in tables.engine.rows(
            f"select as_of, count(*), sum(hash(concat(account_id, '/', churned))) {labelled} group by as_of"
        )
    }
    changed: dict[int, tuple[ColourOutcome, ...]] = {}
    for run, outcomes in due.items():
        found = prints.get(run.as_of, "0:")
        if all(one.fingerprint == found for one in outcomes):
            changed[run.run_id] = tuple(replace(one, data_end=end) for one in outcomes)
            continue
        scores = _colours_of(task, run)
        if scores is None:
            continue
        labels = tables.engine.arrow(
            f"select account_id, churned {labelled} and as_of = {timestamp_literal(run.as_of)}"
        ).to_pandas()
        counts = _counts(scores, labels)
        changed[run.run_id] = tuple(
            replace(_judged(one, *counts.get(one.colour, (0, 0))), fingerprint=found, data_end=end)
            for one in outcomes
        )
    return changed


def _colours_of(task: ScoringTask, run: Run) -> pd.DataFrame | None:
    """Return the colour of every account of a run; None where Spark's files are gone."""
    scores = task.store.scores(run.run_id, columns=["account_id", "colour"])
    if len(scores) == run.accounts:
        return scores
    engine = task.checked.tables.engine
    try:
        engine.open_written("published", scores_path(task.project, run.as_of, run.run_key))
    except ChurnRiskError:
        return None
    frame: pd.DataFrame = engine.arrow("select account_id, colour from published").to_pandas()
    return frame


def _counts(scores: pd.DataFrame, labels: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return accounts with an outcome, and churned ones, by colour."""
    merged = scores.merge(labels, on="account_id")
    grouped = merged["churned"].astype(int).groupby(merged["colour"].astype("str")).agg(["count", "sum"])
    return {str(colour): (int(row["count"]), int(row["sum"])) for colour, row in grouped.iterrows()}


def _judged(outcome: ColourOutcome, known: int, churned: int) -> ColourOutcome:
    promise = Promise(Colour(outcome.colour), at_most=outcome.at_most, at_least=outcome.at_least)
    rate = churned / known if known else float("nan")
    low, high = _bounds(churned, known, CONTRADICTION)
    kept = promise.kept(rate, low, high)
    shown = _bounds(churned, known, _TWO_SIDED) if known else (None, None)
    return replace(outcome, known=known, churned=churned, low=shown[0], high=shown[1], kept=kept)


def _bounds(churned: int, known: int, confidence: float) -> tuple[float, float]:
    return float(lower_bound(churned, known, confidence)), float(upper_bound(churned, known, confidence))
