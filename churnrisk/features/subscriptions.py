"""Subscriptions: what the account is worth and what its contract says.

An end counts only once it has passed: nothing says since when a later one was known, so the contract runs on at
``as_of``. Notice counts from the day that it was given. A flag that a subscription will be cancelled at the end of its
period is today's state: since when it was set is not known, so that it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa

from churnrisk.features.arrays import (
    ALWAYS,
    DAY,
    NEVER,
    Cells,
    decimals,
    instants,
    integers,
    numbers_of,
    there,
    timestamps,
)
from churnrisk.features.block import ArrayBlock, BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup
from churnrisk.records import Feature

#: So long a lapsed term still says what the account pays and for what: all that differs is that it has lapsed.
_LATELY_DAYS = 60
_feature = FeatureFamily("value", ("subscriptions",))
_FEATURES = (
    _feature("tenure_days", "days", "case when dated then date_diff('day', first_seen_at, as_of) end",
        "days as a customer", "Customer for {value:.0f} days", requires=()),
    _feature("mrr", "a month", "mrr::double", "monthly revenue", "Pays {value:,.0f} a month",
        requires=("subscriptions.mrr",)),
    _feature("mrr_change_90", "share", "(mrr - mrr_90_ago)::double / nullif(mrr_90_ago, 0)::double",
        "change of the price in the last 90 days", "The price moved by {value:+.0%} in the last 90 days",
        requires=("subscriptions.mrr",), why_missing="No price 90 days ago to compare with"),
    _feature("seats", "seats", "seats::double", "paid seats", "{value:.0f} paid seats",
        requires=("subscriptions.seats",)),
    _feature("days_to_renewal", "days", "date_diff('day', as_of, coalesce(next_renewal_at, due_at))", "days to renewal",
        "Renews in {value:.0f} days", requires=("subscriptions.renewal_at",),
        why_missing="No renewal date on record"),
    _feature("renewals", "renewals", "coalesce(terms_started, 1) - 1", "renewals so far",
        "Renewed {value:.0f} times so far"),
    _feature("term_age_days", "days", "date_diff('day', last_term_started_at, as_of)",
        "days since the current term began", "The current term began {value:.0f} days ago"),
    _feature("days_lapsed", "days", "date_diff('day', lapsed_at, as_of)", "days since the last term ended",
        "Lapsed {value:.0f} days ago", requires=("subscriptions.ended_at",)),
    _feature("notice_given_days", "days", "date_diff('day', notice_at, as_of)", "days since notice was given",
        "Notice was given {value:.0f} days ago", +1, ("subscriptions.cancelled_at",)),
    _feature("auto_renew", "yes/no", "auto_renew", "automatic renewal", "Automatic renewal is off", -1,
        ("subscriptions.auto_renew",)),
    Feature("plan", "value", "", "plan", "plan", "On plan {value}", requires=("subscriptions.plan",),
        categorical=True),
)  # fmt: skip


def _prepare(inputs: BlockInputs) -> FeatureBlock:
    known = inputs.available.known_at("subscriptions", "s")
    optional = inputs.available.optional
    ended = optional("subscriptions.ended_at", "s", "timestamp")
    notice = optional("subscriptions.cancelled_at", "s", "timestamp")
    terms = inputs.create(
        "subscription_terms",
        "select k.account_key, s.started_at, "
        f"{known} as known_at, case when {ended} is not null then greatest({ended}, s.started_at) end as ended_at, "
        f"{optional('subscriptions.plan', 's', 'varchar')} as plan, "
        f"cast({optional('subscriptions.mrr', 's', 'double')} as decimal(18, 4)) as mrr, "
        f"cast({optional('subscriptions.seats', 's', 'double')} as decimal(18, 4)) as seats, "
        f"{optional('subscriptions.renewal_at', 's', 'timestamp')} as renewal_at, "
        f"cast({optional('subscriptions.auto_renew', 's', 'boolean')} as integer) as auto_renew, "
        f"case when {notice} is not null then greatest({notice}, s.started_at) end as cancelled_at, s.completed "
        f"from subscriptions s join {inputs.keys} k on k.account_id = s.account_id",
    )
    return FeatureBlock({}, ArrayBlock(terms, partial(subscription_columns, inputs.as_of)))


def subscription_columns(dates: Sequence[datetime], rows: pa.Table, accounts: int) -> pa.Table:
    """Return what was paid, for how many seats and until when, as of each date."""
    rows, first = _in_order(rows)
    account, started, known = (
        rows["account"].to_numpy(),
        instants(rows, "started_at"),
        instants(rows, "known_at"),
    )
    ended, renewal = instants(rows, "ended_at", null=ALWAYS), instants(rows, "renewal_at", null=ALWAYS)
    notice, place_of = instants(rows, "cancelled_at", null=ALWAYS), np.arange(len(account))
    open_ended = ended == ALWAYS
    unfinished = ~rows["completed"].fill_null(True).to_numpy() & ~open_ended
    amounts = {name: integers(rows, name) for name in ("mrr", "seats")}
    given = {name: there(rows, name) for name in ("mrr", "seats", "auto_renew", "plan")}
    flags = rows["auto_renew"].fill_null(0).to_numpy().astype(np.int64)
    at = Cells(len(dates), accounts)
    for place, date in enumerate(numbers_of(dates)):
        then, seen = date - 90 * DAY, known < date
        runs = seen & (ended >= date)
        ran = seen & (started < then) & (ended >= then)
        cells = at.date(place, account)
        cells.count("terms", seen)
        cells.count("running", runs)
        cells.largest("ended", ended, seen & ~open_ended, NEVER)
        cells.largest("lapsed_at", ended, seen & unfinished, NEVER)
        for name, values in amounts.items():
            cells.add(name, values, runs & given[name])
            cells.count(f"{name}_given", runs & given[name])
        cells.add("mrr_90_ago", amounts["mrr"], ran & given["mrr"])
        cells.count("mrr_90_ago_given", ran & given["mrr"])
        for name, there_ in given.items():
            cells.largest(f"last_{name}", place_of, seen & there_, -1)
        cells.largest("running_plan", place_of, runs & given["plan"], -1)
        cells.smallest("auto_renew", flags, runs & given["auto_renew"], ALWAYS)
        cells.smallest("next_renewal_at", renewal, runs & (renewal >= date), ALWAYS)
        cells.smallest("notice_at", notice, runs & (notice < date), ALWAYS)
        cells.count("terms_started", seen & first)
        cells.largest("last_term_started_at", started, seen, NEVER)
    date = np.repeat(numbers_of(dates), accounts)
    # an account whose last term was completed has not lapsed
    lapsed = (at["running"] == 0) & (at["lapsed_at"] > NEVER) & (at["lapsed_at"] >= at["ended"])
    lately = lapsed & (at["lapsed_at"] >= date - _LATELY_DAYS * DAY)

    def current(name: str, values: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a value of the running terms, of the last one for a while after it has lapsed; and where none is."""
        last = at[f"last_{name}"]
        every = np.append(amounts.get(name, flags), 0)
        return np.where(lately, every[last], values), np.where(lately, last < 0, missing)

    money = {name: current(name, at[name], at[f"{name}_given"] == 0) for name in amounts}
    auto_renew, no_flag = current("auto_renew", at["auto_renew"], at["auto_renew"] == ALWAYS)
    plan = np.where(lately, at["last_plan"], at["running_plan"])
    return pa.table(
        {name: decimals(values, null=missing) for name, (values, missing) in money.items()}
        | {
            "mrr_90_ago": decimals(at["mrr_90_ago"], null=at["mrr_90_ago_given"] == 0),
            "next_renewal_at": timestamps(at["next_renewal_at"]),
            # the renewal of what has lapsed is due
            "due_at": timestamps(np.where(lately, date, NEVER)),
            "plan": rows["plan"].combine_chunks().take(pa.array(plan, mask=plan < 0)),
            "auto_renew": pa.array(auto_renew, mask=no_flag).cast(pa.int32()),
            "notice_at": timestamps(at["notice_at"]),
            "lapsed_at": timestamps(np.where(lapsed, at["lapsed_at"], NEVER)),
            # terms that start at the same instant count once
            "terms_started": pa.array(at["terms_started"], mask=at["terms"] == 0),
            "last_term_started_at": timestamps(at["last_term_started_at"]),
        }
    )


