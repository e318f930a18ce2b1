"""What complaints are open, how bad and how old they are, and how they were dealt with."""

from churnrisk.records import Feature

_C = ("complaints",)
_R = ("complaints.resolved_at",)


def _feature(
    name: str,
    unit: str,
    sql: str,
    label: str,
    why: str,
    monotone: int,
    requires: tuple[str, ...] = _C,
    missing: str = "Never complained",
) -> Feature:
    return Feature(name, "complaints", unit, sql, label, why, monotone, requires, why_missing=missing)


COMPLAINTS = (
    _feature(
        "complaints_30", "complaints", "coalesce(complaints_30, 0)", "complaints in the last 30 days",
        "{value:.0f} complaints in the last 30 days", +1,
    ),
    _feature(
        "complaints_90", "complaints", "coalesce(complaints_90, 0)", "complaints in the last 90 days",
        "{value:.0f} complaints in the last 90 days", 0,
    ),
    _feature(
        "open_complaints", "complaints", "coalesce(open_complaints, 0)", "open complaints",
        "Open complaints: {value:.0f}", +1, _R,
    ),
    _feature(
        "worst_open_severity", "1-4", "coalesce(worst_open_severity, 0)", "severity of the worst open complaint",
        "The worst open complaint has severity {value:.0f} of 4", +1, ("complaints.resolved_at", "complaints.severity"),
    ),
    _feature(
        "oldest_open_complaint_days", "days", "date_diff('day', oldest_open_at, as_of)",
        "age of the oldest open complaint",
        "A complaint has been open for {value:.0f} days", 0, _R, "No open complaint",
    ),
    _feature(
        "days_since_complaint", "days", "date_diff('day', last_complaint_at, as_of)", "days since the last complaint",
        "Complained {value:.0f} days ago", 0,
    ),
    _feature(
        "first_response_hours", "hours", "response_seconds / nullif(responses, 0) / 3600.0::double",
        "mean hours to the first response",
        "First responses took {value:.0f} hours on average", +1, ("complaints.first_response_at",),
        "No complaint answered",
    ),
    _feature(
        "resolution_hours", "hours", "resolution_seconds / nullif(resolutions, 0) / 3600.0::double",
        "mean hours to resolution",
        "Complaints took {value:.0f} hours to resolve on average", +1, _R, "No complaint resolved",
    ),
    _feature(
        "complaints_reopened_90", "complaints", "coalesce(reopened_90, 0)", "complaints that came back within 14 days",
        "{value:.0f} complaints came back after they were resolved", +1, _R,
    ),
    _feature(
        "complaint_csat", "score", "csat_sum::double / nullif(csat_count, 0)", "satisfaction with resolved complaints",
        "Rated the handling of complaints {value:.1f}", -1, ("complaints.csat", "complaints.resolved_at"),
        "Never rated the handling of a complaint",
    ),
    _feature(
        "complaints_per_active_day", "a day", "coalesce(complaints_90, 0) / nullif(active_days_90, 0)::double",
        "complaints per active day in the last 90", "{value:.2f} complaints per active day", 0,
        ("complaints", "events"), "No active day in the last 90",
    ),
)  # fmt: skip
