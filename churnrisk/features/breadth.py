"""How broad the use of the product is: narrow use means teaching, not selling."""

from churnrisk.records import Feature

_F = ("events.feature",)
_U = ("events.user_id",)


def _feature(
    name: str, unit: str, sql: str, label: str, why: str, monotone: int, requires: tuple[str, ...] = _F
) -> Feature:
    missing = "" if "subscriptions.seats" in requires else "Nobody active in the last 30 days"
    return Feature(name, "breadth", unit, sql, label, why, monotone, requires, why_missing=missing)


BREADTH = (
    _feature(
        "features_7", "features", "coalesce(features_7, 0)", "product features used in the last 7 days",
        "Only {value:.0f} product features used in the last 7 days", -1,
    ),
    _feature(
        "features_30", "features", "coalesce(features_30, 0)", "product features used in the last 30 days",
        "Only {value:.0f} product features used in the last 30 days", -1,
    ),
    _feature(
        "features_90", "features", "coalesce(features_90, 0)", "product features used in the last 90 days",
        "{value:.0f} product features used in the last 90 days", 0,
    ),
    _feature(
        "feature_share_90", "share", "coalesce(features_90, 0) / nullif(known_features, 0)::double",
        "share of the product used in the last 90 days", "Uses {value:.0%} of the product", 0,
    ),
    _feature(
        "features_dropped", "features", "coalesce(features_dropped, 0)", "product features no longer used",
        "Stopped using {value:.0f} product features in the last 30 days", +1,
    ),
    _feature(
        "features_adopted", "features", "coalesce(features_adopted, 0)", "product features newly used",
        "Took up only {value:.0f} new product features in the last 30 days", -1,
    ),
    _feature(
        "users_30", "users", "coalesce(users_30, 0)", "people active in the last 30 days",
        "Only {value:.0f} people active in the last 30 days", -1, _U,
    ),
    _feature(
        "users_trend_30", "trend",
        "(coalesce(users_30, 0) - coalesce(users_prev_30, 0)) "
        "/ nullif(coalesce(users_30, 0) + coalesce(users_prev_30, 0), 0)::double",
        "trend of active people against the 30 days before", "Fewer people active than in the 30 days before", -1, _U,
    ),
    _feature(
        "top_user_share_30", "share", "top_user_events_30 / nullif(user_events_30, 0)::double",
        "share of the busiest person in all activity", "{value:.0%} of the activity hangs on one person", 0, _U,
    ),
    _feature(
        "seats_used_share", "share", "coalesce(users_30, 0) / nullif(seats, 0)::double", "share of the seats in use",
        "Only {value:.0%} of the paid seats are in use", -1, ("events.user_id", "subscriptions.seats"),
    ),
)  # fmt: skip
