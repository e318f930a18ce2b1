"""Subscriptions: what the account is worth and what its contract says.

An end counts only once it has passed: nothing says since when a later one was known, so the contract runs on at
``as_of``. Notice counts from the day that it was given. A flag that a subscription will be cancelled at the end of its
period is today's state: since when it was set is not known, so that it is not used.
"""

from __future__ import annotations

from churnrisk.features.block import BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup
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
    plan = optional("subscriptions.plan", "s", "varchar")
    mrr = f"cast({optional('subscriptions.mrr', 's', 'double')} as decimal(18, 4))"
    seats = f"cast({optional('subscriptions.seats', 's', 'double')} as decimal(18, 4))"
    renewal = optional("subscriptions.renewal_at", "s", "timestamp")
    auto_renew = optional("subscriptions.auto_renew", "s", "boolean")
    notice = optional("subscriptions.cancelled_at", "s", "timestamp")
    runs = "(s.ended_at is null or s.ended_at >= p.as_of)"
    then = "p.as_of - interval 90 day"
    ran = f"(s.started_at < {then} and (s.ended_at is null or s.ended_at >= {then}))"
    # an account whose last term was completed has not lapsed
    end = "max(s.ended_at) filter (where not s.completed)"
    lapsed = f"not bool_or({runs}) and coalesce({end} >= max(s.ended_at), true)"
    lately = f"{lapsed} and {end} >= p.as_of - interval {_LATELY_DAYS} day"

    def current(column: str, running: str) -> str:
        """Return a value of the running terms; of the last one for a while after it has lapsed."""
        last = f"arg_max(s.{column}, s.place) filter (where s.{column} is not null)"
        return f"case when {lately} then {last} else {running} filter (where {runs}) end as {column}"

    terms = inputs.create(
        "subscription_terms",
        "select k.account_key, s.started_at, "
        f"{known} as known_at, case when {ended} is not null then greatest({ended}, s.started_at) end as ended_at, "
        f"{plan} as plan, {mrr} as mrr, {seats} as seats, {renewal} as renewal_at, "
        f"cast({auto_renew} as integer) as auto_renew, "
        f"case when {notice} is not null then greatest({notice}, s.started_at) end as cancelled_at, s.completed, "
        # the other values break ties, so that those of the newest term never vary
        f"row_number() over (partition by k.account_key order by s.started_at, coalesce({plan}, ''), "
        f"coalesce({mrr}, 0), coalesce({seats}, 0), coalesce(cast({auto_renew} as integer), 0)) as place, "
        f"row_number() over (partition by k.account_key, s.started_at order by {known}) = 1 as starts "
        f"from subscriptions s join {inputs.keys} k on k.account_id = s.account_id",
    )
    columns = inputs.create(
        "subscription_columns",
        "select p.account_key, p.as_of, "
        f"{current('mrr', 'sum(s.mrr)')}, "
        f"sum(s.mrr) filter (where {ran}) as mrr_90_ago, "
        f"{current('seats', 'sum(s.seats)')}, "
        f"min(s.renewal_at) filter (where {runs} and s.renewal_at >= p.as_of) as next_renewal_at, "
        # the renewal of what has lapsed is due
        f"case when {lately} then p.as_of end as due_at, "
        f"case when {lately} then arg_max(s.plan, s.place) filter (where s.plan is not null) "
        f"else arg_max(s.plan, s.place) filter (where {runs} and s.plan is not null) end as plan, "
        f"{current('auto_renew', 'min(s.auto_renew)')}, "
        f"min(s.cancelled_at) filter (where {runs} and s.cancelled_at < p.as_of) as notice_at, "
        f"case when {lapsed} then {end} end as lapsed_at, "
        # terms that start at the same instant count once
        "count(*) filter (where s.starts) as terms_started, "
        "max(s.started_at) as last_term_started_at "
        f"from {inputs.rows} p join {terms} s on s.account_key = p.account_key and s.known_at < p.as_of "
        "group by p.account_key, p.as_of",
    )
    return FeatureBlock.of(columns)


SUBSCRIPTIONS = FeatureGroup(
    "subscriptions",
    _prepare,
    _FEATURES,
    {
        "subscription_terms": "The terms with the instant from which each was known, in the order that they began.",
        "subscription_columns": "What was paid, for how many seats and until when, as of each date.",
    },
)
