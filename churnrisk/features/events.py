"""Events: how recent and how broad the use of the product is."""

from __future__ import annotations

from functools import partial

from churnrisk.contract import timestamp_literal
from churnrisk.features.block import ArrayBlock, BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup
from churnrisk.features.cache import roll_up_from_cache
from churnrisk.features.rollup import ROLLUP, roll_up
from churnrisk.features.windows import event_windows
from churnrisk.records import Feature

_F = ("events.feature",)
_Q = ("events.quantity",)
_U = ("events.user_id",)


_recency = FeatureFamily("recency", ("events",), "No activity in the last 60 days")
_RECENCY = (
    _recency("days_since_last_event", "days", "date_diff('day', last_day, as_of)",
        "days since the last activity", "No activity for {value:.0f} days", +1, why_missing="Never active"),
    _recency("silent_30d", "yes/no",
        "case when last_day is null or last_day < as_of - interval 30 day then 1 else 0 end",
        "30 days of silence", "Silent for 30 days or more", +1),
    _recency.count("active_days_7", "days", "active days in the last 7",
        "Active on only {value:.0f} of the last 7 days", -1),
    _recency.count("active_days_30", "days", "active days in the last 30",
        "Active on only {value:.0f} of the last 30 days", -1),
    _recency.count("active_days_90", "days", "active days in the last 90",
        "Active on {value:.0f} of the last 90 days"),
    _recency.count("events_7", "events", "events in the last 7 days",
        "Only {value:.0f} events in the last 7 days", -1),
    _recency.count("events_30", "events", "events in the last 30 days",
        "Only {value:,.0f} events in the last 30 days", -1),
    _recency.count("events_90", "events", "events in the last 90 days",
        "{value:,.0f} events in the last 90 days"),
    _recency.trend("events", "trend of events against the 30 days before",
        "Activity is falling against the 30 days before", -1),
    _recency.trend("active_days", "trend of active days against the 30 days before",
        "Fewer active days than in the 30 days before", -1),
    _recency.count("active_days_180", "days", "active days in the last 180",
        "Active on {value:.0f} of the last 180 days"),
    _recency.count("active_days_365", "days", "active days in the last 365",
        "Active on {value:.0f} of the last 365 days"),
    _recency("activity_span_days", "days", "date_diff('day', first_day_365, last_day)",
        "days between the first and the last activity of the last year",
        "{value:.0f} days lie between the first and the last activity of the last year",
        why_missing="No activity in the last year"),
    _recency("events_per_active_day", "events", "events_365 / nullif(active_days_365, 0)::double",
        "events per active day in the last year", "{value:.1f} events per active day in the last year",
        why_missing="No activity in the last year"),
    _recency("usual_gap_days", "days",
        "date_diff('day', first_day_365, last_day) / nullif(active_days_365 - 1, 0)::double",
        "usual days between two active days", "{value:.0f} days pass between two active days",
        why_missing="Active on fewer than two days in the last year"),
    _recency("overdue_ratio", "times", "date_diff('day', last_day, as_of) * nullif(active_days_365 - 1, 0) "
        "/ greatest(date_diff('day', first_day_365, last_day), 1)::double",
        "silence against the account's own usual gap",
        "Silent {value:.1f} times as long as is usual for this account",
        why_missing="Active on fewer than two days in the last year"),
    _recency("quantity_30", "units", "coalesce(quantity_30, 0)::double", "quantity in the last 30 days",
        "Only {value:,.0f} units in the last 30 days", -1, _Q),
    _recency("quantity_90", "units", "coalesce(quantity_90, 0)::double", "quantity in the last 90 days",
        "{value:,.0f} units in the last 90 days", 0, _Q),
    _recency("quantity_365", "units", "coalesce(quantity_365, 0)::double", "quantity in the last 365 days",
        "{value:,.0f} units in the last 365 days", 0, _Q),
    _recency("quantity_per_active_day", "units", "quantity_365::double / nullif(active_days_365, 0)",
        "quantity per active day in the last year", "{value:,.1f} units per active day in the last year", 0,
        _Q, "No activity in the last year"),
    _recency("quantity_trend_30", "trend",
        "(coalesce(quantity_30, 0) - coalesce(quantity_prev_30, 0))::double "
        "/ nullif(abs(coalesce(quantity_30, 0)) + abs(coalesce(quantity_prev_30, 0)), 0)::double",
        "trend of quantity against the 30 days before", "Quantity is falling against the 30 days before",
        -1, _Q),
)  # fmt: skip


