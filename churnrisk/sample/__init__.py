"""A seeded world of customers with known causes of churn."""

from churnrisk.sample.customers import CAUSES, INTERCEPT, PROTECTIONS, RISKS
from churnrisk.sample.export import Defect, sample_folder, write_world
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
