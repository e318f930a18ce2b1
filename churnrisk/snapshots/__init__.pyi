from .calendar import (
    ChurnConfig,
    Horizon,
    SnapshotConfig,
    churn_dates,
    data_span,
    labelled_dates,
    scoring_date,
    training_dates,
)
from .panel import PANEL, Panel, build_panel, follow_up, known_by, lifetimes, outcomes, sample_panel

__all__ = [
    "ChurnConfig", "Horizon", "PANEL", "Panel", "SnapshotConfig", "build_panel", "churn_dates", "data_span",
    "follow_up", "known_by", "labelled_dates", "lifetimes", "outcomes", "sample_panel", "scoring_date",
    "training_dates",
]  # fmt: skip
