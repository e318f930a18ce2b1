"""churnrisk: raw customer tables in, a red list with reasons and next steps out.

>>> import churnrisk as cr
>>> sorted(name for name in dir(cr) if name in cr.__all__)  # doctest: +NORMALIZE_WHITESPACE
['ChurnClassifier', 'ChurnRiskError', 'OpenProject', 'PanelSplit', 'RecencyRule', 'Signal', 'TrafficLight',
 '__version__', 'evaluate', 'explain', 'load']

The names load on first use, because pandas and scikit-learn take more than a second to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.lazy import lazy

if TYPE_CHECKING:
    from churnrisk.decision.lights import TrafficLight
    from churnrisk.errors import ChurnRiskError
    from churnrisk.library.explaining import explain
    from churnrisk.library.loading import load
    from churnrisk.library.opened import OpenProject, Signal
    from churnrisk.model.calibration import RecencyRule
    from churnrisk.model.classifier import ChurnClassifier
    from churnrisk.model.evaluation import evaluate
    from churnrisk.model.splits import PanelSplit

__version__ = "0.1.0"

_HOMES = {
    "load": "library.loading",
    "OpenProject": "library.opened",
    "Signal": "library.opened",
    "ChurnClassifier": "model.classifier",
    "RecencyRule": "model.calibration",
    "PanelSplit": "model.splits",
    "TrafficLight": "decision.lights",
    "explain": "library.explaining",
    "evaluate": "model.evaluation",
    "ChurnRiskError": "errors",
}

__all__ = [
    "load",
    "OpenProject",
    "Signal",
    "ChurnClassifier",
    "RecencyRule",
    "PanelSplit",
    "TrafficLight",
    "explain",
    "evaluate",
    "ChurnRiskError",
    "__version__",
]

__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
