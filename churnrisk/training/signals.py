"""The signals in use: meaning, coverage, drift and worth of each, their query, and the main one of each account."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.errors import ChurnRiskError
from churnrisk.features import FeatureFrame, build_features, create_feature_table, script_of, select_features
from churnrisk.model import LARGE, MOST_ROWS, SOME, population_stability, univariate_aucs
from churnrisk.records import Feature, Interval, Suspect
from churnrisk.settings import Project
from churnrisk.snapshots import build_panel
from churnrisk.sources import Tables
from churnrisk.tracking import CHAMPION
from churnrisk.training.checked import CheckedTables, Progress, checked_tables
from churnrisk.training.panel import snapshot_dates, suspects_of
from churnrisk.training.registered import tracking_of

DRAWS = 200
#: Enough accounts to compare the shares of main signals with.
SAMPLE = 2_000


@dataclass(frozen=True)
class FeatureWorth:
    """One signal as the project's data show it; None where a figure cannot be computed.

    ``drift`` is between the oldest and the latest snapshot, ``auc`` in the direction that the data show. A signal that
    is ``left_out`` looks like a leak.
    """

    feature: Feature
    window_days: int | None
    coverage: float
    drift: float | None
    auc: Interval | None
    higher_is_riskier: bool | None
    left_out: bool = False

    @property
    def contradicts(self) -> bool:
        """True if the data clearly show the opposite of the declared direction."""
        if self.auc is None or self.higher_is_riskier is None or self.auc.low <= 0.5:
            return False
        return self.feature.monotone == (-1 if self.higher_is_riskier else 1)

    @property
    def drift_size(self) -> str:
        """``large``, ``some`` or empty."""
        drift = self.drift or 0.0
        return "large" if drift >= LARGE else "some" if drift >= SOME else ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        auc = self.auc
        return {
            "feature": self.feature.name,
            "family": self.feature.family,
            "meaning": self.feature.label,
            "unit": self.feature.unit,
            "window_days": self.window_days,
            "monotone": self.feature.monotone,
            "coverage": self.coverage,
            "drift": self.drift,
            "auc": auc.value if auc else None,
            "auc_low": auc.low if auc else None,
            "auc_high": auc.high if auc else None,
            "higher_is_riskier": self.higher_is_riskier,
            "contradicts": self.contradicts,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class CatalogueReport:
    """All signals, worth most first, those that tell the outcome too well, and the rows behind the figures."""

    rows: tuple[FeatureWorth, ...]
    oldest: datetime
    latest: datetime
    snapshots: int
    eligible: int
    labelled: int
    suspects: tuple[Suspect, ...] = ()


def catalogue_report(project: Project, *, now: datetime, progress: Progress) -> CatalogueReport:
    """Measure every signal that the project's tables feed, at all mature snapshots and the latest date."""
    with checked_tables(project, now=now, progress=progress) as checked:
        features = _with_panel(project, checked, progress)
        keys = project.features.key_features
        frame = build_features(checked.tables, features, key_features=keys, labelled_only=False)
        labelled = frame.churned.notna().to_numpy()
        outcomes = FeatureFrame(frame.X[labelled], frame.churned[labelled], frame.grey_reason[labelled])
        both = outcomes.churned.nunique() == 2
        suspects = suspects_of(checked, project, outcomes, features) if both else ()
    left_out = {one.feature for one in suspects if one.left_out}
    eligible = frame.grey_reason.isna().to_numpy()
    X, churned = frame.X[eligible], frame.churned[eligible]
    dates = X.index.get_level_values("as_of")
    progress("measuring drift")
    oldest, latest = X[dates == dates.min()], X[dates == dates.max()]
    drifts = (
        {name: population_stability(oldest[name], latest[name]) for name in X}
        if dates.nunique() > 1
        else dict.fromkeys(X)
    )
    known = churned.notna().to_numpy()
    aucs = _aucs(X[known], churned[known].astype(int), seed=project.model.seed, progress=progress)
    rows = [
        replace(_worth(one, X[one.name], drifts[one.name], aucs[one.name]), left_out=one.name in left_out)
        for one in features
    ]
    # by what can be relied on: the lower end of the interval
    rows.sort(key=lambda row: (-row.auc.low if row.auc else 0.0, row.feature.name))
    return CatalogueReport(
        tuple(rows),
        dates.min().to_pydatetime(),
        dates.max().to_pydatetime(),
        int(dates.nunique()),
        len(X),
        int(known.sum()),
        suspects,
    )


