"""Who holds the relationship: one that hangs on one person is at risk when that person leaves."""

from churnrisk.records import Feature

RELATIONSHIP = (
    Feature(
        "contacts", "relationship", "people", "contacts", "people known at the customer",
        "Only {value:.0f} people known at the customer", -1, ("attributes.contacts",),
    ),
    Feature(
        "owner_changed_60d", "relationship", "yes/no",
        "case when owner_changed_at >= as_of - interval 60 day then 1 else 0 end", "owner changed in the last 60 days",
        "The owner changed in the last 60 days", +1, ("attributes.owner",),
    ),
    Feature(
        "days_since_owner_change", "relationship", "days", "date_diff('day', owner_changed_at, as_of)",
        "days since the owner changed", "The owner changed {value:.0f} days ago", 0, ("attributes.owner",),
        why_missing="The owner never changed",
    ),
)  # fmt: skip
