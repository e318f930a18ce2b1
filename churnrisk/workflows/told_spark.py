"""What is told about red and amber accounts of a run on Spark: fetched from there, told about here, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from churnrisk.decision import Playbook, TrafficLight
from churnrisk.records import DecidedBy, Feature, Run
from churnrisk.sources import Engine, EngineConfig, Tables, identifier
from churnrisk.tracking import LoadedModel
from churnrisk.workflows.panel import Progress
from churnrisk.workflows.project import Project
from churnrisk.workflows.told import Before, Teller
from churnrisk.workflows.train import model_columns

#: Accounts that are told about at once.
BATCH = 50_000


@dataclass(frozen=True)
class SparkTeller:
    """Tells about ``scored`` accounts, by ``scored_before``, ``feature_rows`` and ``feature_inputs``.

    Attributes
    ----------
    project, model, light, playbook, features
        Of the run, as for :class:`churnrisk.workflows.told.Teller`.
    tables : Tables
        Their engine holds the relations.
    as_of : datetime
        The run's.
    run_before, model_before : Run, LoadedModel, optional
        The run before, and its model where it is another one.
    asked : sequence of Feature
        The columns of both models.
    """

    project: Project
    model: LoadedModel
    light: TrafficLight
    playbook: Playbook
    features: tuple[Feature, ...]
    tables: Tables
    as_of: datetime
    run_before: Run | None
    model_before: LoadedModel | None
    asked: Sequence[Feature]

    def batches(self, listed: int, *, progress: Progress) -> Iterator[pd.DataFrame]:
        """Yield the red and amber accounts with everything that the history keeps of them.

        Parameters
        ----------
        listed : int
            How many there are.
        progress : callable
            Is told what is being done.
        """
        number_of = -(-listed // BATCH)
        for number in range(number_of):
            progress(f"telling about {listed:,} red and amber accounts, batch {number + 1} of {number_of}")
            yield self._told(f"colour in ('red', 'amber') and abs(hash(account_id)) % {number_of} = {number}")

    def _told(self, chosen: str) -> pd.DataFrame:
        scores = self._fetched(f"select * from scored where {chosen} order by account_id")
        scores = scores.drop(columns="colour_before")
        accounts = pd.Index(scores["account_id"])
        these = f"account_id in (select account_id from scored where {chosen})"
        X = self._features(these, self.as_of)
        teller = Teller(
            self.project,
            self.model,
            self.light,
            self.playbook,
            self.features,
            X[model_columns(self.model)],
            scores.set_index("account_id"),
            scores["decided_by"].ne(str(DecidedBy.ELIGIBILITY)).to_numpy(),
        )
        # levers are pulled by SQL, which takes too many small steps for Spark
        with Engine(EngineConfig(), base=self.project.data) as here:
            inputs = f"select * from feature_inputs where as_of = {_instant(self.as_of)} and {these}"
            here.table_from("feature_inputs", self.tables.engine.arrow(inputs))
            tables = Tables(here, self.tables.available, {}, {}, "")
            teller.tell(scores, self._before(these, accounts), tables, self.as_of)
        return scores

    def _before(self, these: str, accounts: pd.Index) -> Before | None:
        if self.run_before is None:
            return None
        scores = self._fetched(f"select * from scored_before where {these}").set_index("account_id")
        X = self._features(these, self.run_before.as_of)
        columns = model_columns(self.model)
        return Before(self.run_before, scores.reindex(accounts), X[columns], self.model_before, X)

    def _features(self, these: str, as_of: datetime) -> pd.DataFrame:
        columns = ", ".join(identifier(feature.name) for feature in self.asked)
        rows = self._fetched(
            f"select account_id, as_of, {columns} from feature_rows where as_of = {_instant(as_of)} and {these} "
            "order by account_id"
        ).set_index(["account_id", "as_of"])
        return rows.astype({feature.name: "category" for feature in self.asked if feature.categorical})

    def _fetched(self, sql: str) -> pd.DataFrame:
        frame: pd.DataFrame = self.tables.engine.arrow(sql).to_pandas()
        return frame


def _instant(moment: datetime) -> str:
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S}'"