def _in_order(rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Return the terms in the order that they began, and which was the first known of those that began at once."""
    plans = rows["plan"].fill_null("").combine_chunks().dictionary_encode()
    rank = (
        np.argsort(np.argsort(np.array(plans.dictionary.to_pylist(), object)))
        if len(rows)
        else np.zeros(0, int)
    )
    account, started, known = (
        rows["account"].to_numpy(),
        instants(rows, "started_at"),
        instants(rows, "known_at"),
    )
    # the other values break ties, so that those of the newest term never vary
    ties = [rows["auto_renew"].fill_null(0).to_numpy(), integers(rows, "seats"), integers(rows, "mrr")]
    order = np.lexsort((*ties, rank[plans.indices.to_numpy()], started, account))
    by_known = np.lexsort((known, started, account))
    same = np.diff(account[by_known], prepend=-1) == 0
    same &= np.diff(started[by_known], prepend=NEVER) == 0
    first = np.empty(len(order), bool)
    first[by_known] = ~same
    return rows.take(pa.array(order)), first[order]


SUBSCRIPTIONS = FeatureGroup(
    "subscriptions",
    _prepare,
    _FEATURES,
    {
        "subscription_terms": "The terms with the instant from which each was known. What held at each date is "
        "computed beside SQL."
    },
)
