"""Complaints: what is open, how bad and how old it is, and how complaints were dealt with."""

from __future__ import annotations

from churnrisk.features.block import BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup

_REOPENED_WITHIN = "interval 14 day"
_R = ("complaints.resolved_at",)


_feature = FeatureFamily("complaints", ("complaints",), "Never complained")
_FEATURES = (
    _feature.count("complaints_30", "complaints", "complaints in the last 30 days",
        "{value:.0f} complaints in the last 30 days", +1),
    _feature.count("complaints_90", "complaints", "complaints in the last 90 days",
        "{value:.0f} complaints in the last 90 days"),
    _feature.count("open_complaints", "complaints", "open complaints", "Open complaints: {value:.0f}", +1,
        _R),
    _feature.count("worst_open_severity", "1-4", "severity of the worst open complaint",
        "The worst open complaint has severity {value:.0f} of 4", +1,
        ("complaints.resolved_at", "complaints.severity")),
    _feature("oldest_open_complaint_days", "days", "date_diff('day', oldest_open_at, as_of)",
        "age of the oldest open complaint", "A complaint has been open for {value:.0f} days", 0, _R,
        "No open complaint"),
    _feature("days_since_complaint", "days", "date_diff('day', last_complaint_at, as_of)",
        "days since the last complaint", "Complained {value:.0f} days ago"),
    _feature("first_response_hours", "hours", "response_seconds / nullif(responses, 0) / 3600.0::double",
        "mean hours to the first response", "First responses took {value:.0f} hours on average", +1,
        ("complaints.first_response_at",), "No complaint answered"),
    _feature("resolution_hours", "hours", "resolution_seconds / nullif(resolutions, 0) / 3600.0::double",
        "mean hours to resolution", "Complaints took {value:.0f} hours to resolve on average", +1, _R,
        "No complaint resolved"),
    _feature("complaints_reopened_90", "complaints", "coalesce(reopened_90, 0)",
        "complaints that came back within 14 days",
        "{value:.0f} complaints came back after they were resolved", +1, _R),
    _feature("complaint_csat", "score", "csat_sum::double / nullif(csat_count, 0)",
        "satisfaction with resolved complaints", "Rated the handling of complaints {value:.1f}", -1,
        ("complaints.csat", "complaints.resolved_at"), "Never rated the handling of a complaint"),
    _feature("complaints_per_active_day", "a day",
        "coalesce(complaints_90, 0) / nullif(active_days_90, 0)::double",
        "complaints per active day in the last 90", "{value:.2f} complaints per active day", 0,
        ("complaints", "events"), "No active day in the last 90"),
)  # fmt: skip


def _prepare(inputs: BlockInputs) -> FeatureBlock:
    rows = inputs.create("complaint_rows", _rows(inputs))
    reopened = inputs.create("reopened_complaints", _reopened(rows))
    columns = inputs.create(
        "complaint_columns",
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
        f"from {inputs.rows} p join {rows} c on c.account_id = p.account_id and c.known_at < p.as_of "
        "group by p.account_key, p.as_of",
    )
    came_back = inputs.create(
        "reopened_columns",
        "select p.account_key, p.as_of, count(*) as reopened_90 "
        f"from {inputs.rows} p join {reopened} r on r.account_id = p.account_id and r.known_at < p.as_of "
        "and r.opened_at >= p.as_of - interval 90 day group by p.account_key, p.as_of",
    )
    return FeatureBlock.of(columns, came_back)


def _rows(inputs: BlockInputs) -> str:
    optional = inputs.available.optional
    resolved = optional("complaints.resolved_at", "c", "timestamp")
    return (
        "select row_number() over () as id, c.account_id, c.opened_at, "
        # a resolution dated before its complaint counts as resolved at once
        f"case when {resolved} is not null then greatest({resolved}, c.opened_at) end as resolved_at, "
        f"{inputs.available.known_at('complaints', 'c')} as known_at, "
        f"{optional('complaints.severity', 'c', 'double')} as severity, "
        f"{optional('complaints.category', 'c', 'varchar')} as category, "
        f"cast({optional('complaints.csat', 'c', 'double')} as decimal(18, 4)) as csat, "
        f"{optional('complaints.first_response_at', 'c', 'timestamp')} as first_response_at "
        "from complaints c"
    )


def _reopened(rows: str) -> str:
    """Return the complaints that "came back": one of the same category had been resolved shortly before."""
    return (
        "select c.account_id, c.opened_at, greatest(c.known_at, min(former.known_at)) as known_at "
        f"from {rows} c join {rows} former on former.account_id = c.account_id "
        "and former.category is not distinct from c.category and former.opened_at < c.opened_at "
        f"and former.resolved_at <= c.opened_at and former.resolved_at >= c.opened_at - {_REOPENED_WITHIN} "
        "group by c.id, c.account_id, c.opened_at, c.known_at"
    )


COMPLAINTS = FeatureGroup(
    "complaints",
    _prepare,
    _FEATURES,
    {
        "complaint_rows": "The complaints with the instant from which each was known.",
        "reopened_complaints": "Complaints that came back: one of the same category was resolved shortly before.",
        "complaint_columns": "What was open, how bad and how old at each date. A later resolution is not seen.",
        "reopened_columns": "How many complaints had come back in the 90 days before each date.",
    },
)
