"""Score every account on Spark's workers into files; red and amber ones are fetched, explained and published."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from churnrisk.contract import identifier, timestamp_literal
from churnrisk.records import Run
from churnrisk.scoring.batches import BATCH, Computed
from churnrisk.scoring.local import scores_path
from churnrisk.scoring.prepare import Prepared, ScoringTask, no_accounts, prepare, previous_from_store
from churnrisk.scoring.spark_worker import FACTS, PREVIOUS, SCHEMA, Policy, score_batches
from churnrisk.sources import Engine, EngineConfig, SparkEngine
from churnrisk.store import RENEWAL_WINDOW_DAYS, with_texts
from churnrisk.tracking import CHAMPION, pack

_SCORED = "scored"
_READ_BEFORE = ("account_id", *PREVIOUS, "model_colour", "probability", "log_odds")


def score_on_spark(task: ScoringTask, *, trial: bool) -> Computed:
    """Score all accounts into :func:`churnrisk.scoring.local.scores_path`, a trial into a folder of its own."""
    engine = _engine(task)
    prepared = prepare(task, partial(_open_previous, task))
    path = scores_path(task.project, task.run.as_of, task.run.run_key, trial=trial)
    notes = prepared.notes if trial else (*prepared.notes, f"the scores of all accounts are in {path}")
    task.progress("scoring on Spark")
    try:
        mix = _write(prepared, path)
        listed = _explained(prepared, mix.get("red", 0) + mix.get("amber", 0))
        return Computed(listed, mix, notes, _rest(task), partial(engine.remove, path))
    except BaseException:
        engine.remove(path)
        raise


def _engine(task: ScoringTask) -> SparkEngine:
    engine = task.checked.tables.engine
    assert isinstance(engine, SparkEngine)  # noqa: S101 - the engine that the project asks for
    return engine


def _open_previous(task: ScoringTask, run: Run) -> str:
    """Open the previous run from its own files where it has them, else from the store."""
    engine, path = _engine(task), scores_path(task.project, run.as_of, run.run_key)
    if not engine.is_written(path):
        return previous_from_store(task, run)
    everything, scores = "all_before", "scored_before"
    engine.open_written(everything, path)
    engine.run(f"create or replace temp view {scores} as select {', '.join(_READ_BEFORE)} from {everything}")
    return scores


def _write(prepared: Prepared, path: str) -> dict[str, int]:
    """Write the scores of all accounts, open them, and return how many have each colour."""
    task = prepared.task
    engine = _engine(task)
    categorical = [feature.name for feature in prepared.explainer.features if feature.categorical]
    policy = Policy.of(prepared.scorer, categorical=categorical)
    bundle = pack(task.models.stored(CHAMPION), project=task.project.name)
    sent = policy.with_model(bundle)
    engine.write_mapped(_inputs(prepared), score_batches, given=sent, schema=SCHEMA, path=path)
    engine.open_written(_SCORED, path)
    mix = dict(engine.rows(f"select colour, count(*) from {_SCORED} group by colour"))
    if not mix:
        raise no_accounts(task.run.as_of)
    return mix


def _inputs(prepared: Prepared) -> str:
    # by number: Spark takes a dot in a name that it hands to workers for a field of a field
    columns = [f"r.{identifier(name)} as x{number}" for number, name in enumerate(prepared.scorer.columns)]
    columns += [f"f.{name} as fact_{name}" for name in FACTS]
    previous = prepared.explainer.previous
    columns += [f"{f'b.{name}' if previous else 'null::varchar'} as before_{name}" for name in PREVIOUS]
    return (
        f"select r.account_id, r.as_of, r.grey_reason, {', '.join(columns)} from {prepared.table.rows} r "
        f"left join ({prepared.facts}) f on f.account_id = r.account_id "
        f"{f'left join {previous.scores} b on b.account_id = r.account_id ' if previous else ''}"
        f"where r.as_of = {timestamp_literal(prepared.task.run.as_of)}"
    )


def _explained(prepared: Prepared, listed: int) -> Iterator[pd.DataFrame]:
    """Yield the red and amber accounts with everything that the store keeps of them."""
    task, inputs = prepared.task, prepared.table.inputs
    today = f"as_of = {timestamp_literal(task.run.as_of)}"
    parts = -(-listed // BATCH)
    for number in range(parts):
        task.progress(f"explaining {listed:,} red and amber accounts, batch {number + 1} of {parts}")
        chosen = f"colour in ('red', 'amber') and abs(hash(account_id)) % {parts} = {number}"
        scores = prepared.engine.frame(f"select * from {_SCORED} where {chosen} order by account_id")
        scores = scores.drop(columns="colour_before")
        accounts = f"account_id in (select account_id from {_SCORED} where {chosen})"
        batch = prepared.batch(accounts, scores.set_index("account_id"))
        # levers are applied by SQL in too many small steps for Spark
        with Engine(EngineConfig(), base=task.project.data) as here:
            here.table_from(
                inputs, _engine(task).arrow(f"select * from {inputs} where {today} and {accounts}")
            )
            prepared.explainer.explain(scores, batch, here, prepared.table)
        yield with_texts(scores.drop(columns="loss_by_renewal", errors="ignore"))


def _rest(task: ScoringTask) -> pd.DataFrame:
    """Return the sums of the accounts that stay in the files, as :meth:`HistoryStore.publish` takes them."""
    today = timestamp_literal(task.run.as_of)
    sums: pd.DataFrame = (
        _engine(task)
        .arrow(
            "select owner, segment, colour, count(*) as accounts, "
            "count(*) filter (where colour is distinct from colour_before) as newly, "
            f"count(*) filter (where renewal_at >= {today} and "
            f"renewal_at < {today} + interval {RENEWAL_WINDOW_DAYS + 1} day) as renewing, "
            "count(renewal_at) as dated, count(annual_value) as valued, "
            "coalesce(sum(annual_value), 0) as annual_value, "
            "coalesce(sum(probability * annual_value), 0) as expected_loss "
            f"from {_SCORED} where colour in ('green', 'grey') group by owner, segment, colour"
        )
        .to_pandas()
    )
    return sums
