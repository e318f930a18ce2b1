"""Events: how recent and how broad the use of the product is.

Helper relations are real tables: inlined, the planner would build its hash table on the raw events.
"""

from __future__ import annotations

from churnrisk.features.block import ROW, BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup
from churnrisk.features.cached_events import windows_from_cache
from churnrisk.features.rollup import (
    PEOPLE_DAYS,
    EventRelations,
    RollUp,
    RollupShape,
    ages,
    complete,
    last_days,
    roll_up,
    user_columns,
    window_columns,
)
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
    made = windows_from_cache(inputs) or _windows_from_raw(inputs)
    known = inputs.create(
        "known_features",
        "select d.as_of, count(distinct f.feature) as known_features "
        f"from {inputs.dates} d left join {made.sightings} f on f.known_as_of <= d.as_of group by d.as_of",
    )
    last = last_days(RollupShape.of(inputs.available, 0, inputs.key_features))
    columns = (
        f"{made.windows}.* exclude ({', '.join((*ROW, *last))}), {made.users}.* exclude ({', '.join(ROW)}), "
        + "".join(f"coalesce({made.windows}.{name}, {made.before}.{name}) as {name}, " for name in last)
        + f"{known}.known_features"
    )
    relations = dict.fromkeys((made.windows, made.users, made.before), ROW)
    return FeatureBlock({**relations, known: ("as_of",)}, columns)


def _windows_from_raw(inputs: BlockInputs) -> EventRelations:
    made, rolled = EventRelations(), roll_up(inputs)
    inputs.create(made.users, _users(rolled))
    inputs.engine.drop(rolled.people)
    last = inputs.create("event_last", _last(rolled))
    inputs.create(made.windows, _windows(rolled))
    inputs.engine.drop(rolled.segments)
    inputs.create(made.before, _before(rolled.shape, inputs.rows, made.windows, last))
    inputs.engine.drop(last, rolled.lookback)
    return made


def _windows(rolled: RollUp) -> str:
    """Compute every window of every (account, as_of) from the segments."""
    columns = window_columns(
        rolled.shape, lambda low, high: f"(sum(bit_count(days)) filter (where {ages(low, high)}))::integer"
    )
    return f"select account_key, as_of, {columns} from {_seen(rolled)} group by account_key, as_of"


def _seen(rolled: RollUp) -> str:
    """Return the segments that each date looks back on, as far as it knew them."""
    shape = rolled.shape
    source = f"{rolled.segments} s join {rolled.windows} g on g.segment = s.segment"
    if not shape.late:
        return source
    # rows of one day may become known at different dates: OR their masks before counting days
    return (
        "(select s.account_key, g.as_of, g.age, sum(n) as n, "
        f"{shape.amount('sum(quantity)')} as quantity, bit_or(days) as days, min(first_day) as first_day, "
        "max(last_day) as last_day"
        + shape.masks("bit_or(mask_{i}) as mask_{i}")
        + shape.keys("max(last_key_{i}) as last_key_{i}")
        + f" from {source} where s.known_as_of <= g.as_of group by s.account_key, g.as_of, g.age)"
    )


def _users(rolled: RollUp) -> str:
    return user_columns(
        "(select r.account_key, g.as_of, r.user_id, g.age, r.n "
        f"from {rolled.people} r join {rolled.windows} g on g.segment = r.segment "
        f"where g.age <= {PEOPLE_DAYS} and r.known_as_of <= g.as_of)"
    )


def _last(rolled: RollUp) -> str:
    """Compute the running last day per account over the dates at which rows became known."""
    shape = rolled.shape
    running = "over (partition by account_key order by known_as_of)"
    columns = "account_key, known_as_of, last_day" + shape.keys("last_key_{i}")
    return (
        f"select account_key, known_as_of, max(max(last_day)) {running} as last_day"
        + shape.keys(f"max(max(last_key_{{i}})) {running} as last_key_{{i}}")
        + f" from (select {columns} from {rolled.segments} union all select {columns} from {rolled.lookback}) "
        "group by account_key, known_as_of"
    )


def _before(shape: RollupShape, rows: str, windows: str, last: str) -> str:
    """Look up the last days of accounts that have none in the windows of a date."""
    return (
        "select p.account_key, p.as_of, l.* exclude (account_key, known_as_of) from (select p.account_key, p.as_of "
        f"from {rows} p anti join (select account_key, as_of from {windows} where {complete(shape)}) w "
        "on w.account_key = p.account_key and w.as_of = p.as_of) p "
        f"asof join {last} l on l.account_key = p.account_key and l.known_as_of <= p.as_of"
    )


EVENTS = FeatureGroup(
    "events",
    _prepare,
    (*_RECENCY, *_BREADTH),
    {
        "feature_bits": "Every product feature gets one bit of a mask, so that distinct features are counted by bits.",
        "segment_edges": "All edges of all windows cut time into segments: a window is a set of whole segments.",
        "event_days": "Each day with its segment, and the first date that looks back on it.",
        "segment_windows": "Which segments each date looks back on, and how old they are then, in days.",
        "event_rollup": "The days of all windows of up to 90 days, read once: one row per account, user and segment.",
        "event_history": "The days before them that only year-long windows see: one row per account and segment.",
        "event_spellings": "Which account each id in the events stands for, however it is spelled.",
        "event_people": "Of the roll-up what the windows of people need: one row per account, user and segment.",
        "event_segments": "All of it without users: one row per account and segment.",
        "silent_accounts": "Accounts that have no day in either that the first date knows.",
        "event_lookback": "Their last day, from the days before.",
        "feature_masks": "Which product features anybody had used by each date.",
        "feature_sightings": "The first date that knows a use of each product feature.",
        "event_windows": "Every window of every account and date, from the segments in it.",
        "event_users": "How many people used the product in the last 30 days and in the 30 before, and who most.",
        "event_last": "The last active day of each account as it was known from each date on.",
        "event_before": "The last active day of accounts that have none in the windows of a date.",
        "known_features": "How many product features had been seen by each date.",
    },
)
