"""What the account is worth and what its contract says."""

from churnrisk.records import Feature

_S = ("subscriptions",)
_MISSING = {
    "days_to_renewal": "No renewal date on record",
    "mrr_change_90": "No price 90 days ago to compare with",
}


def _feature(
    name: str, unit: str, sql: str, label: str, why: str, requires: tuple[str, ...], monotone: int = 0
) -> Feature:
    return Feature(
        name, "value", unit, sql, label, why, monotone, requires, why_missing=_MISSING.get(name, "")
    )


VALUE = (
    _feature(
        "tenure_days", "days", "case when dated then date_diff('day', first_seen_at, as_of) end", "days as a customer",
        "Customer for {value:.0f} days", (),
    ),
    _feature("mrr", "a month", "mrr::double", "monthly revenue", "Pays {value:,.0f} a month", ("subscriptions.mrr",)),
    _feature(
        "mrr_change_90", "share", "(mrr - mrr_90_ago)::double / nullif(mrr_90_ago, 0)::double",
        "change of the price in the last 90 days", "The price moved by {value:+.0%} in the last 90 days",
        ("subscriptions.mrr",),
    ),
    _feature(
        "seats", "seats", "seats::double", "paid seats", "{value:.0f} paid seats", ("subscriptions.seats",)
    ),
    _feature(
        "days_to_renewal", "days", "date_diff('day', as_of, next_renewal_at)", "days to renewal",
        "Renews in {value:.0f} days", ("subscriptions.renewal_at",),
    ),
    _feature(
        "renewals", "renewals", "coalesce(terms_started, 1) - 1", "renewals so far",
        "Renewed {value:.0f} times so far", _S,
    ),
    _feature(
        "term_age_days", "days", "date_diff('day', last_term_started_at, as_of)", "days since the current term began",
        "The current term began {value:.0f} days ago", _S,
    ),
    _feature(
        "auto_renew", "yes/no", "auto_renew", "automatic renewal", "Automatic renewal is off",
        ("subscriptions.auto_renew",), -1,
    ),
    Feature(
        "plan", "value", "", "plan", "plan", "On plan {value}", requires=("subscriptions.plan",), categorical=True
    ),
)  # fmt: skip
