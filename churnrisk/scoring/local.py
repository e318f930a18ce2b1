"""Score in this process: batches go through the engine into a scratch file, which CSV and Parquet are written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO
from uuid import uuid4

import pandas as pd
import pyarrow as pa

from churnrisk.contract import literal, timestamp_literal
from churnrisk.errors import UsageError
from churnrisk.files import without_formulas, write_whole
from churnrisk.scoring.batches import BATCH, Batch, Computed
from churnrisk.scoring.prepare import Prepared, ScoringTask, no_accounts, prepare, previous_from_store
from churnrisk.settings import Project
from churnrisk.store import with_texts
from churnrisk.training import OUTLOOK, advance

_NUMBERS = ("probability", "log_odds", "annual_value", *OUTLOOK)


def score_locally(task: ScoringTask, *, size: int = BATCH) -> Computed:
    """Score all accounts, ``size`` at a time."""
    prepared = prepare(task, partial(previous_from_store, task))
    engine, facts = prepared.engine, "account_facts"
    engine.run(f"create or replace temp table {facts} as {prepared.facts}")
    today = f"from {prepared.table.rows} where as_of = {timestamp_literal(task.run.as_of)}"
    counts = f"select count(*) filter (where grey_reason is null), count(*) {today}"
    ((eligible, everyone),) = engine.rows(counts)
    if not everyone:
        raise no_accounts(task.run.as_of)
    bounds = engine.rows(
        "select min(account_id), max(account_id) from (select account_id, "
        f"row_number() over (order by account_id) - 1 as place {today}) group by place // {int(size)} order by 1"
    )
    task.progress(f"scoring {eligible:,} accounts")
    written, mix, notes, done = Written(engine.scratch / "scores.arrow"), Counter[str](), prepared.notes, 0
    with ScoreFile(written.path) as file:
        for first, last in bounds:
            accounts = f"account_id between {literal(first)} and {literal(last)}"
            known = engine.frame(f"select * from {facts} where {accounts}").set_index("account_id")
            scores, more = _scored(prepared, prepared.batch(accounts, known))
            file.write(scores)
            mix.update(map(str, scores["colour"]))
            notes = tuple(dict.fromkeys((*notes, *more)))
            done += len(scores)
            advance(task.progress, done, everyone)
    return Computed(written, dict(mix), notes)


def _scored(prepared: Prepared, batch: Batch) -> tuple[pd.DataFrame, tuple[str, ...]]:
    scores, notes = prepared.scorer.score_batch(batch)
    prepared.explainer.explain(scores, batch, prepared.engine, prepared.table)
    return with_texts(scores), notes


@dataclass(frozen=True)
class Written:
    """Scores in a file, read batch by batch as often as needed."""

    path: Path

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield what the store keeps."""
        return (
            table.to_pandas().drop(columns="loss_by_renewal", errors="ignore") for table in self._batches()
        )

    def tables(self) -> Iterator[pa.Table]:
        """Yield what files of scores have: with the outlook, and the family as part of the reasons only."""
        return (table.drop_columns("family") for table in self._batches())

    def _batches(self) -> Iterator[pa.Table]:
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as reader:
            for number in range(reader.num_record_batches):
                yield pa.table(reader.get_batch(number))


class ScoreFile:
    """Writes batches of scores to one Arrow file; all have the columns of the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> ScoreFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            with self._disk_errors():
                self._writer.close()

    def write(self, scores: pd.DataFrame) -> None:
        """Append one batch; a UsageError if the disk is full."""
        schema = pa.schema([(str(name), _type(str(name))) for name in scores])
        table = pa.Table.from_pandas(scores, schema=schema, preserve_index=False)
        with self._disk_errors():
            if self._writer is None:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_file(str(self._path), schema, options=options)
            self._writer.write_table(table)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"the scores cannot be written to {self._path.parent} ({error}); nothing was published. Make room, or "
                "name another folder as temp_directory under [engine]."
            ) from error


def _type(name: str) -> pa.DataType:
    if name in _NUMBERS:
        return pa.float64()
    return pa.timestamp("us") if name == "renewal_at" else pa.string()


def require_ending(path: Path) -> None:
    """Refuse a file extension other than .csv and .parquet, before any work is done."""
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(f"unsupported file extension: {path.name}. Use .csv or .parquet.")


def write_scores(tables: Iterator[pa.Table], path: Path) -> None:
    """Write tables of scores as one CSV or Parquet file, whole or not at all."""
    write_whole(path, partial(_as_parquet if path.suffix == ".parquet" else _as_csv, tables))


def _as_parquet(tables: Iterator[pa.Table], file: IO[bytes]) -> None:
    import pyarrow.parquet as parquet

    first = next(tables)
    with parquet.ParquetWriter(file, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def _as_csv(tables: Iterator[pa.Table], file: IO[bytes]) -> None:
    for number, table in enumerate(tables):
        # left to itself pandas leaves midnight out wherever a table has no other time
        frame = without_formulas(table).to_pandas()
        frame.to_csv(file, index=False, header=number == 0, date_format="%Y-%m-%d %H:%M:%S")


def scores_path(project: Project, as_of: datetime, run_key: str, *, trial: bool = False) -> str:
    """Return the folder to which Spark writes the scores of a run; a trial gets one of its own."""
    base = project.engine.scores or str(project.directory / "scores")
    base = base if "://" in base else str(project.directory / Path(base).expanduser())
    # readers of a lake skip what begins with an underscore
    run = f"_trial-{uuid4().hex}" if trial else f"run={run_key[:16]}"
    return f"{base}/as_of={as_of:%Y-%m-%d}/{run}"
