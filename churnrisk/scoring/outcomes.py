"""Compare the colours of earlier runs with what became of their accounts, and withdraw promises that broke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from churnrisk.contract import timestamp_literal
from churnrisk.errors import ChurnRiskError
from churnrisk.lights import (
    CONTRADICTION,
    LabelWindow,
    Promise,
    PromiseEvidence,
    lower_bound,
    promise_in_force,
    upper_bound,
    weigh,
)
from churnrisk.records import Colour, Run
from churnrisk.scoring.local import scores_path
from churnrisk.scoring.prepare import ScoringTask
from churnrisk.snapshots import build_panel
from churnrisk.store import (
    ColourOutcome,
    Withdrawal,
    add_withdrawals,
    naive_utc,
    read_outcomes,
    read_withdrawals,
    write_outcomes,
)
from churnrisk.tracking import LoadedModel, Models

#: So long after a run's outcomes are known, late data no longer change them.
FINAL_AFTER = timedelta(days=90)
# A panel of a million accounts at so many dates fits into memory.
_DATES_AT_ONCE = 8
_TWO_SIDED = 0.975
_COLOURS = tuple(str(colour) for colour in Colour)


@dataclass(frozen=True)
class _Promised:
    """What a model certified for its colours, strictest first, what its test block showed, and what its light notes."""

    certified: Mapping[str, Sequence[Promise]]
    evidence: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, str]


@dataclass(frozen=True)
class RecordedOutcomes:
    """How many runs got outcomes or promises, and the promises that were withdrawn because of them."""

    runs: int
    withdrawn: tuple[Withdrawal, ...] = ()


def record_outcomes(task: ScoringTask, *, data_are_new: bool) -> RecordedOutcomes:
    """Store what each live run promised and, once its label window is over, what became of its accounts.

    Outcomes are counted first, so that a run does not promise what they have just broken, also those of a run that
    another one has replaced since. Doing it again changes nothing unless late data changed the outcomes. Without
    ``data_are_new`` only incomplete runs are looked at.
    """
    with task.store.database.reading() as connection:
        live, every = read_outcomes(connection), read_outcomes(connection, replaced=True)
    counted = _count_due(task, {run: its for run, its in every if its}, data_are_new)
    withdrawn = _withdraw(task)
    new = _promises_of_new(task, [run for run, its in live if not its])
    write_outcomes(task.store, [one for outcomes in new.values() for one in outcomes])
    _count_due(task, new, data_are_new)
    return RecordedOutcomes(len(counted) + len(new), withdrawn)


def _count_due(
    task: ScoringTask, known: Mapping[Run, tuple[ColourOutcome, ...]], data_are_new: bool
) -> dict[int, tuple[ColourOutcome, ...]]:
    """Count and store the outcomes of runs whose label window is over; return what is new."""
    changed: dict[int, tuple[ColourOutcome, ...]] = {}
    due = [run for run, its in known.items() if _is_due(its, task.checked.span.end, data_are_new)]
    if due:
        task.progress(f"counting the outcomes of {len(due)} earlier {'run' if len(due) == 1 else 'runs'}")
    for first in range(0, len(due), _DATES_AT_ONCE):
        changed |= _counted(task, {run: known[run] for run in due[first : first + _DATES_AT_ONCE]})
    write_outcomes(task.store, [one for outcomes in changed.values() for one in outcomes])
    return changed


def _promises_of_new(task: ScoringTask, missing: Sequence[Run]) -> dict[Run, tuple[ColourOutcome, ...]]:
    """Return what runs without stored promises promise: what their model certified and nothing has broken."""
    if not missing:
        return {}
    # the promises of the champion need not be loaded
    versions = {task.model.name: _promised(task.model)}
    for version in {run.model_version for run in missing} - versions.keys():
        versions[version] = _promises_of(task.models, version)
    _withdraw(task, versions)
    with task.store.database.reading() as connection:
        withdrawn = read_withdrawals(connection)
    churn = task.project.churn
    return {
        run: _unknown_yet(
            run,
            versions[run.model_version],
            {one.promise for one in withdrawn if one.model_version == run.model_version},
            known_at=run.as_of + churn.outcome_delay,
            horizon_days=churn.horizon_days,
        )
        for run in missing
    }


def weigh_promises(
    runs: Iterable[tuple[Run, Sequence[ColourOutcome]]],
    certified: Mapping[str, _Promised] | None = None,
) -> dict[tuple[str, Promise], PromiseEvidence]:
    """Return the evidence against promises, from stored outcomes, replaced runs included.

    Every promise that a model version has made is weighed on all windows of its colour, and so is every one that a
    version in ``certified`` could make next: they are about the same accounts, and were certified before the outcomes.
    Of several runs of one date counts the last that was published before its label window began, else the first that
    was published before its outcomes were known.
    """
    counted: dict[datetime, tuple[Run, Sequence[ColourOutcome]]] = {}
    for run, outcomes in sorted(runs, key=lambda pair: pair[0].run_id):
        if not outcomes or run.published_at >= outcomes[0].known_at:
            continue
        window = label_window(run.as_of, outcomes[0])
        if run.as_of not in counted or run.published_at <= window.known_at - timedelta(
            days=window.horizon_days
        ):
            counted[run.as_of] = (run, outcomes)
    windows: dict[tuple[str, str], list[LabelWindow]] = {}
    made: dict[tuple[str, Promise], None] = {}
    for run, outcomes in counted.values():
        for one in outcomes:
            its = windows.setdefault((run.model_version, one.colour), [])
            its += [label_window(run.as_of, one)] if one.known is not None else []
            if one.promise:
                made[run.model_version, one.limits] = None
    for version, promised in (certified or {}).items():
        made |= {(version, promise): None for promises in promised.certified.values() for promise in promises}
    return {
        (version, promise): weigh(promise, windows.get((version, str(promise.colour)), ()))
        for version, promise in made
    }


def label_window(as_of: datetime, outcome: ColourOutcome) -> LabelWindow:
    """Return the counts of an outcome that is known."""
    # runs of earlier versions did not store their horizon; the window is no longer than this
    days = outcome.horizon_days or (outcome.known_at - as_of).days
    return LabelWindow(as_of, days, outcome.known_at, outcome.known or 0, outcome.churned or 0)


def _withdraw(task: ScoringTask, certified: Mapping[str, _Promised] | None = None) -> tuple[Withdrawal, ...]:
    """Withdraw every promise that the outcomes have broken; return those that were in force until now."""
    with task.store.database.reading() as connection:
        found = weigh_promises(read_outcomes(connection, replaced=True), certified)
    now = naive_utc(task.run.published_at)
    broken = [_withdrawal(version, one, now) for (version, _), one in found.items() if one.is_broken]
    return add_withdrawals(task.store, broken)


def _withdrawal(version: str, found: PromiseEvidence, now: datetime) -> Withdrawal:
    return Withdrawal(
        model_version=version,
        colour=str(found.promise.colour),
        at_most=found.promise.at_most,
        at_least=found.promise.at_least,
        withdrawn_at=now,
        horizon_days=found.windows[-1].horizon_days,
        first_as_of=found.windows[0].as_of,
        last_as_of=found.windows[-1].as_of,
        windows=len(found.windows),
        rows=found.rows,
        churned=found.churned,
        e_value=found.e_value,
    )


def _is_due(outcomes: Sequence[ColourOutcome], data_end: datetime, data_are_new: bool) -> bool:
    one = outcomes[0]
    if one.known_at > data_end:
        return False
    if one.data_end is None:
        return True
    return data_are_new and one.data_end < one.known_at + FINAL_AFTER


def _promised(model: LoadedModel) -> _Promised:
    evidence = {str(row["colour"]): row for row in model.documents.get("evidence.json", [])}
    light = model.thresholds
    certified = {str(colour): promises for colour, promises in light.rungs_.items()}
    return _Promised(
        certified, evidence, {colour: "; ".join(light.notes_on(Colour(colour))) for colour in _COLOURS}
    )


def _promises_of(models: Models, version: str) -> _Promised:
    try:
        return _promised(models.load(version))
    except ChurnRiskError:
        # no model, or one that is gone or cannot be loaded by this version: count without its promises
        return _Promised({}, {}, {})


def _unknown_yet(
    run: Run, promised: _Promised, withdrawn: set[Promise], *, known_at: datetime, horizon_days: int
) -> tuple[ColourOutcome, ...]:
    """Return the run's colours with the promises in force, their outcomes unknown."""
    outcomes = []
    for colour in _COLOURS:
        promise = promise_in_force(promised.certified.get(colour, ()), withdrawn, colour=Colour(colour))
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
                horizon_days=horizon_days,
                note=promised.notes.get(colour) or None,
                tested_accounts=tested.get("accounts"),
                # models of earlier versions did not count rows
                tested_rows=tested.get("rows") or None,
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
    dates = sorted({run.as_of for run in due})
    panel = build_panel(tables, task.project.churn, dates, data_end=end)
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
    rate = churned / known if known else float("nan")
    low, high = _bounds(churned, known, CONTRADICTION)
    kept = outcome.limits.kept(rate, low, high)
    shown = _bounds(churned, known, _TWO_SIDED) if known else (None, None)
    return replace(outcome, known=known, churned=churned, low=shown[0], high=shown[1], kept=kept)


def _bounds(churned: int, known: int, confidence: float) -> tuple[float, float]:
    return float(lower_bound(churned, known, confidence)), float(upper_bound(churned, known, confidence))
