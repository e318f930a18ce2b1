from .errors import ChurnRiskError
from .lights.traffic_light import TrafficLight
from .model.calibration import RecencyRule
from .model.classifier import ChurnClassifier
from .model.evaluation import evaluate
from .model.splits import PanelSplit
from .project import OpenProject, Signal, explain, load

__version__: str
__all__ = [
    "ChurnClassifier",
    "ChurnRiskError",
    "OpenProject",
    "PanelSplit",
    "RecencyRule",
    "Signal",
    "TrafficLight",
    "__version__",
    "evaluate",
    "explain",
    "load",
]