def key_feature(name: str, position: int) -> Feature:
    """Return the recency of one product feature that the user named as key."""
    return _recency(
        f"days_since_{name}", "days", f"date_diff('day', last_key_{position}, as_of)", f"days since the last {name}",
        f"No {name} for {{value:.0f}} days", +1, ("events.feature",),
        f"Never used {name}",
    )  # fmt: skip


_breadth = FeatureFamily("breadth", _F, "Nobody active in the last 30 days")
_BREADTH = (
    _breadth.count("features_7", "features", "product features used in the last 7 days",
        "Only {value:.0f} product features used in the last 7 days", -1),
    _breadth.count("features_30", "features", "product features used in the last 30 days",
        "Only {value:.0f} product features used in the last 30 days", -1),
    _breadth.count("features_90", "features", "product features used in the last 90 days",
        "{value:.0f} product features used in the last 90 days"),
    _breadth("feature_share_90", "share", "coalesce(features_90, 0) / nullif(known_features, 0)::double",
        "share of the product used in the last 90 days", "Uses {value:.0%} of the product"),
    _breadth.count("features_dropped", "features", "product features no longer used",
        "Stopped using {value:.0f} product features in the last 30 days", +1),
    _breadth.count("features_adopted", "features", "product features newly used",
        "Took up only {value:.0f} new product features in the last 30 days", -1),
    _breadth.count("users_30", "users", "people active in the last 30 days",
        "Only {value:.0f} people active in the last 30 days", -1, _U),
    _breadth.trend("users", "trend of active people against the 30 days before",
        "Fewer people active than in the 30 days before", -1, _U),
    _breadth("top_user_share_30", "share", "top_user_events_30 / nullif(user_events_30, 0)::double",
        "share of the busiest person in all activity", "{value:.0%} of the activity hangs on one person", 0,
        _U),
    _breadth("seats_used_share", "share", "coalesce(users_30, 0) / nullif(seats, 0)::double",
        "share of the seats in use", "Only {value:.0%} of the paid seats are in use", -1,
        ("events.user_id", "subscriptions.seats"), ""),
)  # fmt: skip


def _prepare(inputs: BlockInputs) -> FeatureBlock:
    rolled = roll_up_from_cache(inputs) or roll_up(inputs)
    counts = zip(inputs.as_of, rolled.known_features(), strict=True)
    values = ", ".join(f"({timestamp_literal(as_of)}, {count}::bigint)" for as_of, count in counts)
    known = inputs.create("known_features", f"select * from (values {values}) k(as_of, known_features)")
    compute = partial(event_windows, rolled.spec)
    cells = rolled.spec.segments * (rolled.spec.words + 2) / 4
    return FeatureBlock({known: ("as_of",)}, ArrayBlock(ROLLUP, compute, cells))


EVENTS = FeatureGroup(
    "events",
    _prepare,
    (*_RECENCY, *_BREADTH),
    {
        "feature_bits": "Every product feature gets one bit of a mask, so that distinct features are counted by bits.",
        "segment_edges": "All edges of all windows cut time into segments: a window is a run of segments.",
        "numbered_dates": "The dates in their order.",
        "event_days": "Each day of the windows with its segment, and the first date that looks back on it.",
        "event_groups": "The events, read once: one row per account, user and segment, with days and features as bits.",
        ROLLUP: "The same by account of the panel. Its windows are computed beside SQL, in features/windows.py.",
        "silent_accounts": "Accounts without a day in it that the first date knows: their last day comes from before.",
        "known_features": "How many product features had been seen by each date.",
    },
)
