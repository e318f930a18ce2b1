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
from churnrisk.settings import Project
from churnrisk.snapshots import build_panel
from churnrisk.sources import Engine
from churnrisk.store import ColourOutcome, HistoryStore, read_outcomes, write_outcomes
from churnrisk.tracking import LoadedModel, Models
from churnrisk.training import CheckedTables, Progress

#: Until so long after a run's outcomes are known, late data may change them; then they stay.
SETTLED_AFTER = timedelta(days=90)
# A panel of a million accounts at so many dates fits into memory.
_DATES_AT_ONCE = 8
_TWO_SIDED = 0.975
_COLOURS = tuple(str(colour) for colour in Colour)


@dataclass(frozen=True)
class _Promised:
    """What a model promises of its colours, and what its test block showed."""

    promises: Mapping[str, Promise]
    evidence: Mapping[str, Mapping[str, Any]]


def record_outcomes(
    project: Project,
    store: HistoryStore,
    checked: CheckedTables,
    model: LoadedModel,
    *,
    models: Models,
    progress: Progress,
    data_are_new: bool,
) -> int:
    """Store what each live run promised and, once its label window is over, what became of its accounts.

    Doing it again changes nothing unless late data changed the outcomes. The promises of the champion, ``model``, need
    not be loaded; ``models`` has those of earlier runs. Without ``data_are_new`` only incomplete runs are looked at.
    Return how many runs were written.
    """
    with store.database.reading() as connection:
        live = read_outcomes(connection)
    versions = {str(model.version): _promised(model)}
    changed: dict[int, tuple[ColourOutcome, ...]] = {}
    for run, outcomes in live:
        if not outcomes:
            changed[run.run_id] = _unknown_yet(run, _promises_of(models, run, versions), project)
    known = {run: changed.get(run.run_id, outcomes) for run, outcomes in live}
    due = [run for run, its in known.items() if _is_due(its, checked.span.end, data_are_new)]
    if due:
        progress(f"counting the outcomes of {len(due)} earlier {'run' if len(due) == 1 else 'runs'}")
    for first in range(0, len(due), _DATES_AT_ONCE):
        changed |= _counted(
            project, store, checked, {run: known[run] for run in due[first : first + _DATES_AT_ONCE]}
        )
    write_outcomes(store, [one for outcomes in changed.values() for one in outcomes])
    return len(changed)


def _is_due(outcomes: Sequence[ColourOutcome], data_end: datetime, data_are_new: bool) -> bool:
    one = outcomes[0]
    if one.known_at > data_end:
        return False
    if one.data_end is None:
        return True
    return data_are_new and one.data_end < one.known_at + SETTLED_AFTER


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


def _unknown_yet(run: Run, promised: _Promised, project: Project) -> tuple[ColourOutcome, ...]:
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
                known_at=run.as_of + project.churn.outcome_delay,
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
    project: Project,
    store: HistoryStore,
    checked: CheckedTables,
    due: Mapping[Run, tuple[ColourOutcome, ...]],
) -> dict[int, tuple[ColourOutcome, ...]]:
    """Return the outcomes of the runs where they are new or changed."""
    engine, end = checked.tables.engine, checked.span.end
    build_panel(checked.tables, project.churn, [run.as_of for run in due], data_end=end)
    # A fingerprint that needs no order, so that only runs whose outcomes changed are read from the store. A sum
    # of hashes per account: two accounts that change the same way must not cancel each other out.
    prints = {
        as_of: f"{count}:{bits}"
        for as_of, count, bits in engine.rows(
            "select as_of, count(*), sum(hash(concat(account_id, '/', churned))) from panel where churned is not null "
            "group by as_of"
        )
    }
    changed: dict[int, tuple[ColourOutcome, ...]] = {}
    for run, outcomes in due.items():
        found = prints.get(run.as_of, "0:")
        if all(one.fingerprint == found for one in outcomes):
            changed[run.run_id] = tuple(replace(one, data_end=end) for one in outcomes)
            continue
        labels = engine.arrow(
            "select account_id, churned from panel where churned is not null "
            f"and as_of = {timestamp_literal(run.as_of)}"
        ).to_pandas()
        scores = _colours_of(project, store, run, engine)
        if scores is None:
            continue
        counts = _counts(scores, labels)
        changed[run.run_id] = tuple(
            replace(_judged(one, *counts.get(one.colour, (0, 0))), fingerprint=found, data_end=end)
            for one in outcomes
        )
    return changed


def _colours_of(project: Project, store: HistoryStore, run: Run, engine: Engine) -> pd.DataFrame | None:
    """Return the colour of every account of a run; None where Spark's files are gone."""
    scores = store.scores(run.run_id, columns=["account_id", "colour"])
    if len(scores) == run.accounts:
        return scores
    try:
        engine.open_written("published", scores_path(project, run.as_of, run.run_key))
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
    kept = promise.kept(
        rate,
        float(lower_bound(churned, known, CONTRADICTION)),
        float(upper_bound(churned, known, CONTRADICTION)),
    )
    return replace(
        outcome,
        known=known,
        churned=churned,
        low=float(lower_bound(churned, known, _TWO_SIDED)) if known else None,
        high=float(upper_bound(churned, known, _TWO_SIDED)) if known else None,
        kept=kept,
    )
