"""The training panel: a project's checked tables, labelled and given features, and what to think of its signals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.contract import (
    Reach,
    blocking,
)
from churnrisk.errors import ContractError, TooYoungError
from churnrisk.features import (
    FeatureFrame,
    Leak,
    annual_value,
    build_features,
    find_leaks,
    lasting_features,
    require_prepared,
    select_features,
)
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
    Tables,
)
from churnrisk.training.checked import CheckedTables, Progress, checked_tables, opened_tables, refuse

#: How far beyond its as-of date a row is followed.
FOLLOWED_DAYS = 360
#: Dates that calibrate at least, and the churned rows that they should hold.
_CALIBRATING, _CHURNED_ROWS = 3, 100
#: What makes accounts peers, by preference.
_PEERS_BY = ("segment", "plan", "stage")


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


def suspects_in(checked: CheckedTables, project: Project, progress: Progress) -> tuple[Suspect, ...]:
    """Return the signals of all rows with a label that tell the outcome too well; none if all rows are of one class."""
    frame, features = _labelled(checked, project, progress)
    return suspects_of(checked, project, frame, features) if frame.churned.nunique() == 2 else ()


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
        suspects = suspects_in(checked, project, progress)
        return CheckReport(
            rows, tables.left_out, reach, violations, span, list(found.values()), dates, suspects
        )
