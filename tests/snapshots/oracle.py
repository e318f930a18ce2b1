"""Eligibility and labels of one account at one as-of date, slowly and in plain Python."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from churnrisk.snapshots import ChurnConfig
from tests.world import Row, World


class Verdict(NamedTuple):
    """One row of the panel."""

    grey_reason: str | None
    churned: bool | None


def verdicts(
    world: World, churn: ChurnConfig, dates: list[datetime], *, data_end: datetime
) -> dict[tuple[str, datetime], Verdict]:
    found = {}
    for account in world.rows("accounts"):
        for as_of in dates:
            since, dated = _first_seen(world, account)
            if since is not None and since < as_of:
                name = account["account_id"]
                found[name, as_of] = _verdict(world, name, as_of, churn, since, dated, data_end)
    return found


def _verdict(
    world: World,
    account: str,
    as_of: datetime,
    churn: ChurnConfig,
    since: datetime,
    dated: bool,
    data_end: datetime,
) -> Verdict:
    active = _was_active if churn.definition == "inactivity" else _was_subscribed
    if not active(world, account, as_of, churn):
        silent = f"no activity in the last {churn.lookback_days} days"
        return Verdict(silent if churn.definition == "inactivity" else "no active subscription", None)
    if dated and since > as_of - timedelta(days=churn.min_tenure_days):
        return Verdict(f"customer for less than {churn.min_tenure_days} days", None)
    if as_of + churn.outcome_delay > data_end:
        return Verdict(None, None)
    low = as_of + timedelta(days=churn.gap_days)
    high = low + timedelta(days=churn.horizon_days)
    if churn.definition == "inactivity":
        return Verdict(None, fell_silent(world, account, low, high, churn))
    return Verdict(
        None, was_lost(world, account, low, high, churn) or was_lapsed(world, account, as_of, churn)
    )


def _known_at(row: Row, time: str) -> datetime:
    return max(row[time], row["recorded_at"] or row[time])


def _first_seen(world: World, account: Row) -> tuple[datetime | None, bool]:
    if "accounts.signed_up_at" not in world.absent:
        sign_up = account["signed_up_at"]
        return (sign_up, True) if sign_up else (datetime(1900, 1, 1), False)
    name = account["account_id"]
    seen = [_known_at(row, "occurred_at") for row in world.rows("events") if row["account_id"] == name]
    seen += [_known_at(row, "started_at") for row in world.rows("subscriptions") if row["account_id"] == name]
    return min(seen, default=None), True


def _was_active(world: World, account: str, as_of: datetime, churn: ChurnConfig) -> bool:
    low = as_of - timedelta(days=churn.lookback_days)
    return any(
        row["account_id"] == account and low <= row["occurred_at"] and _known_at(row, "occurred_at") < as_of
        for row in world.rows("events")
    )


def fell_silent(world: World, account: str, low: datetime, high: datetime, churn: ChurnConfig) -> bool:
    return not any(
        row["account_id"] == account and low <= row["occurred_at"] < high for row in world.rows("events")
    )


def _end(row: Row) -> datetime:
    return max(row["ended_at"] or datetime.max, row["started_at"])


def _completed(row: Row) -> bool:
    return row["status"] == "completed"


def _was_subscribed(world: World, account: str, as_of: datetime, churn: ChurnConfig) -> bool:
    grace = timedelta(days=churn.grace_days)
    return any(
        row["account_id"] == account
        and _known_at(row, "started_at") < as_of
        and (_end(row) >= as_of or (not _completed(row) and _end(row) >= as_of - grace))
        for row in world.rows("subscriptions")
    )


def was_lapsed(world: World, account: str, as_of: datetime, churn: ChurnConfig) -> bool:
    """A term ended in the grace before the date, and none follows."""
    return was_lost(world, account, as_of - timedelta(days=churn.grace_days), as_of, churn)


def was_lost(world: World, account: str, low: datetime, high: datetime, churn: ChurnConfig) -> bool:
    return left_at(world, account, low, high, churn, completed=False) is not None


def left_at(
    world: World, account: str, low: datetime, high: datetime, churn: ChurnConfig, *, completed: bool
) -> datetime | None:
    """Return the first end in a window that nothing follows within the grace."""
    own = [row for row in world.rows("subscriptions") if row["account_id"] == account]
    grace = timedelta(days=churn.grace_days)
    ends = {_end(row) for row in own if row["ended_at"] is not None and _completed(row) == completed}
    last = [
        end
        for end in ends
        if low <= end < high and not any(row["started_at"] <= end + grace and _end(row) > end for row in own)
    ]
    return min(last, default=None)
