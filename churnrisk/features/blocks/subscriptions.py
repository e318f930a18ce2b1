"""The subscriptions block: what ran at each as-of date, and since when.

An end date counts only once it has passed: a cancellation that takes effect later is not known to be
known, so the contract runs on at ``as_of``.
"""

from __future__ import annotations

from churnrisk.features.blocks.block import Block
from churnrisk.features.blocks.columns import known_at, optional
from churnrisk.sources import Tables


def subscriptions_block(tables: Tables) -> Block:
    """Create ``subscription_terms`` and ``subscription_columns``."""
    available = tables.available
    known = known_at(available, "subscriptions", "s", "started_at")
    ended = optional(available, "subscriptions", "ended_at", "s", "timestamp")
    plan = optional(available, "subscriptions", "plan", "s", "varchar")
    mrr = f"cast({optional(available, 'subscriptions', 'mrr', 's', 'double')} as decimal(18, 4))"
    seats = f"cast({optional(available, 'subscriptions', 'seats', 's', 'double')} as decimal(18, 4))"
    renewal = optional(available, "subscriptions", "renewal_at", "s", "timestamp")
    auto_renew = optional(available, "subscriptions", "auto_renew", "s", "boolean")
    runs = "(s.ended_at is null or s.ended_at >= p.as_of)"
    then = "p.as_of - interval 90 day"
    ran = f"(s.started_at < {then} and (s.ended_at is null or s.ended_at >= {then}))"
    tables.engine.run(
        "create or replace temp table subscription_terms as select k.account_key, s.started_at, "
        f"{known} as known_at, case when {ended} is not null then greatest({ended}, s.started_at) end as ended_at, "
        f"{plan} as plan, {mrr} as mrr, {seats} as seats, {renewal} as renewal_at, "
        f"cast({auto_renew} as integer) as auto_renew, "
        # the name breaks ties, so that the plan of the newest term never varies
        f"row_number() over (partition by k.account_key order by s.started_at, {plan}) as place, "
        f"row_number() over (partition by k.account_key, s.started_at order by {known}) = 1 as starts "
        "from subscriptions s join account_keys k on k.account_id = s.account_id"
    )
    tables.engine.run(
        "create or replace temp table subscription_columns as select p.account_key, p.as_of, "
        f"sum(s.mrr) filter (where {runs}) as mrr, "
        f"sum(s.mrr) filter (where {ran}) as mrr_90_ago, "
        f"sum(s.seats) filter (where {runs}) as seats, "
        f"min(s.renewal_at) filter (where {runs} and s.renewal_at >= p.as_of) as next_renewal_at, "
        f"arg_max(s.plan, s.place) filter (where {runs} and s.plan is not null) as plan, "
        f"min(s.auto_renew) filter (where {runs}) as auto_renew, "
        # terms that start at the same instant count once
        "count(*) filter (where s.starts) as terms_started, "
        "max(s.started_at) as last_term_started_at "
        "from panel_rows p join subscription_terms s on s.account_key = p.account_key and s.known_at < p.as_of "
        "group by p.account_key, p.as_of"
    )
    return Block.of("subscription_columns")
