"""From a project's tables, checked against the contract, to the panel that models are trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from churnrisk.contract import FUTURE, blocking, validate
from churnrisk.errors import ContractError
from churnrisk.features import FeatureFrame, build_features, select_features
from churnrisk.features.facts import annual_value
from churnrisk.records import Feature, Violation
from churnrisk.snapshots import (
    Horizon,
    build_panel,
    data_span,
    follow_up,
    labelled_dates,
    sample_panel,
    training_dates,
)
from churnrisk.sources import Cache, Tables, open_engine, open_tables
from churnrisk.workflows.kept_check import check_events
from churnrisk.workflows.peers import segments_of
from churnrisk.workflows.project import Project

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str], None]


@runtime_checkable
class Counting(Protocol):
    """A progress report that also counts within a stage."""

    def advance(self, done: int, of: int) -> None:
        """Show how many of all are done."""


def advance(progress: Progress, done: int, of: int) -> None:
    """Report how much of the current stage is done, if the progress counts."""
    if isinstance(progress, Counting):
        progress.advance(done, of)


#: How far beyond its as-of date a row is followed.
FOLLOWED_DAYS = 360
#: Folder inside the project folder that caches the roll-up of the events between runs.
KEPT = ".churnrisk/events"


@dataclass(frozen=True)
class CheckedTables:
    """Opened tables that meet the contract, with its warnings."""

    tables: Tables
    violations: Sequence[Violation]
    span: Horizon


@dataclass(frozen=True)
class TrainingPanel:
    """What a model learns from.

    Attributes
    ----------
    X : DataFrame
        One row per (account_id, as_of), eligible and mature; a column per feature.
    y : Series
        1 if the account churned inside the label window; aligned with X.
    features : tuple of Feature
        The columns' declarations.
    digest : str
        Fingerprint of the inputs.
    segments : Series indexed by account id
        Today's segments, to choose peers by; empty if the tables have none.
    follow_up : DataFrame or None
        What became of the rows after the label window, aligned with X: see :func:`churnrisk.snapshots.follow_up`. None
        if labels cover one window only, or ``[model] time_to_churn`` is off.
    """

    X: pd.DataFrame
    y: pd.Series
    features: tuple[Feature, ...]
    violations: Sequence[Violation]
    span: Horizon
    digest: str
    segments: pd.Series
    follow_up: pd.DataFrame | None = None

    @property
    def groups(self) -> pd.Index:
        """The account of each row, aligned with X: the unit of every bootstrap."""
        return self.X.index.get_level_values("account_id")

    @property
    def value(self) -> pd.Series | None:
        """What each account was worth a year at its as-of date, aligned with X; None without such a signal."""
        return annual_value(self.X)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """The as-of date of each row, aligned with X."""
        return cast("pd.DatetimeIndex", self.X.index.get_level_values("as_of"))


@contextmanager
def opened_tables(
    project: Project, *, now: datetime, progress: Progress, keep: bool = False
) -> Iterator[tuple[Tables, list[Violation]]]:
    """Open the project's tables; yield them with all violations of the contract.

    With ``keep``, the roll-up of the events is read from and written to the cache of the project.
    """
    with open_engine(project.engine, base=project.data) as engine:
        progress("reading tables")
        tables = open_tables(engine, project.tables)
        if keep and project.engine.cache:
            tables = replace(tables, cache=Cache(project.directory / KEPT, progress))
        progress("checking the contract")
        yield tables, check_tables(tables, now=now)


@contextmanager
def checked_tables(
    project: Project,
    *,
    now: datetime,
    progress: Progress,
    looking_back: bool = False,
    keep: bool = False,
) -> Iterator[CheckedTables]:
    """Open the project's tables if they meet the contract; rows dated after ``now`` are set aside.

    With ``looking_back``, ``now`` is past and any number of rows may be dated later; ``keep`` is that of
    :func:`opened_tables`.
    """
    with opened_tables(project, now=now, progress=progress, keep=keep) as (tables, violations):
        refuse([item for item in violations if not (looking_back and item.rule == FUTURE)])
        yield CheckedTables(tables, violations, data_span(tables, project.snapshots, now=now))


def latest_date(project: Project, *, now: datetime) -> datetime:
    """Return the latest as-of date that the data allow."""
    with open_engine(project.engine, base=project.data) as engine:
        return data_span(open_tables(engine, project.tables), project.snapshots, now=now).end


def check_tables(tables: Tables, *, now: datetime) -> list[Violation]:
    """Return all violations of the contract, blocking ones first; checks of events are cached."""
    events = check_events(tables, now=now)
    return validate(
        tables.engine.rows,
        tables.available,
        native=tables.native,
        date_formats=tables.date_formats,
        now=now,
        known={} if events is None else {"events": events},
    )


def refuse(violations: Sequence[Violation]) -> None:
    """Raise one ContractError that names every blocking violation, if there is any."""
    errors = blocking(violations)
    if not errors:
        return
    lines = [
        f"  {item.table}{'.' + item.column if item.column else ''}: {item.rule}"
        f"{f' ({item.count:,} rows, such as {item.examples[0]})' if item.examples else ''}. {item.mend}"
        for item in errors
    ]
    raise ContractError("the tables break the contract:\n" + "\n".join(lines))


def training_panel(
    project: Project, *, now: datetime, progress: Progress, looking_back: bool = False
) -> TrainingPanel:
    """Compute labels and features of every mature snapshot; ``looking_back`` is that of :func:`checked_tables`."""
    with checked_tables(project, now=now, progress=progress, looking_back=looking_back) as checked:
        tables = checked.tables
        dates = snapshot_dates(checked, project)
        progress(f"labelling {len(dates)} snapshots")
        build_panel(tables, project.churn, dates, data_end=checked.span.end)
        parts = sample_panel(tables, max_rows=project.engine.max_panel_rows)
        if parts > 1:
            progress(
                f"taking one of {parts} accounts: more than {project.engine.max_panel_rows:,} rows have a label"
            )
        features = select_features(project.features, tables.available)
        progress(f"computing {len(features)} features")
        frame = build_features(
            tables, features, key_features=project.features.key_features, labelled_only=True
        )
        _require_rows(frame, project)
        return TrainingPanel(
            frame.X,
            frame.churned.astype("int8"),
            features,
            checked.violations,
            checked.span,
            tables.digest,
            segments_of(tables.engine, tables.available),
            _follow_up(checked, project),
        )


def snapshot_dates(checked: CheckedTables, project: Project) -> Sequence[datetime]:
    """Return the as-of dates whose outcomes are known."""
    if project.churn.definition == "labels" and checked.tables.available.has("labels"):
        return labelled_dates(checked.tables, project.snapshots)
    return training_dates(checked.span, project.snapshots, project.churn)


def _follow_up(checked: CheckedTables, project: Project) -> pd.DataFrame | None:
    if not project.model.time_to_churn or project.churn.definition == "labels":
        return None
    windows = -(-FOLLOWED_DAYS // project.churn.horizon_days)
    return follow_up(checked.tables, project.churn, data_end=checked.span.end, max_windows=windows)


def _require_rows(frame: FeatureFrame, project: Project) -> None:
    """Refuse a panel without rows or with one class only."""
    if frame.X.empty:
        raise ContractError(
            f"no account is eligible at any snapshot with a known outcome (definition {project.churn.definition!r}). "
            "Check [churn] in churnrisk.toml and that account ids agree between the tables."
        )
    if frame.churned.nunique() < 2:
        what = "churned" if frame.churned.iloc[0] else "stayed"
        raise ContractError(
            f"all {len(frame.X):,} rows of the panel {what}, so there is nothing to learn. "
            "Check the definition and its windows under [churn] in churnrisk.toml."
        )
