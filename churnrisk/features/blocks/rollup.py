"""The roll-up of the events: every row is read once, whatever the number of dates, or not at all where it is kept.

All window edges of all as-of dates cut time into segments, so a window is a set of whole segments. Rows come from the
raw events (``raw_events``) or from their daily roll-up that an earlier run has kept (``kept``).
"""

from __future__ import annotations

from churnrisk.errors import ChurnRiskError
from churnrisk.features.blocks.kept import KeptEvents, kept_events
from churnrisk.features.blocks.raw_events import RawEvents
from churnrisk.features.blocks.shape import HISTORY_DAYS, Reach, Shape, instant
from churnrisk.sources import Engine, Tables


def roll_up(tables: Tables, key_features: tuple[str, ...]) -> Shape:
    """Create the roll-up of the events and what helps to read it, and return its shape.

    Leaves ``segment_windows``, and of the roll-up itself ``event_rollup`` (account, user, segment, as the shape says
    they are spelled), ``event_segments`` (account, segment), ``event_lookback`` (accounts that were silent
    for a year) and ``feature_sightings`` (first known use of each product feature by anybody). Each row says
    from which as-of date on it is known: ``known_as_of``.
    """
    engine = tables.engine
    reach = Reach(tuple(row[0] for row in engine.rows("select as_of from as_of_dates order by as_of")))
    kept = kept_events(tables, key_features, reach)
    if kept is not None and tables.cache is not None:
        try:
            return _rolled_up(engine, kept, reach)
        except ChurnRiskError as error:
            tables.cache.say(f"the kept roll-up of the events cannot be read ({error}); reading all events")
    return _rolled_up(engine, RawEvents.opened(tables, key_features, reach), reach)


def _rolled_up(engine: Engine, events: RawEvents | KeptEvents, reach: Reach) -> Shape:
    _create_segments(engine, reach)
    engine.run(f"create or replace temp table event_rollup as {events.detail()}")
    engine.run(f"create or replace temp table event_history as {events.history()}")
    engine.run(f"create or replace temp table event_segments as {_by_account(events.shape)}")
    engine.run(f"create or replace temp table event_lookback as {events.lookback()}")
    events.create_sightings()
    return events.shape


def _create_segments(engine: Engine, reach: Reach) -> None:
    """Create ``event_days`` (day to its segment) and ``segment_windows`` (segment to as-of dates)."""
    values = ", ".join(f"(date '{edge:%Y-%m-%d}')" for edge in reach.edges)
    engine.run(f"create or replace temp table segment_edges as select * from (values {values}) e(segment)")
    engine.run(
        "create or replace temp table event_days as "
        "select d.day, s.segment, a.as_of as first_as_of, 1::bigint << (d.day - s.segment)::int as day_bit from ("
        f"select cast(unnest(generate_series({instant(reach.far)}, "
        f"{instant(reach.end)} - interval 1 day, interval 1 day)) as date) as day) d "
        "asof join segment_edges s on s.segment <= d.day "
        "asof join as_of_dates a on a.as_of > d.day"
    )
    engine.run(
        "create or replace temp table segment_windows as "
        "select s.segment, d.as_of, date_diff('day', s.segment, d.as_of) as age "
        "from segment_edges s join as_of_dates d on s.segment < d.as_of "
        f"and s.segment >= d.as_of - interval {HISTORY_DAYS} day"
    )


def _by_account(shape: Shape) -> str:
    """Add up users; the order by account keeps what belongs together in one place for the windows."""
    sums = "segment, known_as_of, n, quantity, days, first_day, last_day"
    keys = shape.keys("last_key_{i}")
    return (
        f"select {shape.tidied('account_id')} as account_id, segment, known_as_of, sum(n)::bigint as n, "
        f"{shape.amount('sum(quantity)')} as quantity, bit_or(days) as days, "
        "min(first_day) as first_day, max(last_day) as last_day"
        + shape.masks("bit_or(mask_{i}) as mask_{i}")
        + shape.keys("max(last_key_{i}) as last_key_{i}")
        + f" from (select account_id, {sums}{shape.masks('mask_{i}')}{keys} from event_rollup union all "
        f"select account_id, {sums}{shape.masks('null::bigint as mask_{i}')}{keys} from event_history) "
        f"where {shape.tidied('account_id')} is not null group by 1, 2, 3 order by 1"
    )
