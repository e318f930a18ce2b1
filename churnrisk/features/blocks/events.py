"""The events block: one pass over the raw events for any number of snapshots.

All window edges of all as-of dates cut time into segments, so a window is a set of whole segments. Raw rows
are read once, into a roll-up per (account, user, segment) with a count, a bit mask of the product features
used and a bit mask of the active days; every window follows from the roll-up. Helper tables are real
tables: inlined, the planner would build its hash table on the raw events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from churnrisk.features.blocks.columns import known_at, optional
from churnrisk.sources import Tables, literal

#: Window edges in days before ``as_of``; the account's usual rhythm is read from HISTORY_DAYS.
EDGES = (0, 7, 30, 60, 90, 180)
HISTORY_DAYS = 365
_BITS = 63  # a mask word is a signed 64-bit integer
_LONGEST_SEGMENT = 60  # days; must fit into one mask word


@dataclass(frozen=True)
class _Shape:
    """What of the roll-up this project's tables can feed."""

    words: int
    late: bool
    key_features: tuple[str, ...]

    def masks(self, template: str) -> str:
        """Repeat a comma-led column template for every mask word."""
        return "".join(f", {template.format(i=i)}" for i in range(self.words))

    def keys(self, template: str) -> str:
        """Repeat a comma-led column template for every key feature."""
        return "".join(
            f", {template.format(i=i, name=literal(name))}" for i, name in enumerate(self.key_features)
        )

    def bits(self, template: str) -> str:
        """Add up the bits that a mask expression sets over all words."""
        return (
            " + ".join(f"coalesce(bit_count({template.format(i=i)})::int, 0)" for i in range(self.words))
            or "0"
        )


