"""Runs and models in MLflow; the only package that imports it."""

from churnrisk.tracking.record import (
    CANDIDATE,
    CHAMPION,
    DatasetRecord,
    LoadedModel,
    Models,
    ModelVersionInfo,
    TrainingRecord,
)
from churnrisk.tracking.registry import Tracking

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "DatasetRecord",
    "LoadedModel",
    "Models",
    "ModelVersionInfo",
    "TrainingRecord",
    "Tracking",
]