def feature_query(project: Project, *, now: datetime, progress: Progress) -> str:
    """Return the query behind the features as one commented script, after running it."""
    with checked_tables(project, now=now, progress=progress) as checked:
        with checked.tables.engine.recording() as statements:
            features = _with_panel(project, checked, progress)
            keys = project.features.key_features
            table = create_feature_table(checked.tables, features, key_features=keys, labelled_only=False)
        columns = checked.tables.engine.columns(table.inputs)
        return script_of(statements, columns, project=project.name)


def window_days(feature: Feature) -> int | None:
    """Return how far a signal looks back: by convention the end of its name.

    >>> from churnrisk.features import CATALOGUE
    >>> [(f.name, window_days(f)) for f in CATALOGUE][:3]
    [('days_since_last_event', None), ('silent_30d', 30), ('active_days_7', 7)]
    """
    found = re.search(r"_(\d{1,3})d?$", feature.name)
    return int(found[1]) if found else None


def _with_panel(project: Project, checked: CheckedTables, progress: Progress) -> tuple[Feature, ...]:
    """Create the panel of all mature snapshots and the latest date, and return the features in use."""
    dates = list(snapshot_dates(checked, project))
    if project.churn.definition != "labels":
        dates.append(checked.span.end)
    build_panel(checked.tables, project.churn, dates, data_end=checked.span.end)
    features = select_features(project.features, checked.tables.available)
    progress(f"computing {len(features)} features at {len(dates)} snapshots")
    return features


def _aucs(
    X: pd.DataFrame, churned: pd.Series, *, seed: int, progress: Progress
) -> dict[str, Interval | None]:
    accounts = X.index.get_level_values("account_id")
    if len(X) > MOST_ROWS:
        names = np.random.default_rng(seed).permutation(accounts.unique())
        drawn = accounts.isin(names[: max(1, int(len(names) * MOST_ROWS / len(X)))])
        X, churned, accounts = X[drawn], churned[drawn], accounts[drawn]
    progress(f"ranking {len(X):,} rows by each signal alone")
    return dict(univariate_aucs(X, churned, accounts, n_boot=DRAWS, seed=seed))


def _worth(feature: Feature, values: pd.Series, drift: float | None, auc: Interval | None) -> FeatureWorth:
    coverage = float(values.notna().mean()) if len(values) else 0.0
    higher = None if auc is None or feature.categorical else auc.value >= 0.5
    if auc is not None and higher is False:
        auc = Interval(1 - auc.value, 1 - auc.high, 1 - auc.low)
    return FeatureWorth(feature, window_days(feature), coverage, drift, auc, higher)


def main_families(
    project: Project, tables: Tables, accounts: pd.DataFrame, *, always: pd.Series, data_end: datetime
) -> tuple[pd.Series, tuple[str, ...]]:
    """Return the family of each account's strongest signal by today's champion, by account id, and notes.

    ``accounts`` holds account_id and as_of. Those in ``always`` are included, of the rest every n-th, so that about
    :data:`SAMPLE` remain. Empty, with a note, if there is no champion or the tables no longer feed it.
    """
    try:
        model = tracking_of(project).load(CHAMPION)
        offered = {feature.name: feature for feature in select_features(project.features, tables.available)}
        features = tuple(offered[name] for name in model.columns)
    except (ChurnRiskError, KeyError) as error:
        return pd.Series(dtype=object), (f"main signals are not compared: no usable champion ({error})",)
    named = accounts["account_id"].isin(always)
    rest = accounts[~named].sort_values("account_id")
    sample = pd.concat([accounts[named], rest.iloc[:: max(1, len(rest) // SAMPLE)]])
    dates = [pd.Timestamp(moment).to_pydatetime() for moment in sample["as_of"].unique()]
    build_panel(tables, project.churn, dates, data_end=data_end)
    keys = project.features.key_features
    X = build_features(tables, features, key_features=keys, labelled_only=False).X
    as_of = sample["as_of"].astype(X.index.get_level_values("as_of").dtype)
    X = X[X.index.isin(pd.MultiIndex.from_arrays([sample["account_id"], as_of]))]
    strongest = model.classifier.contributions(X[model.columns]).idxmax(axis=1)
    families = strongest.map({feature.name: feature.family for feature in features})
    ids = X.index.get_level_values("account_id")
    return pd.Series(families.to_numpy(dtype=object), index=ids, name="family"), ()
