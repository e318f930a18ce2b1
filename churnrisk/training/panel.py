"""The training panel: a project's tables, checked against the contract, then labelled and given features.

The check of the events is cached: it reads new files only, as long as the rest of its inputs stays the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.contract import (
    FUTURE,
    TABLES,
    UNKNOWN,
    ContractRule,
    Findings,
    Reach,
    TablePart,
    blocking,
    complete_events,
    distrust,
    find,
    literal,
    reaches,
    rules_of,
    shares,
    sign_ups,
    tidy,
    timestamp_literal,
    validate,
)
from churnrisk.errors import ChurnRiskError, ContractError, TooYoungError
from churnrisk.features import (
    FeatureFrame,
    Leak,
    annual_value,
    build_features,
    clashing_columns,
    find_leaks,
    lasting_features,
    require_prepared,
    select_features,
)
from churnrisk.files import digest_of, read_sealed, write_sealed
from churnrisk.lights import lifecycle_stage
from churnrisk.model import Blocks, account_blocks, blocks, find_suspects, kinds_with_peers
from churnrisk.records import Feature, Suspect, Violation
from churnrisk.settings import Project
from churnrisk.snapshots import (
    PANEL,
    Horizon,
    build_panel,
    data_span,
    follow_up,
    labelled_dates,
    sample_panel,
    training_dates,
)
from churnrisk.sources import (
    CacheConfig,
    EventFiles,
    Fingerprint,
    Stamp,
    Tables,
    open_engine,
    open_tables,
)

#: How far beyond its as-of date a row is followed.
FOLLOWED_DAYS = 360
#: Folder inside the project folder that caches the roll-up and the check of the events between runs.
EVENT_CACHE = ".churnrisk/events"
#: Format of the cached check. Raise it when the same rules begin to find something else.
FORMAT = 2
_FOLDER, _NAME = "checked", "checked.json"
#: Dates that calibrate at least, and the churned rows that they should hold.
_CALIBRATING, _CHURNED_ROWS = 3, 100
#: What makes accounts peers, by preference.
_PEERS_BY = ("segment", "plan", "stage")

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
    suspects : tuple of Suspect
        Signals that tell the outcome too well; those left out are not in X.
    """

    X: pd.DataFrame
    y: pd.Series
    features: tuple[Feature, ...]
    violations: Sequence[Violation]
    span: Horizon
    digest: str
    segments: pd.Series
    follow_up: pd.DataFrame | None = None
    suspects: tuple[Suspect, ...] = ()

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


def training_panel(
    project: Project,
    *,
    now: datetime,
    progress: Progress,
    looking_back: bool = False,
    trusted: Collection[str] = (),
) -> TrainingPanel:
    """Compute labels and features of every mature snapshot; ``looking_back`` is that of :func:`checked_tables`.

    Signals that look like leaks are left out, unless the project or ``trusted`` (a model's columns) names them.
    """
    with checked_tables(project, now=now, progress=progress, looking_back=looking_back) as checked:
        frame, features = _labelled(checked, project, progress)
        _require_rows(frame, project)
        later = _follow_up(checked, project)
        suspects = suspects_of(checked, project, frame, features, trusted=trusted)
        left_out = {one.feature for one in suspects if one.left_out}
        return TrainingPanel(
            frame.X.drop(columns=list(left_out)),
            frame.churned.astype("int8"),
            tuple(feature for feature in features if feature.name not in left_out),
            checked.violations,
            checked.span,
            checked.tables.digest,
            _segments(checked.tables),
            later,
            suspects,
        )


