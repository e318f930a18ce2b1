"""The catalogue of features and the query that computes them point in time, one file per raw table.

A table's block prepares named columns per (account_id, as_of); a feature is one SQL expression over those columns.
"""

from churnrisk.features.block import BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup
from churnrisk.features.build import FeatureFrame, build_features, create_feature_table
from churnrisk.features.catalogue import CATALOGUE, GROUPS, FeatureConfig, OwnFeature, select_features
from churnrisk.features.facts import annual_value, facts_query
from churnrisk.features.leaks import Leak, find_leaks
from churnrisk.features.levers import LEVERS, Lever, LeverEffects, influenced, pairs_of, select_levers
from churnrisk.features.steps import script_of, step_purposes

__all__ = [
    "FeatureBlock",
    "BlockInputs",
    "CATALOGUE",
    "FeatureConfig",
    "FeatureFamily",
    "FeatureFrame",
    "FeatureGroup",
    "GROUPS",
    "LEVERS",
    "Leak",
    "Lever",
    "LeverEffects",
    "OwnFeature",
    "annual_value",
    "build_features",
    "create_feature_table",
    "facts_query",
    "find_leaks",
    "influenced",
    "pairs_of",
    "script_of",
    "select_features",
    "select_levers",
    "step_purposes",
]
