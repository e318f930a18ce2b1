"""The subscriptions block: what ran at each as-of date, and since when.

An end date counts only once it has passed: a cancellation that takes effect later is not known to be
known, so the contract runs on at ``as_of``.
"""

from __future__ import annotations

from churnrisk.features.blocks.block import Block
from churnrisk.features.blocks.columns import known_at, optional
from churnrisk.sources import Tables


def subscriptions_block(tables: Tables) -> Block:
    """Create ``subscription_columns``."""
    available = tables.available
    known = known_at(available, "subscriptions", "s", "started_at")
    ended = optional(available, "subscriptions", "ended_at", "s", "timestamp")
    plan = optional(available, "subscriptions", "plan", "s", "varchar")
    mrr = f"cast({optional(available, 'subscriptions', 'mrr', 's', 'double')} as decimal(18, 4))"
    seats = f"cast({optional(available, 'subscriptions', 'seats', 's', 'double')} as decimal(18, 4))"
    renewal = optional(available, "subscriptions", "renewal_at", "s", "timestamp")
    auto_renew = optional(available, "subscriptions", "auto_renew", "s", "boolean")
    runs = f"({ended} is null or greatest({ended}, s.started_at) >= p.as_of)"
    then = "p.as_of - interval 90 day"
    ran = f"(s.started_at < {then} and ({ended} is null or greatest({ended}, s.started_at) >= {then}))"
    tables.engine.run(
        "create or replace temp table subscription_columns as select p.account_key, p.as_of, "
        f"sum({mrr}) filter (where {runs}) as mrr, "
        f"sum({mrr}) filter (where {ran}) as mrr_90_ago, "
        f"sum({seats}) filter (where {runs}) as seats, "
        f"min({renewal}) filter (where {runs} and {renewal} >= p.as_of) as next_renewal_at, "
        # the plan of the newest running term; the name itself breaks ties, so that the answer never varies
        f"arg_max({plan}, row(s.started_at, {plan})) filter (where {runs} and {plan} is not null) as plan, "
        f"min(cast({auto_renew} as integer)) filter (where {runs}) as auto_renew, "
        "count(distinct s.started_at) as terms_started, "
        "max(s.started_at) as last_term_started_at "
        f"from panel_rows p join subscriptions s on s.account_id = p.account_id and {known} < p.as_of "
        "group by p.account_key, p.as_of"
    )
    return Block.of("subscription_columns")
