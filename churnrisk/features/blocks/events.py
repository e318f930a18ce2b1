"""The events block: every window of every account and date, from the roll-up of the raw events.

Helper tables are real tables: inlined, the planner would build its hash table on the raw events.
"""

from __future__ import annotations

from churnrisk.contract.casts import tidy
from churnrisk.features.blocks.kept import create_from_kept
from churnrisk.features.blocks.rollup import HISTORY_DAYS, Shape, roll_up
from churnrisk.features.blocks.windows import ages, user_columns, window_columns
from churnrisk.sources import Tables

__all__ = ["HISTORY_DAYS", "events_block"]


def events_block(tables: Tables, key_features: tuple[str, ...]) -> str:
    """Create ``event_columns`` and return its name."""
    engine = tables.engine
    rows, account = "panel_rows", "p.account_id"
    if create_from_kept(tables, key_features):
        # kept rows have numbers in the place of accounts
        rows = "(select r.account_id, r.as_of, a.code from panel_rows r left join event_accounts a using (account_id))"
        account = "p.code"
    else:
        _create_from_raw(tables, key_features)
    engine.run(
        "create or replace temp table known_features as "
        "select d.as_of, count(distinct f.feature) as known_features "
        "from as_of_dates d left join feature_sightings f on f.known_as_of <= d.as_of group by d.as_of"
    )
    engine.run(
        "create or replace temp view event_columns as "
        "select p.account_id, p.as_of, w.* exclude (account_id, as_of), "
        "u.* exclude (account_id, as_of), l.* exclude (account_id, known_as_of), k.known_features "
        f"from {rows} p asof left join event_last l on l.account_id = {account} and l.known_as_of <= p.as_of "
        f"left join event_windows w on w.account_id = {account} and w.as_of = p.as_of "
        f"left join event_users u on u.account_id = {account} and u.as_of = p.as_of "
        "left join known_features k on k.as_of = p.as_of"
    )
    return "event_columns"


def _create_from_raw(tables: Tables, key_features: tuple[str, ...]) -> None:
    engine = tables.engine
    shape = roll_up(tables, key_features)
    engine.run(f"create or replace temp table event_windows as {_windows(shape)}")
    engine.run(f"create or replace temp table event_users as {_users()}")
    engine.run(f"create or replace temp table event_last as {_last(shape)}")


def _windows(shape: Shape) -> str:
    """Compute every window of every (account, as_of) from the segments."""
    columns = window_columns(
        shape, lambda low, high: f"(sum(bit_count(days)) filter (where {ages(low, high)}))::bigint"
    )
    return f"select account_id, as_of, {columns} from {_seen(shape)} group by account_id, as_of"


def _seen(shape: Shape) -> str:
    """Return the segments that each date looks back on, as it knew them."""
    source = "event_segments s join segment_windows g on g.segment = s.segment"
    if not shape.late:
        return source
    # rows of one day may become known at different dates: OR their masks before counting days
    return (
        "(select s.account_id, g.as_of, g.age, sum(n) as n, "
        f"{shape.amount('sum(quantity)')} as quantity, bit_or(days) as days, min(first_day) as first_day"
        + shape.masks("bit_or(mask_{i}) as mask_{i}")
        + f" from {source} where s.known_as_of <= g.as_of group by s.account_id, g.as_of, g.age)"
    )


def _users() -> str:
    rows = (
        f"(select {tidy('r.account_id')} as account_id, g.as_of, {tidy('r.user_id')} as user_id, g.age, r.n "
        "from event_rollup r join segment_windows g on g.segment = r.segment "
        "where g.age <= 60 and r.known_as_of <= g.as_of)"
    )
    return user_columns(rows)


def _last(shape: Shape) -> str:
    """Compute the running last day per account over the as-of dates at which something became known."""
    running = "over (partition by account_id order by known_as_of)"
    columns = "account_id, known_as_of, last_day" + shape.keys("last_key_{i}")
    return (
        f"select account_id, known_as_of, max(max(last_day)) {running} as last_day"
        + shape.keys(f"max(max(last_key_{{i}})) {running} as last_key_{{i}}")
        + f" from (select {columns} from event_segments union all select {columns} from event_lookback) "
        "group by account_id, known_as_of"
    )
