"""The catalogue of signals and the query that computes them point in time.

A block (events, complaints, …) prepares named columns per (account_id, as_of); a feature is one SQL
expression over those columns. Blocks read raw rows, features never do.
"""

from churnrisk.features.build import FeatureFrame, build_features
from churnrisk.features.catalogue import CATALOGUE, FeatureConfig, OwnFeature, select_features
from churnrisk.features.facts import facts_query
from churnrisk.features.leaks import Leak, find_leaks
from churnrisk.features.levers import LEVERS, Lever, LeverEffects, influenced, pairs_of, select_levers

__all__ = [
    "CATALOGUE",
    "FeatureConfig",
    "FeatureFrame",
    "LEVERS",
    "Leak",
    "Lever",
    "LeverEffects",
    "OwnFeature",
    "facts_query",
    "build_features",
    "find_leaks",
    "influenced",
    "pairs_of",
    "select_levers",
    "select_features",
]
