"""Complaints: what is open, how bad and how old it is, and how complaints were dealt with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa

from churnrisk.features.arrays import (
    ALWAYS,
    DAY,
    NEVER,
    SECOND,
    Cells,
    decimals,
    instants,
    integers,
    numbers_of,
    there,
    timestamps,
)
from churnrisk.features.block import ArrayBlock, BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup

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
    terms = inputs.create(
        "known_complaints",
        f"select k.account_key, c.* exclude (id, account_id, category), r.known_at as reopened_at from {rows} c "
        f"join {inputs.keys} k on k.account_id = c.account_id left join {reopened} r on r.id = c.id",
    )
    return FeatureBlock({}, ArrayBlock(terms, partial(complaint_columns, inputs.as_of)))


def complaint_columns(dates: Sequence[datetime], rows: pa.Table, accounts: int) -> pa.Table:
    """Return what was open, how bad and how old at each date; a later resolution is not seen."""
    account = rows["account"].to_numpy()
    opened, known, reopened = (
        instants(rows, "opened_at"),
        instants(rows, "known_at"),
        instants(rows, "reopened_at"),
    )
    resolved, answered = (
        instants(rows, "resolved_at", null=ALWAYS),
        instants(rows, "first_response_at", null=ALWAYS),
    )
    severity, rated = rows["severity"].fill_null(-np.inf).to_numpy(), there(rows, "csat")
    csat = integers(rows, "csat")
    answer_seconds = np.maximum(answered // SECOND - opened // SECOND, 0)
    seconds = resolved // SECOND - opened // SECOND
    at = Cells(len(dates), accounts)
    for place, date in enumerate(numbers_of(dates)):
        seen = known < date
        now_open, closed, replied = (
            seen & (resolved >= date),
            seen & (resolved < date),
            seen & (answered < date),
        )
        cells = at.date(place, account)
        cells.count("complaints", seen)
        cells.count("complaints_30", seen & (opened >= date - 30 * DAY))
        cells.count("complaints_90", seen & (opened >= date - 90 * DAY))
        cells.count("open_complaints", now_open)
        cells.largest("worst_open_severity", severity, now_open, -np.inf)
        cells.smallest("oldest_open_at", opened, now_open, ALWAYS)
        cells.largest("last_complaint_at", opened, seen, NEVER)
        cells.add("response_seconds", answer_seconds, replied)
        cells.count("responses", replied)
        cells.add("resolution_seconds", seconds, closed)
        cells.count("resolutions", closed)
        cells.add("csat_sum", csat, closed)
        cells.count("csat_count", closed & rated)
        back = (reopened > NEVER) & (reopened < date) & (opened >= date - 90 * DAY)
        cells.count("reopened_90", back)
    none = at["complaints"] == 0
    counts = ("complaints_30", "complaints_90", "open_complaints", "responses", "resolutions", "csat_count")
    worst = at["worst_open_severity"]
    return pa.table(
        {name: pa.array(at[name], mask=none) for name in counts}
        | {
            "worst_open_severity": pa.array(worst, mask=worst == -np.inf),
            "oldest_open_at": timestamps(at["oldest_open_at"]),
            "last_complaint_at": timestamps(at["last_complaint_at"]),
            "response_seconds": pa.array(at["response_seconds"], mask=at["responses"] == 0),
            "resolution_seconds": pa.array(at["resolution_seconds"], mask=at["resolutions"] == 0),
            "csat_sum": decimals(at["csat_sum"], null=at["csat_count"] == 0),
            "reopened_90": pa.array(at["reopened_90"], mask=at["reopened_90"] == 0),
        }
    )


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
        "select c.id, greatest(c.known_at, min(former.known_at)) as known_at "
        f"from {rows} c join {rows} former on former.account_id = c.account_id "
        "and former.category is not distinct from c.category and former.opened_at < c.opened_at "
        f"and former.resolved_at <= c.opened_at and former.resolved_at >= c.opened_at - {_REOPENED_WITHIN} "
        "group by c.id, c.known_at"
    )


COMPLAINTS = FeatureGroup(
    "complaints",
    _prepare,
    _FEATURES,
    {
        "complaint_rows": "The complaints with the instant from which each was known.",
        "reopened_complaints": "Complaints that came back: one of the same category was resolved shortly before.",
        "known_complaints": "Both side by side. Their columns at each date are computed beside SQL.",
    },
)
