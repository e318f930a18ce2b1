"""Score with Spark: every account on its workers, with all scores in files; the history keeps red and amber."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pandas as pd

from churnrisk.errors import ContractError
from churnrisk.features.build import create_feature_table
from churnrisk.features.facts import facts_query
from churnrisk.history import HistoryStore, NewRun, active_overrides
from churnrisk.history.totals import sums_sql
from churnrisk.records import Feature, Run
from churnrisk.snapshots import build_panel
from churnrisk.sources import identifier
from churnrisk.sources.spark_engine import SparkEngine
from churnrisk.tracking import CHAMPION, LoadedModel, Models
from churnrisk.tracking.bundle import pack
from churnrisk.workflows.computed import Computed
from churnrisk.workflows.inputs import features_of, model_before
from churnrisk.workflows.panel import CheckedTables, Progress
from churnrisk.workflows.plays import playbook_of
from churnrisk.workflows.probe import changed_settings
from churnrisk.workflows.project import Project
from churnrisk.workflows.score_file import scores_path
from churnrisk.workflows.score_worker import BEFORE, FACTS, SCHEMA, Policy, score_batches
from churnrisk.workflows.told_spark import SparkTeller
from churnrisk.workflows.train import model_columns
from churnrisk.workflows.waves import has_wave, settled_light

_KEPT_BEFORE = (*BEFORE, "model_colour", "probability", "log_odds")


def spark_scores(
    project: Project,
    checked: CheckedTables,
    model: LoadedModel,
    models: Models,
    store: HistoryStore,
    run: NewRun,
    progress: Progress,
    *,
    trial: bool = False,
) -> Computed:
    """Compute the features of all accounts and score them on Spark's workers.

    All scores are written to :func:`churnrisk.workflows.score_file.scores_path`. Red and amber accounts are the
    frames, the others are sums. A trial writes to a folder of its own, which is to be discarded.

    Raises
    ------
    ContractError
        If no account is known before the as-of date.
    """
    return _SparkRun(project, checked, model, models, store, run, progress, trial).scored()


@dataclass(frozen=True)
class _SparkRun:
    project: Project
    checked: CheckedTables
    model: LoadedModel
    models: Models
    store: HistoryStore
    run: NewRun
    progress: Progress
    trial: bool

    def scored(self) -> Computed:
        tables, moment = self.checked.tables, self.run.as_of
        features = features_of(self.model, self.project, tables)
        before = self.store.latest_run(before=moment)
        former, more = model_before(before, self.model, self.models, self.project, tables)
        asked = tuple({feature.name: feature for feature in (*features, *more)}.values())
        earlier = [] if before is None or before.as_of < self.checked.span.start else [before.as_of]
        build_panel(tables, self.project.churn, [*earlier, moment], data_end=self.checked.span.end)
        self.progress(f"computing {len(features)} features as of {moment:%Y-%m-%d} on Spark")
        keys = self.project.features.key_features
        create_feature_table(tables, asked, key_features=keys, labelled_only=False)
        self._open_before(before)
        policy = self._policy(features)
        light = settled_light(self.model.thresholds, wave=policy.wave)
        playbook = playbook_of(self.project, tables.available)
        teller = SparkTeller(
            self.project, self.model, light, playbook, features, tables, moment, before, former, asked
        )
        path = scores_path(self.project, moment, self.run.run_key, trial=self.trial)
        notes = changed_settings(self.model, self.project)
        if not self.trial:
            notes = (*notes, f"the scores of all accounts are in {path}")
        self.progress("scoring on Spark")
        try:
            mix = self._written(features, policy, path)
            listed = teller.batches(mix.get("red", 0) + mix.get("amber", 0), progress=self.progress)
            return Computed(listed, mix, notes, self._rest(), partial(self.engine.remove, path))
        except BaseException:
            self.engine.remove(path)
            raise

    def _written(self, features: tuple[Feature, ...], policy: Policy, path: str) -> dict[str, int]:
        """Write the scores of all accounts, open them as ``scored``, and return how many have each colour."""
        self.engine.write_mapped(
            self._inputs(features),
            score_batches,
            given=policy.with_model(pack(self.models.stored(CHAMPION), project=self.project.name)),
            schema=SCHEMA,
            path=path,
        )
        self.engine.open_written("scored", path)
        mix = dict(self.engine.rows("select colour, count(*) from scored group by colour"))
        if not mix:
            raise ContractError(
                f"no account is known before {self.run.as_of:%Y-%m-%d}, so there is nothing to score. "
                "Choose a later --as-of, or check signed_up_at."
            )
        return mix

    @property
    def engine(self) -> SparkEngine:
        engine = self.checked.tables.engine
        assert isinstance(engine, SparkEngine)  # noqa: S101 - the engine that the project asks for
        return engine

    @property
    def _now(self) -> str:
        return f"timestamp '{self.run.as_of:%Y-%m-%d %H:%M:%S}'"

    def _open_before(self, before: Run | None) -> None:
        """Create ``scored_before``: the run before, from its own files where it has them, else from the history."""
        path = None if before is None else scores_path(self.project, before.as_of, before.run_key)
        columns = ", ".join(("account_id", *_KEPT_BEFORE))
        if path is not None and self.engine.is_written(path):
            self.engine.open_written("all_before", path)
            self.engine.run(f"create or replace temp view scored_before as select {columns} from all_before")
            return
        known = self.store.previous_colours(self.run.as_of)[list(_KEPT_BEFORE)]
        texts = [name for name in known if name not in ("probability", "log_odds")]
        self.engine.table_from("scored_before", known.astype(dict.fromkeys(texts, "str")).reset_index())

    def _policy(self, features: tuple[Feature, ...]) -> Policy:
        overrides = active_overrides(self.store, at=self.run.published_at)["colour"]
        return Policy(
            columns=model_columns(self.model),
            categorical=[feature.name for feature in features if feature.categorical],
            rules=self.project.decision.active_rules(),
            margin=self.project.decision.hysteresis_margin,
            overrides={str(account): str(colour) for account, colour in overrides.items()},
            wave=self._has_wave(),
        )

    def _has_wave(self) -> bool:
        """Say whether unusually many accounts are new; a worker sees too few of them to tell."""
        if "tenure_days" not in model_columns(self.model):
            return False
        eligible = f"from feature_rows where as_of = {self._now} and grey_reason is null"
        return has_wave(self.engine, self.model.thresholds, eligible)

    def _inputs(self, features: tuple[Feature, ...]) -> str:
        # by number: Spark takes a dot in a name that it hands to workers for a field of a field
        columns = [f"r.{identifier(feature.name)} as x{number}" for number, feature in enumerate(features)]
        columns += [f"f.{name} as fact_{name}" for name in FACTS]
        columns += [f"b.{name} as before_{name}" for name in BEFORE]
        return (
            f"select r.account_id, r.as_of, r.grey_reason, {', '.join(columns)} from feature_rows r "
            f"left join ({facts_query(self.checked.tables)}) f on f.account_id = r.account_id "
            f"left join scored_before b on b.account_id = r.account_id where r.as_of = {self._now}"
        )

    def _rest(self) -> pd.DataFrame:
        sums: pd.DataFrame = self.engine.arrow(
            f"select owner, segment, colour, {sums_sql(self.run.as_of)} from (select *, case when colour is distinct "
            f"from colour_before then {self._now} end as colour_since from scored "
            "where colour in ('green', 'grey')) dated group by owner, segment, colour"
        ).to_pandas()
        return sums
