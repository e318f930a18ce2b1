"""The complaints block: what was open, how bad and how old, at each as-of date."""

from __future__ import annotations

from churnrisk.contract import Available
from churnrisk.features.blocks.block import Block
from churnrisk.features.blocks.columns import known_at, optional
from churnrisk.sources import Tables

REOPENED_WITHIN = "interval 14 day"


def complaints_block(tables: Tables) -> Block:
    """Create ``complaint_columns`` and ``reopened_columns``."""
    available, engine = tables.available, tables.engine
    engine.run(f"create or replace temp table complaint_rows as {_rows(available)}")
    engine.run(f"create or replace temp table reopened_complaints as {_reopened()}")
    engine.run(
        "create or replace temp table complaint_columns as "
        "select p.account_key, p.as_of, "
        "count(*) filter (where c.opened_at >= p.as_of - interval 30 day) as complaints_30, "
        "count(*) filter (where c.opened_at >= p.as_of - interval 90 day) as complaints_90, "
        "count(*) filter (where c.resolved_at is null or c.resolved_at >= p.as_of) as open_complaints, "
        "max(c.severity) filter (where c.resolved_at is null or c.resolved_at >= p.as_of) as worst_open_severity, "
        "min(c.opened_at) filter (where c.resolved_at is null or c.resolved_at >= p.as_of) as oldest_open_at, "
        "max(c.opened_at) as last_complaint_at, "
        "sum(greatest(date_diff('second', c.opened_at, c.first_response_at), 0)) "
        "filter (where c.first_response_at < p.as_of) as response_seconds, "
        "count(*) filter (where c.first_response_at < p.as_of) as responses, "
        "sum(date_diff('second', c.opened_at, c.resolved_at)) "
        "filter (where c.resolved_at < p.as_of) as resolution_seconds, "
        "count(*) filter (where c.resolved_at < p.as_of) as resolutions, "
        "sum(c.csat) filter (where c.resolved_at < p.as_of) as csat_sum, "
        "count(c.csat) filter (where c.resolved_at < p.as_of) as csat_count "
        "from panel_rows p join complaint_rows c on c.account_id = p.account_id and c.known_at < p.as_of "
        "group by p.account_key, p.as_of"
    )
    engine.run(
        "create or replace temp table reopened_columns as select p.account_key, p.as_of, count(*) as reopened_90 "
        "from panel_rows p join reopened_complaints r on r.account_id = p.account_id and r.known_at < p.as_of "
        "and r.opened_at >= p.as_of - interval 90 day group by p.account_key, p.as_of"
    )
    return Block.of("complaint_columns", "reopened_columns")


def _rows(available: Available) -> str:
    resolved = optional(available, "complaints", "resolved_at", "c", "timestamp")
    return (
        "select row_number() over () as id, c.account_id, c.opened_at, "
        # a resolution dated before its complaint counts as resolved at once
        f"case when {resolved} is not null then greatest({resolved}, c.opened_at) end as resolved_at, "
        f"{known_at(available, 'complaints', 'c', 'opened_at')} as known_at, "
        f"{optional(available, 'complaints', 'severity', 'c', 'double')} as severity, "
        f"{optional(available, 'complaints', 'category', 'c', 'varchar')} as category, "
        f"cast({optional(available, 'complaints', 'csat', 'c', 'double')} as decimal(18, 4)) as csat, "
        f"{optional(available, 'complaints', 'first_response_at', 'c', 'timestamp')} as first_response_at "
        "from complaints c"
    )


def _reopened() -> str:
    """Return the complaints that "came back": one of the same category had been resolved shortly before."""
    return (
        "select c.account_id, c.opened_at, greatest(c.known_at, min(former.known_at)) as known_at "
        "from complaint_rows c join complaint_rows former on former.account_id = c.account_id "
        "and former.category is not distinct from c.category and former.opened_at < c.opened_at "
        f"and former.resolved_at <= c.opened_at and former.resolved_at >= c.opened_at - {REOPENED_WITHIN} "
        "group by c.id, c.account_id, c.opened_at, c.known_at"
    )
