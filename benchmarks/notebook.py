"""The peer: point-in-time features as a pandas notebook computes them, filter, group and merge per snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

#: What the notebook computes; all of it is in the catalogue, which has as much again.
FEATURES = (
    "days_since_last_event",
    *(f"{what}_{days}" for what in ("events", "active_days", "features") for days in (7, 30, 90)),
    "active_days_180",
    "active_days_365",
    "events_trend_30",
    "users_30",
    "complaints_30",
    "complaints_90",
    "open_complaints",
    "worst_open_severity",
    "days_since_complaint",
    "resolution_hours",
)


def features(
    accounts: pd.DataFrame, events: pd.DataFrame, complaints: pd.DataFrame, dates: Sequence[datetime]
) -> pd.DataFrame:
    """Return one row per (account_id, as_of) with :data:`FEATURES`."""
    return pd.concat([_snapshot(accounts, events, complaints, pd.Timestamp(date)) for date in dates])


def _snapshot(
    accounts: pd.DataFrame, events: pd.DataFrame, complaints: pd.DataFrame, as_of: pd.Timestamp
) -> pd.DataFrame:
    rows = accounts.loc[accounts["signed_up_at"] < as_of, ["account_id"]].set_index("account_id")
    past = events[events["occurred_at"] < as_of]
    last = past.groupby("account_id")["occurred_at"].max().dt.normalize()
    rows["days_since_last_event"] = (as_of - last).dt.days
    for days in (7, 30, 90, 180, 365):
        window = past[past["occurred_at"] >= as_of - pd.Timedelta(days=days)]
        by = window.assign(day=window["occurred_at"].dt.normalize()).groupby("account_id")
        rows[f"active_days_{days}"] = by["day"].nunique()
        if days <= 90:
            rows[f"events_{days}"] = by.size()
            rows[f"features_{days}"] = by["feature"].nunique()
        if days == 30:
            rows["users_30"] = by["user_id"].nunique()
    former = past[
        past["occurred_at"].between(as_of - pd.Timedelta(days=60), as_of - pd.Timedelta(days=30), "left")
    ]
    counts = [name for name in rows if name != "days_since_last_event"]
    rows[counts] = rows[counts].fillna(0)
    before = former.groupby("account_id").size().reindex(rows.index).fillna(0)
    total = rows["events_30"] + before
    rows["events_trend_30"] = ((rows["events_30"] - before) / total).where(total > 0)
    return (
        rows.join(_complaints(complaints, as_of))
        .fillna(
            dict.fromkeys(("complaints_30", "complaints_90", "open_complaints", "worst_open_severity"), 0)
        )
        .assign(as_of=as_of)
        .set_index("as_of", append=True)[list(FEATURES)]
    )


def _complaints(complaints: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    past = complaints[complaints["opened_at"] < as_of]
    still_open = past[past["resolved_at"].isna() | (past["resolved_at"] >= as_of)]
    done = past[past["resolved_at"] < as_of]
    hours = (done["resolved_at"] - done["opened_at"]).dt.total_seconds() / 3600
    recent = {
        f"complaints_{days}": past[past["opened_at"] >= as_of - pd.Timedelta(days=days)]
        .groupby("account_id")
        .size()
        for days in (30, 90)
    }
    last = past.groupby("account_id")["opened_at"].max().dt.normalize()
    return pd.DataFrame(
        recent
        | {
            "open_complaints": still_open.groupby("account_id").size(),
            "worst_open_severity": still_open.groupby("account_id")["severity"].max(),
            "days_since_complaint": (as_of - last).dt.days,
            "resolution_hours": hours.groupby(done["account_id"]).mean(),
        }
    )
