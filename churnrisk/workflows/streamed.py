"""Score the accounts batch by batch, from the engine into a file beside it: memory does not grow with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from churnrisk.decision import Playbook, TrafficLight
from churnrisk.errors import ContractError, UsageError
from churnrisk.features.build import create_feature_table
from churnrisk.features.facts import facts_query
from churnrisk.history import HistoryStore, NewRun, active_overrides
from churnrisk.records import Feature, Run
from churnrisk.snapshots import build_panel
from churnrisk.sources import Tables, identifier, literal
from churnrisk.tracking import LoadedModel, Models
from churnrisk.workflows.coloured import coloured
from churnrisk.workflows.computed import Computed
from churnrisk.workflows.inputs import features_of, model_before
from churnrisk.workflows.panel import CheckedTables, Progress, advance
from churnrisk.workflows.plays import playbook_of
from churnrisk.workflows.probe import changed_settings
from churnrisk.workflows.project import Project
from churnrisk.workflows.time_to_churn import OUTLOOK, add_outlook
from churnrisk.workflows.told import Before, Teller, policy_of
from churnrisk.workflows.train import model_columns
from churnrisk.workflows.waves import has_wave, settled_light

#: Accounts that are scored at once.
BATCH = 50_000
_NUMBERS = ("probability", "log_odds", "annual_value", *OUTLOOK)
_BEFORE = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("account_id", "colour", "raw_colour", "model_colour", "decided_by")
        ),
        *((name, pa.float64()) for name in ("probability", "log_odds")),
    ]
)


def streamed_scores(
    project: Project,
    checked: CheckedTables,
    model: LoadedModel,
    models: Models,
    store: HistoryStore,
    run: NewRun,
    progress: Progress,
    *,
    outlook: bool,
    size: int = BATCH,
) -> Computed:
    """Return one row per account with everything that the history keeps, kept in a file of the engine's.

    Parameters
    ----------
    outlook : bool
        Tell of each account when it is likely to be lost too.
    size : int
        Accounts that are scored at once.

    Raises
    ------
    ContractError
        If no account is known before the as-of date.
    """
    scoring = _prepared(project, checked, model, models, store, run, progress, outlook=outlook)
    bounds = scoring.bounds(size)
    if not bounds:
        raise ContractError(
            f"no account is known before {run.as_of:%Y-%m-%d}, so there is nothing to score. "
            "Choose a later --as-of, or check signed_up_at."
        )
    engine, mine = checked.tables.engine, _at(run.as_of)
    eligible, everyone = engine.rows(
        f"select count(*) filter (where grey_reason is null), count(*) from feature_rows where as_of = {mine}"
    )[0]
    progress(f"scoring {eligible:,} accounts")
    path, mix, notes = engine.scratch / "scores.arrow", Counter[str](), changed_settings(model, project)
    done = 0
    with _Writer(path) as writer:
        for low, high in bounds:
            scores, told = scoring.batch(f"account_id between {literal(low)} and {literal(high)}")
            writer.write(scores)
            mix.update(map(str, scores["colour"]))
            notes = tuple(dict.fromkeys((*notes, *told)))
            done += len(scores)
            advance(progress, done, everyone)
    return Computed(Written(path), dict(mix), notes)


@dataclass(frozen=True)
class Written:
    """Scores in a file: data frames of one batch after the other, as often as they are asked for."""

    path: Path

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return (table.to_pandas().drop(columns=list(OUTLOOK), errors="ignore") for table in self.tables())

    def tables(self) -> Iterator[pa.Table]:
        """Yield the batches with all that was computed, as Arrow tables."""
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as reader:
            for number in range(reader.num_record_batches):
                yield pa.table(reader.get_batch(number))


class _Writer:
    """Writes batches of scores to one Arrow file; all have the columns of the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            with self._told():
                self._writer.close()

    def write(self, scores: pd.DataFrame) -> None:
        """Append one batch.

        Raises
        ------
        UsageError
            If the disk takes no more.
        """
        schema = pa.schema([(str(name), _kind(str(name))) for name in scores])
        table = pa.Table.from_pandas(scores, schema=schema, preserve_index=False)
        with self._told():
            if self._writer is None:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_file(str(self._path), schema, options=options)
            self._writer.write_table(table)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"the scores cannot be kept at {self._path.parent} ({error}); nothing was published. Make room, or "
                "name another folder as temp_directory under [engine]."
            ) from error


def _kind(name: str) -> pa.DataType:
    if name in _NUMBERS:
        return pa.float64()
    return pa.timestamp("us") if name == "renewal_at" else pa.string()


