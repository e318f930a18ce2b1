"""Peers: accounts of one segment, else on one plan, else at one lifecycle stage."""

from __future__ import annotations

import pandas as pd

from churnrisk.contract import Available
from churnrisk.decision.segments import lifecycle_stage
from churnrisk.model.profile import kinds_with_peers
from churnrisk.sources import Engine

BY = ("segment", "plan", "stage")


def segments_of(engine: Engine, available: Available) -> pd.Series:
    """Return today's segment of each account, indexed by account id; empty if the tables have none."""
    if not available.has("accounts.segment"):
        return pd.Series(dtype=object, name="segment")
    table = engine.arrow("select account_id, segment::varchar as segment from accounts")
    frame: pd.DataFrame = table.to_pandas()
    return frame.drop_duplicates("account_id").set_index("account_id")["segment"].astype(object)


def kinds_of(by: str, X: pd.DataFrame, segments: pd.Series) -> pd.Series | None:
    """Return the peer group of each row of ``X`` by segment, plan or stage; None without such data."""
    if by == "segment" and len(segments):
        kinds = segments.reindex(X.index.get_level_values("account_id"))
    elif by == "plan" and "plan" in X:
        kinds = X["plan"].astype(object)
    elif by == "stage" and "tenure_days" in X:
        score = X["last_survey_score"] if "last_survey_score" in X else pd.Series(float("nan"), index=X.index)
        kinds = lifecycle_stage(X["tenure_days"], score)
    else:
        return None
    return pd.Series(kinds.to_numpy(dtype=object), index=X.index, name=by)


def choose_kinds(X: pd.DataFrame, segments: pd.Series) -> pd.Series | None:
    """Return the peer groups by the first of :data:`BY` in which at least two have enough accounts."""
    for by in BY:
        kinds = kinds_of(by, X, segments)
        if kinds is not None and len(kinds_with_peers(X, kinds)) > 1:
            return kinds
    return None
