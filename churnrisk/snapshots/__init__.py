"""Which accounts are looked at when (as-of dates), and what became of them (labels)."""

from churnrisk.snapshots.calendar import (
    Horizon,
    SnapshotConfig,
    data_span,
    labelled_dates,
    scoring_date,
    training_dates,
)
from churnrisk.snapshots.churn import ChurnConfig, churn_dates
from churnrisk.snapshots.follow_up import follow_up, known_by, lifetimes
from churnrisk.snapshots.panel import PANEL, Panel, build_panel, outcomes, sample_panel

__all__ = [
    "ChurnConfig",
    "Horizon",
    "PANEL",
    "Panel",
    "SnapshotConfig",
    "build_panel",
    "churn_dates",
    "data_span",
    "follow_up",
    "known_by",
    "labelled_dates",
    "lifetimes",
    "outcomes",
    "sample_panel",
    "scoring_date",
    "training_dates",
]
