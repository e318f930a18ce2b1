from .bundle import Bundle, BundledModel, build, is_bundle, pack, unpack
from .mirror import ModelVersionInfo
from .registry import Tracking, VersionDetails, masked
from .served import plain_example, probability_signature
from .stored import (
    CANDIDATE,
    CHAMPION,
    LoadedModel,
    Models,
    StoredModel,
    distrusted,
    load_trusted,
    trusted_types_of,
)
from .writing import MODEL_CARD, DatasetRecord, TrainingRecord, TrialRecord, as_json, metric_name

__all__ = [
    "Bundle", "BundledModel", "CANDIDATE", "CHAMPION", "DatasetRecord", "LoadedModel", "MODEL_CARD",
    "ModelVersionInfo", "Models", "StoredModel", "Tracking", "TrainingRecord", "TrialRecord",
    "VersionDetails", "as_json", "build", "distrusted", "is_bundle", "load_trusted", "masked", "metric_name",
    "pack", "plain_example", "probability_signature", "trusted_types_of", "unpack",
]  # fmt: skip
