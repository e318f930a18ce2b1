"""Which family of signals speaks most for churn at green accounts, whose reasons no run keeps."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from churnrisk.errors import ChurnRiskError
from churnrisk.features import build_features, select_features
from churnrisk.snapshots import build_panel
from churnrisk.sources import Tables
from churnrisk.tracking import CHAMPION
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import model_columns, tracking_of

#: So many accounts are enough to compare shares with.
SAMPLE = 2_000


def main_families(
    project: Project, tables: Tables, accounts: pd.DataFrame, *, always: pd.Series, data_end: datetime
) -> tuple[pd.Series, tuple[str, ...]]:
    """Return the family of each account's strongest signal for churn, as today's champion sees it.

    Parameters
    ----------
    accounts : DataFrame
        One row per account: account_id and the as_of to look at.
    always : Series of account ids
        These are looked at in any case; of the rest, every n-th so that about ``SAMPLE`` remain.

    Returns
    -------
    Series of str indexed by account id, and notes
        Empty, with a note that says why, when there is no champion or the tables no longer feed it.
    """
    try:
        model = tracking_of(project).load(CHAMPION)
        offered = {feature.name: feature for feature in select_features(project.features, tables.available)}
        columns = model_columns(model)
        features = tuple(offered[name] for name in columns)
    except (ChurnRiskError, KeyError) as error:
        return pd.Series(dtype=object), (f"main signals are not compared: no usable champion ({error})",)
    wanted = _sample(accounts, always)
    dates = [pd.Timestamp(moment).to_pydatetime() for moment in wanted["as_of"].unique()]
    build_panel(tables, project.churn, dates, data_end=data_end)
    frame = build_features(tables, features, key_features=project.features.key_features, labelled_only=False)
    as_of = wanted["as_of"].astype(frame.X.index.get_level_values("as_of").dtype)
    X = frame.X[frame.X.index.isin(pd.MultiIndex.from_arrays([wanted["account_id"], as_of]))]
    strongest = model.classifier.contributions(X[columns]).idxmax(axis=1)
    families = strongest.map({feature.name: feature.family for feature in features})
    ids = X.index.get_level_values("account_id")
    return pd.Series(families.to_numpy(dtype=object), index=ids, name="family"), ()


def _sample(accounts: pd.DataFrame, always: pd.Series) -> pd.DataFrame:
    kept = accounts["account_id"].isin(always)
    rest = accounts[~kept].sort_values("account_id")
    return pd.concat([accounts[kept], rest.iloc[:: max(1, len(rest) // SAMPLE)]])
