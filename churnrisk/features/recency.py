"""How recent the activity is: no use for 30 days means that somebody should find out why."""

from churnrisk.records import Feature

_E = ("events",)
_Q = ("events.quantity",)


def _feature(
    name: str,
    unit: str,
    sql: str,
    label: str,
    why: str,
    monotone: int,
    requires: tuple[str, ...] = _E,
    missing: str = "No activity in the last 60 days",
) -> Feature:
    return Feature(name, "recency", unit, sql, label, why, monotone, requires, why_missing=missing)


RECENCY = (
    _feature(
        "days_since_last_event", "days", "date_diff('day', last_day, as_of)", "days since the last activity",
        "No activity for {value:.0f} days", +1, missing="Never active",
    ),
    _feature(
        "silent_30d", "yes/no", "case when last_day is null or last_day < as_of - interval 30 day then 1 else 0 end",
        "30 days of silence", "Silent for 30 days or more", +1,
    ),
    _feature(
        "active_days_7", "days", "coalesce(active_days_7, 0)", "active days in the last 7",
        "Active on only {value:.0f} of the last 7 days", -1,
    ),
    _feature(
        "active_days_30", "days", "coalesce(active_days_30, 0)", "active days in the last 30",
        "Active on only {value:.0f} of the last 30 days", -1,
    ),
    _feature(
        "active_days_90", "days", "coalesce(active_days_90, 0)", "active days in the last 90",
        "Active on {value:.0f} of the last 90 days", 0,
    ),
    _feature(
        "events_7", "events", "coalesce(events_7, 0)", "events in the last 7 days",
        "Only {value:.0f} events in the last 7 days", -1,
    ),
    _feature(
        "events_30", "events", "coalesce(events_30, 0)", "events in the last 30 days",
        "Only {value:,.0f} events in the last 30 days", -1,
    ),
    _feature(
        "events_90", "events", "coalesce(events_90, 0)", "events in the last 90 days",
        "{value:,.0f} events in the last 90 days", 0,
    ),
    _feature(
        "events_trend_30", "trend",
        "(coalesce(events_30, 0) - coalesce(events_prev_30, 0)) "
        "/ nullif(coalesce(events_30, 0) + coalesce(events_prev_30, 0), 0)::double",
        "trend of events against the 30 days before", "Activity is falling against the 30 days before", -1,
    ),
    _feature(
        "active_days_trend_30", "trend",
        "(coalesce(active_days_30, 0) - coalesce(active_days_prev_30, 0)) "
        "/ nullif(coalesce(active_days_30, 0) + coalesce(active_days_prev_30, 0), 0)::double",
        "trend of active days against the 30 days before", "Fewer active days than in the 30 days before", -1,
    ),
    _feature(
        "active_days_180", "days", "coalesce(active_days_180, 0)", "active days in the last 180",
        "Active on {value:.0f} of the last 180 days", 0,
    ),
    _feature(
        "active_days_365", "days", "coalesce(active_days_365, 0)", "active days in the last 365",
        "Active on {value:.0f} of the last 365 days", 0,
    ),
    _feature(
        "activity_span_days", "days", "date_diff('day', first_day_365, last_day)",
        "days between the first and the last activity of the last year",
        "{value:.0f} days lie between the first and the last activity of the last year", 0,
        missing="No activity in the last year",
    ),
    _feature(
        "events_per_active_day", "events", "events_365 / nullif(active_days_365, 0)::double",
        "events per active day in the last year", "{value:.1f} events per active day in the last year", 0,
        missing="No activity in the last year",
    ),
    _feature(
        "usual_gap_days", "days", "date_diff('day', first_day_365, last_day) / nullif(active_days_365 - 1, 0)::double",
        "usual days between two active days", "{value:.0f} days pass between two active days", 0,
        missing="Active on fewer than two days in the last year",
    ),
    _feature(
        "overdue_ratio", "times",
        "date_diff('day', last_day, as_of) * nullif(active_days_365 - 1, 0) "
        "/ greatest(date_diff('day', first_day_365, last_day), 1)::double",
        "silence against the account's own usual gap",
        "Silent {value:.1f} times as long as is usual for this account", 0,
        missing="Active on fewer than two days in the last year",
    ),
    _feature(
        "quantity_30", "units", "coalesce(quantity_30, 0)::double", "quantity in the last 30 days",
        "Only {value:,.0f} units in the last 30 days", -1, _Q,
    ),
    _feature(
        "quantity_90", "units", "coalesce(quantity_90, 0)::double", "quantity in the last 90 days",
        "{value:,.0f} units in the last 90 days", 0, _Q,
    ),
    _feature(
        "quantity_365", "units", "coalesce(quantity_365, 0)::double", "quantity in the last 365 days",
        "{value:,.0f} units in the last 365 days", 0, _Q,
    ),
    _feature(
        "quantity_per_active_day", "units", "quantity_365::double / nullif(active_days_365, 0)",
        "quantity per active day in the last year", "{value:,.1f} units per active day in the last year", 0, _Q,
        "No activity in the last year",
    ),
    _feature(
        "quantity_trend_30", "trend",
        "(coalesce(quantity_30, 0) - coalesce(quantity_prev_30, 0))::double "
        "/ nullif(abs(coalesce(quantity_30, 0)) + abs(coalesce(quantity_prev_30, 0)), 0)::double",
        "trend of quantity against the 30 days before", "Quantity is falling against the 30 days before", -1, _Q,
    ),
)  # fmt: skip


def key_feature(name: str, position: int) -> Feature:
    """Return the recency of one product feature that the user named as key."""
    return _feature(
        f"days_since_{name}", "days", f"date_diff('day', last_key_{position}, as_of)", f"days since the last {name}",
        f"No {name} for {{value:.0f}} days", +1, ("events.feature",),
        f"Never used {name}",
    )  # fmt: skip
