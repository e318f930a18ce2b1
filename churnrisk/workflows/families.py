"""The family of signals that points most to churn, for green accounts, whose reasons no run stores."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from churnrisk.errors import ChurnRiskError
from churnrisk.features import build_features, select_features
from churnrisk.snapshots import build_panel
from churnrisk.sources import Tables
from churnrisk.tracking import CHAMPION
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import tracking_of

#: Enough accounts to compare shares with.
SAMPLE = 2_000


def main_families(
    project: Project, tables: Tables, accounts: pd.DataFrame, *, always: pd.Series, data_end: datetime
) -> tuple[pd.Series, tuple[str, ...]]:
    """Return the family of each account's strongest signal for churn by today's champion, and notes.

    ``accounts`` holds account_id and as_of, one row per account. Those in ``always`` are looked at in any case; of the
    rest every n-th, so that about :data:`SAMPLE` remain. Indexed by account id; empty, with a note, if there is no
    champion or the tables no longer feed it.
    """
    try:
        model = tracking_of(project).load(CHAMPION)
        offered = {feature.name: feature for feature in select_features(project.features, tables.available)}
        features = tuple(offered[name] for name in model.columns)
    except (ChurnRiskError, KeyError) as error:
        return pd.Series(dtype=object), (f"main signals are not compared: no usable champion ({error})",)
    sample = _sample(accounts, always)
    dates = [pd.Timestamp(moment).to_pydatetime() for moment in sample["as_of"].unique()]
    build_panel(tables, project.churn, dates, data_end=data_end)
    frame = build_features(tables, features, key_features=project.features.key_features, labelled_only=False)
    as_of = sample["as_of"].astype(frame.X.index.get_level_values("as_of").dtype)
    X = frame.X[frame.X.index.isin(pd.MultiIndex.from_arrays([sample["account_id"], as_of]))]
    strongest = model.classifier.contributions(X[model.columns]).idxmax(axis=1)
    families = strongest.map({feature.name: feature.family for feature in features})
    ids = X.index.get_level_values("account_id")
    return pd.Series(families.to_numpy(dtype=object), index=ids, name="family"), ()


def _sample(accounts: pd.DataFrame, always: pd.Series) -> pd.DataFrame:
    named = accounts["account_id"].isin(always)
    rest = accounts[~named].sort_values("account_id")
    return pd.concat([accounts[named], rest.iloc[:: max(1, len(rest) // SAMPLE)]])