def _labelled(
    checked: CheckedTables, project: Project, progress: Progress
) -> tuple[FeatureFrame, tuple[Feature, ...]]:
    """Return the features of all rows with a label, and their declarations."""
    tables, dates = checked.tables, snapshot_dates(checked, project)
    progress(f"labelling {len(dates)} snapshots")
    build_panel(tables, project.churn, dates, data_end=checked.span.end)
    most = project.engine.max_panel_rows
    if (parts := sample_panel(tables, max_rows=most)) > 1:
        progress(f"taking one of {parts} accounts: more than {most:,} rows have a label")
    features = select_features(project.features, tables.available)
    progress(f"computing {len(features)} features")
    keys = project.features.key_features
    return build_features(tables, features, key_features=keys, labelled_only=True), features


def suspects_of(
    checked: CheckedTables,
    project: Project,
    frame: FeatureFrame,
    features: Sequence[Feature],
    *,
    trusted: Collection[str] = (),
) -> tuple[Suspect, ...]:
    """Return the signals of a labelled panel that tell the outcome too well; see :func:`find_suspects`.

    It may replace the panel in the engine.
    """
    several = frame.X.index.get_level_values("as_of").nunique() > 1
    lasting = lasting_features(checked.tables, features) if several else ()
    return tuple(
        find_suspects(
            frame.X,
            frame.churned,
            frame.X.index.get_level_values("account_id"),
            features,
            trust={*project.features.trust, *trusted},
            lasting=lasting,
            stayed=_stayed(checked, project) if lasting else None,
            seed=project.model.seed,
        )
    )


def _stayed(checked: CheckedTables, project: Project) -> pd.Series | None:
    """Return the accounts that are still customers when the data end; None if nothing but labels says so."""
    if project.churn.definition == "labels":
        return None
    end = checked.span.end
    build_panel(checked.tables, project.churn, [end], data_end=end)
    there = f"select account_id from {PANEL.rows} where grey_reason is null"
    return checked.tables.engine.frame(there)["account_id"]


def snapshot_dates(checked: CheckedTables, project: Project) -> Sequence[datetime]:
    """Return the as-of dates whose outcomes are known."""
    if project.churn.definition == "labels" and checked.tables.available.has("labels"):
        return labelled_dates(checked.tables, project.snapshots)
    return training_dates(checked.span, project.snapshots, project.churn)


def _segments(tables: Tables) -> pd.Series:
    """Return today's segment of each account, indexed by account id; empty if the tables have none."""
    if not tables.available.has("accounts.segment"):
        return pd.Series(dtype=object, name="segment")
    frame = tables.engine.frame("select account_id, segment::varchar as segment from accounts")
    return frame.drop_duplicates("account_id").set_index("account_id")["segment"].astype(object)


