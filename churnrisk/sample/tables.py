"""From the simulation's arrays to tables in the contract's column names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churnrisk.sample.behaviour import CATEGORIES, MINUTES_PER_DAY, OPEN, OWNERS, Owners, Support, Usage
from churnrisk.sample.customers import FEATURES, INDUSTRIES, SEGMENTS, Customers, Ints

_FIRST_ACCOUNT_NUMBER = 10_000
_FIRST_USER_NUMBER = 100_000
_LATE_SHARE = 0.03
_LATE_DAYS = 1.5


def contract_tables(
    rng: np.random.Generator,
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    customers: Customers,
    usage: Usage,
    support: Support,
    owners: Owners,
    terms: pd.DataFrame,
    truth: list[pd.DataFrame],
) -> dict[str, pd.DataFrame]:
    """Return the seven tables of a world, cut to what was known before ``end``."""
    clock = _Clock(start, end)
    return {
        "accounts": _accounts(clock, customers, owners),
        "events": _events(rng, clock, usage),
        "complaints": _complaints(rng, clock, support),
        "subscriptions": _subscriptions(clock, terms),
        "surveys": _surveys(clock, support),
        "attributes": _attributes(clock, customers, owners),
        "truth": _truth(clock, truth),
    }


class _Clock:
    """Converts days and minutes since the world's start to timestamps."""

    def __init__(self, start: pd.Timestamp, end: pd.Timestamp) -> None:
        self._start = np.datetime64(start, "us")
        self.end_day = (end - start).days

    def day(self, day: Ints) -> pd.Series[Any]:
        return pd.Series(self._start + day * np.timedelta64(1, "D"))

    def minute(self, minute: Ints) -> pd.Series[Any]:
        return pd.Series(self._start + minute * np.timedelta64(1, "m"))

    def minute_if_past(self, minute: Ints) -> pd.Series[Any]:
        return self.minute(minute).where(minute < self.end_day * MINUTES_PER_DAY)


def _ids(account: Ints) -> pd.Series[str]:
    return ("C" + pd.Series(account + _FIRST_ACCOUNT_NUMBER).astype(str)).astype("str")


def _delays(rng: np.random.Generator, size: int) -> Ints:
    """Return minutes between an occurrence and its record: none, but for a few that come days late."""
    late = rng.random(size) < _LATE_SHARE
    minutes = (rng.exponential(_LATE_DAYS, size) * MINUTES_PER_DAY).astype(int)
    return np.where(late, minutes, 0)


def _accounts(clock: _Clock, customers: Customers, owners: Owners) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account_id": _ids(np.arange(len(customers))),
            "name": customers.names,
            "signed_up_at": clock.day(customers.sign_up_day),
            "segment": np.array(SEGMENTS)[customers.segment],
            "industry": np.array(INDUSTRIES)[customers.industry],
            "owner": np.array(OWNERS)[owners.owner],
        }
    )


def _events(rng: np.random.Generator, clock: _Clock, usage: Usage) -> pd.DataFrame:
    minute = np.concatenate(usage.minute)
    recorded = minute + _delays(rng, len(minute))
    keep = (minute >= 0) & (recorded < clock.end_day * MINUTES_PER_DAY)
    account, feature = np.concatenate(usage.account), np.concatenate(usage.feature)
    order = np.lexsort((feature, account, minute))
    order = order[keep[order]]
    table = pd.DataFrame(
        {
            "account_id": _ids(account[order]),
            "occurred_at": clock.minute(minute[order]),
            "feature": np.array(FEATURES)[feature[order]],
            "user_id": (np.concatenate(usage.user)[order] + _FIRST_USER_NUMBER).astype(str),
            "recorded_at": clock.minute(recorded[order]),
        }
    )
    # two sessions in one minute would count as a defect: a duplicate row
    return table.drop_duplicates(ignore_index=True)


def _complaints(rng: np.random.Generator, clock: _Clock, support: Support) -> pd.DataFrame:
    opened, resolved = np.concatenate(support.opened), np.concatenate(support.resolved)
    recorded = np.minimum(opened + _delays(rng, len(opened)), resolved)
    table = pd.DataFrame(
        {
            "account_id": _ids(np.concatenate(support.account)),
            "opened_at": clock.minute(opened),
            "first_response_at": clock.minute_if_past(np.concatenate(support.answered)),
            "resolved_at": clock.minute_if_past(resolved),
            "severity": np.concatenate(support.severity),
            "category": np.array(CATEGORIES)[np.concatenate(support.category)],
            "recorded_at": clock.minute(recorded),
        }
    )
    csat = pd.Series(np.concatenate(support.csat)).astype("Int64")
    # only some customers rate, and none before the complaint is resolved
    answers = (rng.random(len(table)) < 0.6) & table["resolved_at"].notna().to_numpy()
    table.insert(6, "csat", csat.where(answers))
    known: pd.DataFrame = table.loc[recorded < clock.end_day * MINUTES_PER_DAY]
    return known.sort_values(["opened_at", "account_id"], ignore_index=True, kind="stable")


def _subscriptions(clock: _Clock, terms: pd.DataFrame) -> pd.DataFrame:
    ended = terms["ended"].to_numpy()
    closed = ended != OPEN
    return pd.DataFrame(
        {
            "account_id": _ids(terms["account"].to_numpy()),
            "started_at": clock.day(terms["started"].to_numpy()),
            "ended_at": clock.day(np.where(closed, ended, 0)).where(closed),
            "plan": terms["plan"],
            "mrr": terms["mrr"],
            "seats": terms["seats"],
            "renewal_at": clock.day(terms["renews"].to_numpy()),
        }
    )


def _surveys(clock: _Clock, support: Support) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "account_id": _ids(np.concatenate(support.survey_account)),
            "answered_at": clock.minute(np.concatenate(support.survey_minute)),
            "score": np.concatenate(support.survey_score),
            "kind": "nps",
        }
    )
    return table.sort_values(["answered_at", "account_id"], ignore_index=True, kind="stable")


def _attributes(clock: _Clock, customers: Customers, owners: Owners) -> pd.DataFrame:
    changes = owners.table()
    account = changes["account"].to_numpy()
    return pd.DataFrame(
        {
            "account_id": _ids(account),
            "valid_from": clock.day(changes["valid_from"].to_numpy()),
            "owner": changes["owner"],
            "contacts": customers.contacts[account],
        }
    )


def _truth(clock: _Clock, blocks: list[pd.DataFrame]) -> pd.DataFrame:
    rows = pd.concat(blocks, ignore_index=True)
    keys = {"account_id": _ids(rows["account"].to_numpy()), "as_of": clock.day(rows["day"].to_numpy())}
    return pd.DataFrame(keys).join(rows.drop(columns=["account", "day"]))
