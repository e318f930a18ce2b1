"""Runs and models in MLflow and in bundles, behind one typed model; the only package that imports MLflow."""

from churnrisk.tracking.record import (
    CANDIDATE,
    CHAMPION,
    DatasetRecord,
    ModelVersionInfo,
    TrainingRecord,
    TrialRecord,
    VersionDetails,
)
from churnrisk.tracking.registry import Tracking
from churnrisk.tracking.stored import LoadedModel, Models, StoredModel

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "DatasetRecord",
    "LoadedModel",
    "Models",
    "ModelVersionInfo",
    "StoredModel",
    "TrainingRecord",
    "TrialRecord",
    "Tracking",
    "VersionDetails",
]
