from .customers import CAUSES, INTERCEPT, RISKS
from .export import Defect, sample_folder, write_world
from .world import World, make_world

__all__ = ["CAUSES", "Defect", "INTERCEPT", "RISKS", "World", "make_world", "sample_folder", "write_world"]
