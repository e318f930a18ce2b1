"""A seeded world of customers with known causes of churn."""

from churnrisk.sample.causes import CAUSES, INTERCEPT, PROTECTIONS, RISKS
from churnrisk.sample.defects import Defect
from churnrisk.sample.export import sample_folder, write_world
from churnrisk.sample.world import World, make_world

__all__ = [
    "CAUSES",
    "INTERCEPT",
    "PROTECTIONS",
    "RISKS",
    "Defect",
    "World",
    "make_world",
    "sample_folder",
    "write_world",
]