def events_block(tables: Tables, key_features: tuple[str, ...]) -> str:
    """Create ``event_columns`` and return its name."""
    engine, available = tables.engine, tables.available
    _feature_bits(tables)
    features = engine.value("select count(*) from feature_bits")
    late = available.has("events.recorded_at")
    shape = _Shape(-(-features // _BITS), late, key_features if available.has("events.feature") else ())
    _segments(tables)
    engine.run(f"create or replace temp table event_rollup as {_rollup(tables, shape)}")
    engine.run(f"create or replace temp table event_segments as {_by_account(shape)}")
    engine.run(f"create or replace temp table event_windows as {_windows(shape)}")
    engine.run(f"create or replace temp table event_users as {_users()}")
    engine.run(f"create or replace temp table event_last as {_last(shape)}")
    engine.run(
        "create or replace temp table known_features as select d.as_of, count(b.feature) as known_features "
        "from as_of_dates d left join feature_bits b on b.first_known_at < d.as_of group by d.as_of"
    )
    engine.run(
        "create or replace temp table event_columns as "
        "select p.account_id, p.as_of, w.* exclude (account_id, as_of), u.* exclude (account_id, as_of), "
        "l.* exclude (account_id, known_as_of), k.known_features "
        "from panel_rows p asof left join event_last l on l.account_id = p.account_id and l.known_as_of <= p.as_of "
        "left join event_windows w on w.account_id = p.account_id and w.as_of = p.as_of "
        "left join event_users u on u.account_id = p.account_id and u.as_of = p.as_of "
        "left join known_features k on k.as_of = p.as_of"
    )
    return "event_columns"


def _feature_bits(tables: Tables) -> None:
    """Give every product feature a bit of a mask word, and note when it was first seen."""
    feature = optional(tables.available, "events", "feature", "e", "varchar")
    known = known_at(tables.available, "events", "e", "occurred_at")
    tables.engine.run(
        "create or replace temp table feature_bits as select feature, first_known_at, "
        f"(place // {_BITS})::int as word, 1::bigint << (place % {_BITS})::int as bit from ("
        "select *, row_number() over (order by feature) - 1 as place from ("
        f"select {feature} as feature, min({known}) as first_known_at from events e "
        f"where {feature} is not null group by 1))"
    )


def _segments(tables: Tables) -> None:
    """Create ``event_days`` (day to its segment) and ``segment_windows`` (segment to as-of dates)."""
    engine = tables.engine
    dates = [row[0] for row in engine.rows("select as_of from as_of_dates order by as_of")]
    earliest = engine.value("select min(occurred_at) from events")
    start = min(earliest or dates[0], dates[0] - timedelta(days=HISTORY_DAYS))
    edges = _edges(dates)
    values = ", ".join(f"(date '{edge:%Y-%m-%d}')" for edge in edges)
    engine.run(f"create or replace temp table segment_edges as select * from (values {values}) e(segment)")
    engine.run(
        "create or replace temp table event_days as "
        "select day, segment, first_as_of, "
        f"case when day - segment < {_BITS} then 1::bigint << (day - segment)::int else 0 end as day_bit from ("
        "select d.day, coalesce(s.segment, date '1900-01-01') as segment, a.as_of as first_as_of from ("
        f"select cast(unnest(generate_series(timestamp '{start:%Y-%m-%d}', "
        f"timestamp '{dates[-1]:%Y-%m-%d}' - interval 1 day, interval 1 day)) as date) as day) d "
        "asof left join segment_edges s on s.segment <= d.day "
        "asof left join as_of_dates a on a.as_of > d.day)"
    )
    engine.run(
        "create or replace temp table segment_windows as "
        "select s.segment, d.as_of, date_diff('day', s.segment, d.as_of) as age "
        "from segment_edges s join as_of_dates d on s.segment < d.as_of "
        f"and s.segment >= d.as_of - interval {HISTORY_DAYS} day"
    )


def _edges(dates: list[datetime]) -> list[datetime]:
    """Return all window edges, with more between them where a segment would outgrow a mask word."""
    edges = sorted({moment - timedelta(days=edge) for moment in dates for edge in (*EDGES, HISTORY_DAYS)})
    filled = [edges[0]]
    for edge in edges[1:]:
        while (edge - filled[-1]).days > _LONGEST_SEGMENT:
            filled.append(filled[-1] + timedelta(days=_LONGEST_SEGMENT))
        filled.append(edge)
    return filled


def _rollup(tables: Tables, shape: _Shape) -> str:
    """Read the raw rows, the only time: (account, user, segment, first as-of date that knows the row)."""
    available = tables.available
    feature = optional(available, "events", "feature", "e", "varchar")
    quantity = f"cast({optional(available, 'events', 'quantity', 'e', 'double')} as decimal(18, 4))"
    known = known_at(available, "events", "e", "occurred_at")
    known_days = f"join event_days k on k.day = cast({known} as date) " if shape.late else ""
    return (
        f"select e.account_id, {optional(available, 'events', 'user_id', 'e', 'varchar')} as user_id, d.segment, "
        f"{'k' if shape.late else 'd'}.first_as_of as known_as_of, "
        f"count(*) as n, sum({quantity}) as quantity, "
        "bit_or(d.day_bit) as days, min(d.day) as first_day, max(d.day) as last_day"
        + shape.masks("bit_or(case when b.word = {i} then b.bit end) as mask_{i}")
        + shape.keys(f"max(d.day) filter (where {feature} = {{name}}) as last_key_{{i}}")
        + " from events e join event_days d on d.day = cast(e.occurred_at as date) "
        + known_days
        + f"left join feature_bits b on b.feature = {feature} group by 1, 2, 3, 4"
    )


def _by_account(shape: _Shape) -> str:
    return (
        "select account_id, segment, known_as_of, sum(n)::bigint as n, sum(quantity) as quantity, "
        "bit_or(days) as days, "
        "min(first_day) as first_day, max(last_day) as last_day"
        + shape.masks("bit_or(mask_{i}) as mask_{i}")
        + shape.keys("max(last_key_{i}) as last_key_{i}")
        + " from event_rollup group by account_id, segment, known_as_of"
    )


def _windows(shape: _Shape) -> str:
    """Compute every window of every (account, as_of) from the segments."""
    source = "event_segments s join segment_windows g on g.segment = s.segment"
    if shape.late:
        # rows of one day may become known at different dates: OR their masks before counting days
        source = (
            "(select s.account_id, g.as_of, g.age, sum(n) as n, sum(quantity) as quantity, bit_or(days) as days, "
            "min(first_day) as first_day" + shape.masks("bit_or(mask_{i}) as mask_{i}") + f" from {source} "
            "where s.known_as_of <= g.as_of group by s.account_id, g.as_of, g.age)"
        )
    spans = {"7": "age <= 7", "30": "age <= 30", "90": "age <= 90", "prev_30": "age > 30 and age <= 60"}
    columns = [f"(sum(n) filter (where {where}))::bigint as events_{name}" for name, where in spans.items()]
    columns += [f"sum(quantity) filter (where {where}) as quantity_{name}" for name, where in spans.items()]
    columns += [
        f"(sum(bit_count(days)) filter (where {where}))::bigint as active_days_{name}"
        for name, where in spans.items()
    ]
    columns += [
        "(sum(bit_count(days)) filter (where age <= 180))::bigint as active_days_180",
        "sum(bit_count(days))::bigint as active_days_365",
        "sum(n)::bigint as events_365",
        "sum(quantity) as quantity_365",
        "min(first_day) as first_day_365",
    ]
    columns += [
        f"{shape.bits(f'bit_or(mask_{{i}}) filter (where age <= {days})')} as features_{days}"
        for days in (7, 30, 90)
    ]
    recent = "coalesce(bit_or(mask_{i}) filter (where age <= 30), 0)"
    before = "coalesce(bit_or(mask_{i}) filter (where age > 30 and age <= 90), 0)"
    columns += [
        f"{shape.bits(f'{before} & ~{recent}')} as features_dropped",
        f"{shape.bits(f'{recent} & ~{before}')} as features_adopted",
    ]
    return f"select account_id, as_of, {', '.join(columns)} from {source} group by account_id, as_of"


def _users() -> str:
    return (
        "select account_id, as_of, count(*) filter (where recent > 0) as users_30, "
        "count(*) filter (where before > 0) as users_prev_30, max(recent) as top_user_events_30, "
        "sum(recent)::bigint as user_events_30 from ("
        "select r.account_id, g.as_of, r.user_id, (sum(n) filter (where age <= 30))::bigint as recent, "
        "(sum(n) filter (where age > 30))::bigint as before "
        "from event_rollup r join segment_windows g on g.segment = r.segment "
        "where g.age <= 60 and r.known_as_of <= g.as_of and r.user_id is not null "
        "group by r.account_id, g.as_of, r.user_id) group by account_id, as_of"
    )


def _last(shape: _Shape) -> str:
    """Compute the running last day per account over the as-of dates at which something became known."""
    running = "over (partition by account_id order by known_as_of)"
    return (
        f"select account_id, known_as_of, max(max(last_day)) {running} as last_day"
        + shape.keys(f"max(max(last_key_{{i}})) {running} as last_key_{{i}}")
        + " from event_segments group by account_id, known_as_of"
    )
