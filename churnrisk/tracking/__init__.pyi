from .bundle import BundledModel, build, is_bundle, pack, unpack
from .record import (
    CANDIDATE,
    CHAMPION,
    DatasetRecord,
    ModelVersionInfo,
    TrainingRecord,
    TrialRecord,
    VersionDetails,
)
from .registry import MlflowStore, Tracking, masked
from .stored import LoadedModel, Models, StoredModel, distrusted, load_trusted, trusted_types_of
from .writing import MODEL_CARD, as_json, metric_name, plain_example, probability_signature

__all__ = [
    "BundledModel",
    "CANDIDATE",
    "CHAMPION",
    "DatasetRecord",
    "LoadedModel",
    "MODEL_CARD",
    "MlflowStore",
    "ModelVersionInfo",
    "Models",
    "StoredModel",
    "Tracking",
    "TrainingRecord",
    "TrialRecord",
    "VersionDetails",
    "as_json",
    "build",
    "distrusted",
    "is_bundle",
    "load_trusted",
    "masked",
    "metric_name",
    "pack",
    "plain_example",
    "probability_signature",
    "trusted_types_of",
    "unpack",
]