@dataclass(frozen=True)
class _Scoring:
    """What one batch after the other is scored with; the engine holds what is known of the accounts."""

    project: Project
    model: LoadedModel
    light: TrafficLight
    playbook: Playbook
    features: tuple[Feature, ...]
    asked: tuple[Feature, ...]
    tables: Tables
    as_of: datetime
    run_before: Run | None
    model_before: LoadedModel | None
    light_before: TrafficLight
    overrides: pd.Series
    outlook: bool

    def bounds(self, size: int) -> list[tuple[str, str]]:
        """Return the first and the last account of each batch."""
        return self.tables.engine.rows(
            "select min(account_id), max(account_id) from (select account_id, "
            "row_number() over (order by account_id) - 1 as place "
            f"from feature_rows where as_of = {_at(self.as_of)}) group by place // {int(size)} order by 1"
        )

    def batch(self, these: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Score the accounts that a condition on ``account_id`` chooses, and return the notes on the rules."""
        rows, classifier = self._rows(these, self.as_of), self.model.classifier
        X, accounts = rows[model_columns(self.model)], rows.index.get_level_values("account_id")
        grey = pd.Series(rows["grey_reason"].to_numpy(dtype=object), index=accounts)
        facts = self._of("account_facts", these).reindex(accounts)
        before = self._before(these)
        scores, notes = coloured(
            X,
            grey,
            facts,
            classifier=classifier,
            light=self.light,
            rules=self.project.decision.active_rules(),
            margin=self.project.decision.hysteresis_margin,
            previous=pd.DataFrame() if before is None else before.scores,
            overrides=self.overrides,
        )
        eligible = grey.isna().to_numpy()
        teller = Teller(
            self.project, self.model, self.light, self.playbook, self.features, X, facts, eligible
        )
        teller.tell(scores, before, self.tables, self.as_of)
        if self.outlook:
            add_outlook(scores, classifier, X, churn=self.project.churn, as_of=self.as_of)
        return scores, notes

    def _before(self, these: str) -> Before | None:
        if self.run_before is None:
            return None
        then, scores = self._rows(these, self.run_before.as_of), self._of("scored_before", these)
        columns = model_columns(self.model)
        return Before(self.run_before, scores, then[columns], self.model_before, then, self.light_before)

    def _rows(self, these: str, as_of: datetime) -> pd.DataFrame:
        named = [identifier(feature.name) for feature in self.asked]
        columns = ", ".join(("account_id", "as_of", "grey_reason", *named))
        rows: pd.DataFrame = self.tables.engine.arrow(
            f"select {columns} from feature_rows where as_of = {_at(as_of)} and {these} order by account_id"
        ).to_pandas()
        categorical = {feature.name: "category" for feature in self.asked if feature.categorical}
        return rows.set_index(["account_id", "as_of"]).astype(categorical)

    def _of(self, table: str, these: str) -> pd.DataFrame:
        found: pd.DataFrame = self.tables.engine.arrow(f"select * from {table} where {these}").to_pandas()
        return found.set_index("account_id")


def _prepared(
    project: Project,
    checked: CheckedTables,
    model: LoadedModel,
    models: Models,
    store: HistoryStore,
    run: NewRun,
    progress: Progress,
    *,
    outlook: bool,
) -> _Scoring:
    """Compute features and facts of all accounts inside the engine, and fetch what the run before said."""
    tables, moment = checked.tables, run.as_of
    features, playbook = features_of(model, project, tables), playbook_of(project, tables.available)
    before = store.latest_run(before=moment)
    former, more = model_before(before, model, models, project, tables)
    asked = tuple({feature.name: feature for feature in (*features, *more)}.values())
    # the run before is computed along, so that reasons can say what changed since
    earlier = [] if before is None or before.as_of < checked.span.start else [before.as_of]
    build_panel(tables, project.churn, [*earlier, moment], data_end=checked.span.end)
    progress(f"computing {len(features)} features as of {moment:%Y-%m-%d}")
    keys = project.features.key_features
    create_feature_table(tables, asked, key_features=keys, labelled_only=False)
    tables.engine.run(f"create or replace temp table account_facts as {facts_query(tables)}")
    if before is not None:
        tables.engine.table_from("scored_before", _BEFORE.empty_table())
        for piece in store.batches_of(before.run_id, BATCH):
            tables.engine.table_from(
                "scored_piece", pa.Table.from_pandas(piece, _BEFORE, preserve_index=False)
            )
            tables.engine.run("insert into scored_before from scored_piece")
    light, light_then = _lights(project, model, tables, moment, before)
    overrides = active_overrides(store, at=run.published_at)["colour"]
    return _Scoring(
        project, model, light, playbook, features, asked, tables, moment, before, former, light_then, overrides, outlook
    )  # fmt: skip


def _lights(
    project: Project, model: LoadedModel, tables: Tables, moment: datetime, before: Run | None
) -> tuple[TrafficLight, TrafficLight]:
    """Return the light as it stands for any part of this snapshot, and for any part of the one of the run before."""
    light = model.thresholds
    if "tenure_days" not in model_columns(model):
        return light, light
    now = f"from feature_rows where as_of = {_at(moment)}"
    today = settled_light(light, wave=has_wave(tables.engine, light, f"{now} and grey_reason is null"))
    if before is None or before.policy_version == policy_of(model, project):
        return today, today  # what is said of a date under the same policy is not asked for again
    then = (
        f"from feature_rows r join scored_before b using (account_id) where r.as_of = {_at(before.as_of)} "
        f"and b.model_colour <> 'grey' and account_id in (select account_id {now})"
    )
    return today, settled_light(light, wave=has_wave(tables.engine, light, then))


def _at(moment: datetime) -> str:
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S}'"
