from .attributes import lasting_features
from .block import BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup
from .build import (
    FEATURE_TABLE,
    FeatureFrame,
    FeatureTable,
    annual_value,
    build_features,
    create_feature_table,
    facts_query,
    lay_out,
    require_prepared,
    script_of,
    step_purposes,
)
from .catalogue import CATALOGUE, GROUPS, FeatureConfig, OwnFeature, clashing_columns, select_features
from .leaks import Leak, find_leaks
from .levers import LEVERS, Lever, LeverEffects, influenced, pairs_of, select_levers
from .windows import HISTORY_DAYS

__all__ = [
    "BlockInputs", "CATALOGUE", "FEATURE_TABLE", "FeatureBlock", "FeatureConfig", "FeatureFamily",
    "FeatureFrame", "FeatureGroup", "FeatureTable", "GROUPS", "HISTORY_DAYS", "LEVERS", "Leak", "Lever",
    "LeverEffects", "OwnFeature", "annual_value", "build_features", "clashing_columns",
    "create_feature_table", "facts_query", "find_leaks", "influenced", "lasting_features", "lay_out",
    "pairs_of", "require_prepared", "script_of", "select_features", "select_levers", "step_purposes",
]  # fmt: skip
