"""What the timeline of an account shows: use by week as columns, what happened as a list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from churnrisk.web.dossier import chart_of
from churnrisk.web.past import Occasion
from churnrisk.web.trends import column_chart
from churnrisk.workflows.account import AccountView
from churnrisk.workflows.timeline import Happening, Timeline

_MARKS = {"complaint opened": "▼", "complaint resolved": "✓", "survey": "✎", "renewal": "↻"}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened, with its mark."""

    at: datetime
    mark: str
    text: str
    is_ahead: bool
    after_run: bool


@dataclass(frozen=True, slots=True)
class FeatureUse:
    """One feature, and how often it was used in the last four weeks and in the four before."""

    name: str
    lately: int
    before: int


def happenings(view: AccountView, found: Timeline, *, now: datetime) -> dict[str, Any]:
    """Return what the template of the timeline shows."""
    complaints = [
        Occasion(one.at, "complaint", one.text) for one in found.happenings if one.kind == "complaint opened"
    ]
    return {
        "account_id": view.account_id,
        "name": view.name or view.account_id,
        "found": found,
        "use": column_chart(
            [(week.start, float(week.events + week.later)) for week in found.weeks], "Events by week"
        ),
        "features": _features(found),
        "items": tuple(_item(one, now) for one in found.happenings),
        "chart": chart_of(view, complaints),
        "later": any(one.after_run for one in found.happenings) or any(week.later for week in found.weeks),
    }


def _item(one: Happening, now: datetime) -> Item:
    return Item(one.at, _MARKS.get(one.kind, "•"), one.text, one.at > now, one.after_run)


def _features(found: Timeline) -> tuple[FeatureUse, ...]:
    if not found.weeks or found.features == ("",):
        return ()
    last, earlier = found.weeks[-4:], found.weeks[-8:-4]
    used = (
        FeatureUse(
            name or "no name",
            sum(week.by_feature[name] for week in last),
            sum(week.by_feature[name] for week in earlier),
        )
        for name in found.features
    )
    return tuple(feature for feature in used if feature.lately or feature.before)
