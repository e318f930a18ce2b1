from .checked import CheckedTables, Progress, advance, check_tables, checked_tables, latest_date
from .fit import (
    AGEING,
    OUTLOOK,
    Training,
    add_outlook,
    outlook,
    train,
    unfitted,
    until_a_model,
)
from .lifecycle import Promotion, Reproduction, export, promote, read_bundle, reproduce
from .measure import (
    FIRST,
    Backtest,
    ColourAtSnapshot,
    Comparison,
    LightAtSnapshot,
    backtest,
    colours_at,
    compare,
    evaluate_folds,
    evaluate_model,
    verdict,
)
from .panel import (
    CheckReport,
    CutPanel,
    TrainingPanel,
    check,
    kinds_of,
    snapshot_dates,
    training_panel,
)
from .record import EvaluationReport, changed_settings, features_of, require_own_thresholds, within
from .registered import champion_of, models, rollback, tracking_of
from .signals import CatalogueReport, FeatureWorth, catalogue_report, feature_query, main_families
from .start import StartedProject, make_sample, start_project

__all__ = [
    "AGEING", "Backtest", "CatalogueReport", "CheckReport", "CheckedTables", "ColourAtSnapshot", "Comparison",
    "CutPanel", "EvaluationReport", "FIRST", "FeatureWorth", "LightAtSnapshot", "OUTLOOK", "Progress",
    "Promotion", "Reproduction", "Training", "TrainingPanel", "add_outlook", "advance", "backtest",
    "catalogue_report", "champion_of", "changed_settings", "check", "check_tables", "checked_tables",
    "colours_at", "compare", "evaluate_folds", "evaluate_model", "export", "feature_query", "features_of",
    "kinds_of", "latest_date", "main_families", "make_sample", "models", "outlook", "promote", "read_bundle",
    "reproduce", "require_own_thresholds", "rollback", "snapshot_dates", "StartedProject", "start_project",
    "tracking_of", "train", "training_panel", "unfitted", "until_a_model", "verdict", "within",
]  # fmt: skip