def _follow_up(checked: CheckedTables, project: Project) -> pd.DataFrame | None:
    if not project.model.time_to_churn or project.churn.definition == "labels":
        return None
    windows, end = -(-FOLLOWED_DAYS // project.churn.horizon_days), checked.span.end
    return follow_up(checked.tables, project.churn, data_end=end, max_windows=windows)


def _require_rows(frame: FeatureFrame, project: Project) -> None:
    """Refuse a panel without rows or with one class only."""
    if frame.X.empty:
        raise ContractError(
            f"no account is eligible at any snapshot with a known outcome (definition {project.churn.definition!r}). "
            "Check [churn] in churnrisk.toml and that account ids agree between the tables."
        )
    if frame.churned.nunique() < 2:
        what, error = ("churned", ContractError) if frame.churned.iloc[0] else ("stayed", TooYoungError)
        raise error(
            f"all {len(frame.X):,} rows of the panel {what}, so there is nothing to learn. "
            "Check the definition and its windows under [churn] in churnrisk.toml."
        )


@dataclass(frozen=True)
class CutPanel:
    """A panel cut into fit, calibration and test rows as ``[model]`` of its project says."""

    project: Project
    panel: TrainingPanel
    cut: Blocks

    @classmethod
    def of(cls, project: Project, panel: TrainingPanel) -> CutPanel:
        """Cut the panel; a ContractError if its history is too short."""
        if project.model.split == "accounts":
            return cls(project, panel, account_blocks(panel.groups, seed=project.model.seed))
        cut = blocks(
            panel.dates,
            embargo_days=project.churn.outcome_delay.days,
            test_snapshots=project.model.test_snapshots,
            calibration_snapshots=project.model.calibration_snapshots
            or _calibration_snapshots(project, panel),
            account_id=panel.groups,
            seed=project.model.seed,
        )
        return cls(project, panel, cut)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """The rows that a model may learn from."""
        return self.cut.fit | self.cut.calibration


def _calibration_snapshots(project: Project, panel: TrainingPanel) -> int:
    """Return how many dates calibrate, by power: until they are expected to hold enough churned rows.

    The expectation comes from their sizes and the churn of earlier dates, never from the labels that certify.
    """
    dates = panel.dates.unique().sort_values()
    delay = pd.Timedelta(days=project.churn.outcome_delay.days)
    before = dates[dates <= dates[-min(project.model.test_snapshots, len(dates))] - delay]
    # as many dates that calibrate as leave at least as many, an embargo earlier, to fit
    most = max((k for k in range(1, len(before) + 1) if (before <= before[-k] - delay).sum() >= k), default=0)
    earlier = panel.y[panel.dates <= before[-most] - delay] if most > _CALIBRATING else panel.y[:0]
    if earlier.empty:
        return _CALIBRATING
    rows = panel.dates.value_counts().reindex(before[::-1][:most]).to_numpy()
    enough = np.flatnonzero(np.cumsum(rows) * float(earlier.mean()) >= _CHURNED_ROWS)
    return max(_CALIBRATING, int(enough[0]) + 1 if len(enough) else most)


def kinds_of(by: str, X: pd.DataFrame, segments: pd.Series) -> pd.Series | None:
    """Return the peer group of each row of ``X`` by segment, plan or stage; None without such data."""
    if by == "segment" and len(segments):
        kinds = segments.reindex(X.index.get_level_values("account_id"))
    elif by == "plan" and "plan" in X:
        kinds = X["plan"].astype(object)
    elif by == "stage" and "tenure_days" in X:
        score = X["last_survey_score"] if "last_survey_score" in X else pd.Series(float("nan"), index=X.index)
        # no signals: among silent peers silence would look usual
        kinds = lifecycle_stage(X["tenure_days"], score)
    else:
        return None
    return pd.Series(kinds.to_numpy(dtype=object), index=X.index, name=by)


def choose_kinds(X: pd.DataFrame, segments: pd.Series) -> pd.Series | None:
    """Return the peer groups by the first choice in which at least two have enough accounts."""
    for by in _PEERS_BY:
        kinds = kinds_of(by, X, segments)
        if kinds is not None and len(kinds_with_peers(X, kinds)) > 1:
            return kinds
    return None


@dataclass(frozen=True)
class CheckedTables:
    """Opened tables that meet the contract, with its warnings."""

    tables: Tables
    violations: Sequence[Violation]
    span: Horizon


@contextmanager
def opened_tables(
    project: Project, *, now: datetime, progress: Progress, cached: bool = False
) -> Iterator[tuple[Tables, list[Violation], dict[str, Reach]]]:
    """Open the project's tables, with its cache if ``cached``; yield them, all violations, and how far they reach."""
    with open_engine(project.engine, base=project.data) as engine:
        progress("reading tables")
        tables = open_tables(engine, project.tables)
        if cached and project.engine.cache:
            tables = replace(tables, cache=CacheConfig(project.directory / EVENT_CACHE, progress))
        progress("checking the contract")
        reach = reaches(tables.engine.rows, tables.available, now=now)
        until = project.snapshots.data_until
        clashes = clashing_columns(project.features, tables.available)
        yield tables, clashes + check_tables(tables, now=now, reach=reach, data_until=until), reach


@contextmanager
def checked_tables(
    project: Project,
    *,
    now: datetime,
    progress: Progress,
    looking_back: bool = False,
    cached: bool = False,
) -> Iterator[CheckedTables]:
    """Open the project's tables if they meet the contract; rows dated after ``now`` are set aside.

    With ``looking_back``, ``now`` is past, so any number of rows may be dated later.
    """
    with opened_tables(project, now=now, progress=progress, cached=cached) as (tables, violations, reach):
        refuse([item for item in violations if not (looking_back and item.rule == FUTURE)])
        span = data_span(tables, project.snapshots, now=now, reach=reach)
        yield CheckedTables(tables, violations, span)


def latest_date(project: Project, *, now: datetime) -> datetime:
    """Return the latest as-of date that the data allow."""
    with open_engine(project.engine, base=project.data) as engine:
        return data_span(open_tables(engine, project.tables), project.snapshots, now=now).end


def check_tables(
    tables: Tables,
    *,
    now: datetime,
    reach: Mapping[str, Reach] | None = None,
    data_until: date | None = None,
) -> list[Violation]:
    """Return all violations of the contract and of trust, blocking ones first; checks of events are cached."""
    found = validate(
        tables.engine.rows,
        tables.available,
        native=tables.native,
        readings=tables.readings,
        now=now,
        known=_check_events(tables, now=now),
    )
    doubts = distrust(
        tables.engine.rows,
        tables.available,
        readings=tables.readings,
        reach=reach or {},
        found=found,
        now=now,
        data_until=data_until,
    )
    return sorted([*doubts, *found], key=lambda one: one.level != "error")


def refuse(violations: Sequence[Violation]) -> None:
    """Raise one ContractError that names every blocking violation, if there is any."""
    errors = blocking(violations)
    if not errors:
        return
    lines = [
        f"  {item.table}{'.' + item.column if item.column else ''}: {item.rule}"
        f"{f' ({item.count:,} rows, such as {item.examples[0]})' if item.examples else ''}. {item.fix}"
        for item in errors
    ]
    raise ContractError("the tables break the contract:\n" + "\n".join(lines))


@dataclass(frozen=True)
class CheckReport:
    """Usable rows per table and those left out by ``where``, what each covers, violations, and the data range.

    The range is None if violations block. ``leaks`` are signals that see the future at ``leak_dates``, None if not
    looked for; ``suspects`` tell the outcome too well.
    """

    rows: dict[str, int]
    left_out: Mapping[str, int]
    reach: dict[str, Reach]
    violations: list[Violation]
    span: Horizon | None
    leaks: list[Leak] | None
    leak_dates: tuple[datetime, ...] = ()
    suspects: tuple[Suspect, ...] = ()


def check(project: Project, *, leaks: bool, now: datetime, progress: Progress) -> CheckReport:
    """Check the tables and, with ``leaks``, the signals.

    At the middle mature snapshot, the last one and the date to score, the data are cut and compared; at all mature
    snapshots each signal alone is compared with the outcome.
    """
    with opened_tables(project, now=now, progress=progress) as (tables, violations, reach):
        names = tables.available.tables
        rows = {name: int(tables.engine.value(f"select count(*) from {name}")) for name in names}
        if leaks:
            refuse(violations)
        if blocking(violations):
            return CheckReport(rows, tables.left_out, reach, violations, None, None)
        span = data_span(tables, project.snapshots, now=now, reach=reach)
        features, keys = select_features(project.features, tables.available), project.features.key_features
        require_prepared(tables, features)
        if not leaks:
            return CheckReport(rows, tables.left_out, reach, violations, span, None)
        checked = CheckedTables(tables, violations, span)
        mature = snapshot_dates(checked, project)
        dates = tuple(sorted({mature[len(mature) // 2], mature[-1], span.end}))
        found: dict[str, Leak] = {}
        for date in dates:
            progress(f"cutting away what comes after {date:%Y-%m-%d}")
            build_panel(tables, project.churn, [date], data_end=span.end)
            found = {leak.feature: leak for leak in find_leaks(tables, features, key_features=keys)} | found
        frame, features = _labelled(checked, project, progress)
        both = frame.churned.nunique() == 2
        suspects = suspects_of(checked, project, frame, features) if both else ()
        return CheckReport(
            rows, tables.left_out, reach, violations, span, list(found.values()), dates, suspects
        )


@dataclass(frozen=True)
class CachedCheck:
    """The findings of an earlier check, with digests of what they depend on: engine and rules, files, accounts."""

    made_from: str
    parts: dict[str, Fingerprint]
    findings: Findings
    accounts: str
    now: str


def _check_events(tables: Tables, *, now: datetime) -> dict[str, Findings]:
    """Return what breaks the contract in the events, by the cache; nothing if they cannot be cached."""
    cache, parts = tables.cache, tables.event_parts
    if cache is None or parts is None:
        return {}
    native, reading = tables.native["events"], tables.readings["events"]
    # rules about the present are compared as of a fixed time
    by_relation = rules_of(
        TABLES["events"], tables.available, native=native, reading=reading, now=datetime.min
    )
    rules = list(chain(*by_relation))
    if any(rule.only_among != "false" for rule in rules):
        return {}
    return {"events": _EventCheck(tables, parts, cache, rules, now).findings()}


class _EventCheck:
    def __init__(
        self, tables: Tables, parts: EventFiles, cache: CacheConfig, rules: list[ContractRule], now: datetime
    ) -> None:
        self._tables, self._parts, self._cache, self._now = tables, parts, cache, now
        self._folder = cache.folder / _FOLDER
        self._time = f"{now:%Y-%m-%d %H:%M:%S}"
        self._engine = tables.engine
        version = self._engine.value("select version()")
        self._made_from = digest_of(f"{version} {parts.made_from} {rules!r}")

    def findings(self) -> Findings:
        stamps = self._parts.stamps()
        accounts = sign_ups(self._tables.available)
        self._engine.run(f"create or replace temp table checked_accounts as {accounts}")
        former = self._former()
        known = self._unchanged(former, stamps) if former else None
        findings = self._of_new(former, stamps.keys() - known.keys()) if former and known else None
        if former is None or known is None or findings is None:
            former, known, findings = None, {}, self._found(None)
        # rows that are in the future now will not be found later
        future = any(one.rule.problem == FUTURE for one in findings.found)
        if not future and not blocking(findings.violations("events")):
            try:
                self._write(findings, former, known, stamps)
            except (OSError, ChurnRiskError) as error:
                self._cache.say(f"the check of the events cannot be cached ({error})")
        return findings

    def _former(self) -> CachedCheck | None:
        """Return the cached check, if it is intact and of the same rules and accounts."""
        try:
            former = read_sealed(self._folder / _NAME, CachedCheck, form=FORMAT)
            intact = digest_of(self._accounts(former.accounts)) == former.accounts
        except (OSError, ValueError):
            return None
        return former if intact and former.made_from == self._made_from and self._holds(former) else None

    def _accounts(self, digest: str) -> Path:
        return self._folder / f"accounts.{digest[:16]}.parquet"

    def _holds(self, former: CachedCheck) -> bool:
        """Say whether the cached check still holds for today's time and accounts."""
        if self._time < former.now:
            return False
        file = literal(str(self._accounts(former.accounts)))
        other = (
            f"from read_parquet({file}) k left join checked_accounts a using (account_id) "
            "where k.is_unknown <> (a.account_id is null) or k.signed_up_at is distinct from a.signed_up_at"
        )
        return not self._engine.value(f"select count(*) {other}")

    def _unchanged(self, former: CachedCheck, stamps: dict[str, Stamp]) -> dict[str, Fingerprint] | None:
        """Return the files of the cached check as they are today; None if one has changed or gone."""
        known: dict[str, Fingerprint] = {}
        for name, seen in former.parts.items():
            if name not in stamps:
                return None
            known[name] = self._parts.parts[name].seen(stamps[name], seen)
            if known[name].digest != seen.digest:
                return None
        return known

    def _of_new(self, former: CachedCheck, names: AbstractSet[str]) -> Findings | None:
        """Add the findings of new files; None if duplicates were searched among fewer accounts than now."""
        if not names:
            return former.findings
        raw, rows = self._parts.raw(sorted(names)), self._parts.rows(sorted(names))
        self._engine.run(f"create or replace temp view new_raw_events as from {raw}")
        self._engine.run(f"create or replace temp view new_events as select * exclude (file) from {rows}")
        total = former.findings.total + int(self._engine.value("select count(*) from new_raw_events"))
        if shares(total) != shares(former.findings.total):
            return None
        complete = complete_events("new_events")
        # a duplicate is of the same instant
        low, high = self._engine.rows(f"select min(occurred_at), max(occurred_at) from {complete}")[0]
        near = (
            f"occurred_at between {timestamp_literal(low)} and {timestamp_literal(high)}" if low else "false"
        )
        others = (
            f"(select * exclude (file) from {self._parts.rows(former.parts)} "
            f"where account_id is not null and {near})"
        )
        return former.findings + self._found(TablePart("new_raw_events", complete, others, total))

    def _found(self, part: TablePart | None) -> Findings:
        tables = self._tables
        return find(
            self._engine.rows,
            "events",
            tables.available,
            native=tables.native["events"],
            reading=tables.readings["events"],
            now=self._now,
            part=part,
        )

    def _write(
        self,
        findings: Findings,
        former: CachedCheck | None,
        known: dict[str, Fingerprint],
        stamps: dict[str, Stamp],
    ) -> None:
        parts = known | {
            name: self._parts.parts[name].seen(stamp, None)
            for name, stamp in stamps.items()
            if name not in known
        }
        if self._parts.stamps() != stamps or self._accounts_changed():
            return  # the findings may mix two states of the tables
        nothing_new = former is not None and parts.keys() == former.parts.keys()
        accounts = former.accounts if former and nothing_new else self._write_accounts(findings, former)
        checked = CachedCheck(self._made_from, parts, findings, accounts, self._time)
        write_sealed(self._folder / _NAME, checked, form=FORMAT)
        for left in self._folder.glob("accounts.*.parquet"):
            if left != self._accounts(accounts):
                # a parallel run that needed it checks everything once more
                left.unlink(missing_ok=True)

    def _accounts_changed(self) -> bool:
        now, then = f"from ({sign_ups(self._tables.available)})", "from checked_accounts"
        changed = f"({now} except {then}) union all ({then} except {now})"
        return bool(self._engine.value(f"select count(*) from ({changed})"))

    def _write_accounts(self, findings: Findings, former: CachedCheck | None) -> str:
        """Write the accounts that the rows were compared with, and the unknown ones; return the digest."""
        accounts = "select *, false as is_unknown from checked_accounts"
        if any(one.rule.problem == UNKNOWN for one in findings.found):
            rows = complete_events("bare_events" if former is None else "new_events")
            account = tidy("e.account_id")
            accounts += (
                f" union select {account}, null, true from (select distinct account_id from {rows}) e "
                f"where {account} is not null and {account} not in (select account_id from checked_accounts)"
            )
            if former is not None:
                file = f"read_parquet({literal(str(self._accounts(former.accounts)))})"
                accounts += f" union select account_id, signed_up_at, true from {file} where is_unknown"
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / ".gitignore").write_text("*\n")
        with TemporaryDirectory(prefix=".new-", dir=self._folder) as scratch:
            written = Path(scratch) / "accounts.parquet"
            self._engine.run(
                f"copy (select * from ({accounts}) order by account_id) to {literal(str(written))} "
                "(format parquet, compression zstd)"
            )
            digest = digest_of(written)
            os.replace(written, self._accounts(digest))
        return digest
