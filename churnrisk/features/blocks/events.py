"""The events block: every window of every account and date, from the roll-up of the raw events.

Helper tables are real tables: inlined, the planner would build its hash table on the raw events.
"""

from __future__ import annotations

from churnrisk.features.blocks.block import ROW, Block
from churnrisk.features.blocks.kept import create_from_kept
from churnrisk.features.blocks.rollup import HISTORY_DAYS, PEOPLE_DAYS, Shape, roll_up
from churnrisk.features.blocks.windows import ages, complete, last_days, user_columns, window_columns
from churnrisk.sources import Tables

__all__ = ["HISTORY_DAYS", "events_block"]


def events_block(tables: Tables, key_features: tuple[str, ...]) -> Block:
    """Create the windows of the events, and what stands beside them."""
    engine = tables.engine
    if not create_from_kept(tables, key_features):
        _create_from_raw(tables, key_features)
    engine.run(
        "create or replace temp table known_features as "
        "select d.as_of, count(distinct f.feature) as known_features "
        "from as_of_dates d left join feature_sightings f on f.known_as_of <= d.as_of group by d.as_of"
    )
    last = last_days(Shape.of(tables.available, 0, key_features))
    columns = (
        f"event_windows.* exclude ({', '.join((*ROW, *last))}), event_users.* exclude ({', '.join(ROW)}), "
        + "".join(f"coalesce(event_windows.{name}, event_before.{name}) as {name}, " for name in last)
        + "known_features.known_features"
    )
    relations = dict.fromkeys(("event_windows", "event_users", "event_before"), ROW)
    return Block({**relations, "known_features": ("as_of",)}, columns)


def _create_from_raw(tables: Tables, key_features: tuple[str, ...]) -> None:
    engine = tables.engine
    shape = roll_up(tables, key_features)
    engine.run(f"create or replace temp table event_users as {_users()}")
    engine.drop("event_people")
    engine.run(f"create or replace temp table event_last as {_last(shape)}")
    engine.run(f"create or replace temp table event_windows as {_windows(shape)}")
    engine.drop("event_segments")
    engine.run(f"create or replace temp table event_before as {_before(shape)}")
    engine.drop("event_last", "event_lookback")


def _windows(shape: Shape) -> str:
    """Compute every window of every (account, as_of) from the segments."""
    columns = window_columns(
        shape, lambda low, high: f"(sum(bit_count(days)) filter (where {ages(low, high)}))::integer"
    )
    return f"select account_key, as_of, {columns} from {_seen(shape)} group by account_key, as_of"


def _seen(shape: Shape) -> str:
    """Return the segments that each date looks back on, as it knew them."""
    source = "event_segments s join segment_windows g on g.segment = s.segment"
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


def _users() -> str:
    return user_columns(
        "(select r.account_key, g.as_of, r.user_id, g.age, r.n "
        "from event_people r join segment_windows g on g.segment = r.segment "
        f"where g.age <= {PEOPLE_DAYS} and r.known_as_of <= g.as_of)"
    )


def _last(shape: Shape) -> str:
    """Compute the running last day per account over the dates at which something became known."""
    running = "over (partition by account_key order by known_as_of)"
    columns = "account_key, known_as_of, last_day" + shape.keys("last_key_{i}")
    return (
        f"select account_key, known_as_of, max(max(last_day)) {running} as last_day"
        + shape.keys(f"max(max(last_key_{{i}})) {running} as last_key_{{i}}")
        + f" from (select {columns} from event_segments union all select {columns} from event_lookback) "
        "group by account_key, known_as_of"
    )


def _before(shape: Shape) -> str:
    """Look up the last days of accounts that have none in the windows of a date."""
    return (
        "select p.account_key, p.as_of, l.* exclude (account_key, known_as_of) from (select p.account_key, p.as_of "
        f"from panel_rows p anti join (select account_key, as_of from event_windows where {complete(shape)}) w "
        "on w.account_key = p.account_key and w.as_of = p.as_of) p "
        "asof join event_last l on l.account_key = p.account_key and l.known_as_of <= p.as_of"
    )
